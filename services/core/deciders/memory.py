"""What of a stream is remembered: its state as text, and back, the same.

In come states (see `services.core.running.run_state` and the deciders); out goes JSON whose shape follows the classes, so a new field
needs no line here. `SHAPE` is a digest of all shapes: text of another shape is not read but folded anew from events. Who changes
what a fold means, and no field, raises `MEANING`.
"""

import hashlib
import json
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json

from services.core.deciders.app import AppState
from services.core.deciders.bot import BotState
from services.core.deciders.flow import Absent, Present
from services.core.deciders.provider import ProviderState
from services.core.deciders.tool import ToolState
from services.core.running.run_state import Active

MEANING = 1
"""The version of what the folds mean."""

State = Active | Present | Absent | AppState | BotState | ToolState | ProviderState
_KINDS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Active, Present, Absent, AppState, BotState, ToolState, ProviderState)
}
SHAPE = hashlib.sha256(
    json.dumps([MEANING, {name: kind.json_schema(mode="serialization") for name, kind in _KINDS.items()}], sort_keys=True).encode()
).hexdigest()[:16]


def encode(state: State) -> tuple[str, str]:
    """The kind of a state, and its text."""
    kind = type(state).__name__
    return kind, to_json(_KINDS[kind].dump_python(state), inf_nan_mode="constants").decode()


def subject_of(state: State) -> str:
    """Whose words are in it."""
    return state.terms.subject if isinstance(state, Active) else ""


def rests(state: State) -> bool:
    """Whether nothing is under way, here or in a child: a person or a timer is waited for, so the run need not be in memory."""
    return isinstance(state, Active) and not state.working and not state.children and not (state.audit and state.audit.asked)


def decode(kind: str, text: str) -> State:
    """The state again. Raises `ValueError` for text that is none."""
    if kind not in _KINDS:
        raise ValueError(f"{kind} is no kind of state")
    state: State = _KINDS[kind].validate_json(text)
    return state
