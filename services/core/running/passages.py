"""What the provider of the content audit is given to judge, derived from the record: the words, and where they stand.

In comes the state of a run in which something is judged; out goes the request. What is judged when is decided in `audit` beside it.
"""

import json
from collections.abc import Mapping

from pydantic import JsonValue

from services.core.running.effects import AuditRequest
from services.core.running.held import Asked
from services.core.running.run_state import Active


def said_of(parameters: Mapping[str, JsonValue]) -> str:
    """The input as one text, in the original's form."""
    return ",".join(f'Parameter "{name}" input is "{_plain(value)}"' for name, value in parameters.items()) + "."


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def request(state: Active, question: str) -> AuditRequest:
    """What the provider is asked. `question` is what the run would ask its person."""
    asked = state.audit.asked if state.audit else None
    assert asked is not None, "something is judged"
    text = _judged(state, asked)
    return AuditRequest(
        app=state.terms.app,
        run=state.terms.run,
        of=asked.of,
        stage=asked.stage,
        text=question if text is None else text,
        history=tuple((turn.role, turn.content) for turn in state.terms.turns) if asked.of in {"input", "answer"} else (),
        piece=asked.piece,
        pending=asked.pending,
        ends_stage=asked.ends_stage,
        ends=asked.ends,
    )


def _judged(state: Active, asked: Asked) -> str | None:
    """The words that are judged; None for a question, which its node makes."""
    audit = state.audit
    assert audit is not None, "this run is audited"
    match asked.of:
        case "input":
            return said_of(state.terms.parameters.words or {})
        case "answer":
            return audit.answer.content if audit.answer else ""
        case "output":
            words = "".join(mark.text for mark in audit.marks)
            return audit.prefix_of(asked.stage) + words[: asked.covers]
        case "question":
            return None
