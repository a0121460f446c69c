"""Slot filling (astron.md 5.4): a model reads what a person answered and fills the outputs that a question declares.

In come the slots and the conversation so far; out go the prompt, what the model's answers say, and a further question
where something required is missing. A model's answer is one JSON object, alone or in a fenced block; anything else says nothing.
"""

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from services.core.language.kind import Output
from services.core.language.model_params import object_in
from services.core.language.values import misfits
from services.core.running.effects import ChatMessage

Step = Mapping[str, JsonValue]
OWN = frozenset({"query", "content", "id"})
"""Outputs of a question that are no slots."""
FOLLOW_UP = "follow_up"
_TASK = (
    "Read what the person answered and fill in the fields. Answer with one JSON object and nothing else: each field that the answers"
    " give, in the type that its schema says. Leave out what they do not say, never guess. If a required field is missing, add the"
    f' key "{FOLLOW_UP}" with one short question, in the person\'s language, that asks for everything that is missing.'
)


def of(outputs: Sequence[Output]) -> list[Output]:
    """The slots among the outputs of a question."""
    return [one for one in outputs if one.name not in OWN]


def prompt(wanted: Sequence[Output], instruction: str, conversation: Sequence[tuple[str, str]]) -> tuple[ChatMessage, ...]:
    """The task, then each question with its answer."""
    schema = {
        "type": "object",
        "properties": {one.name: one.schema for one in wanted},
        "required": [one.name for one in wanted if one.required],
    }
    parts = [_TASK, f"Fields, as JSON Schema: {json.dumps(schema, ensure_ascii=False)}", *([instruction] if instruction else [])]
    messages = [ChatMessage("system", "\n\n".join(parts))]
    for question, reply in conversation:
        messages += [ChatMessage("assistant", question), ChatMessage("user", reply or " ")]
    return tuple(messages)


def found(wanted: Sequence[Output], answers: Sequence[str]) -> dict[str, JsonValue]:
    """What the model's answers say of the slots, the newest last; values of another type than the slot's say nothing."""
    known: dict[str, JsonValue] = {}
    for answer in answers:
        said = object_in(answer) or {}
        for one in wanted:
            value = said.get(one.name)
            if value not in (None, "") and not misfits(value, json.dumps(one.schema)):
                known[one.name] = value
    return known


def follow_up(missing: Sequence[Output], answer: str) -> str:
    """The model's own question, else one that names what is missing."""
    text = (object_in(answer) or {}).get(FOLLOW_UP)
    if isinstance(text, str) and text.strip():
        return text
    names = [f"{one.name} ({one.schema['description']})" if one.schema.get("description") else one.name for one in missing]
    return f"Please also tell: {', '.join(names)}"
