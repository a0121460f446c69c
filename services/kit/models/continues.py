"""How an attempt goes on from text that an earlier attempt has on the record.

In come the table of the settings (pattern → shape) and the recorded text; out go the messages and fields that ask a
provider to continue. A provider that says the recorded text again is heard, but the repetition is dropped. Thinking is
handed over only in the `prefix` shape; the other providers think anew, and what they think then is not shown twice.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import cast, get_args

from pydantic import JsonValue

from events.envelope import Stage
from services.kit.errors import Refused
from services.kit.models.port import ModelFailed, Noted, Part, Question, Shape, Token

_SHAPES: tuple[str, ...] = get_args(Shape)
_FIELDS: dict[Shape, dict[str, JsonValue]] = {"vllm": {"continue_final_message": True, "add_generation_prompt": False}}
_TELLING = 4


def table(settings: Mapping[str, str]) -> dict[str, Shape]:
    """The table, checked. Raises `Refused` naming the entry that is no shape."""
    for pattern, shape in settings.items():
        if shape not in _SHAPES:
            raise Refused(f"PROZESS_MODEL_CONTINUES: the value of {pattern!r} must be one of {', '.join(_SHAPES)}")
    return cast("dict[str, Shape]", dict(settings))


def shape_of(shapes: Mapping[str, Shape], host: str, port: int, model: str) -> Shape:
    """The shape of the first pattern that matches `host/model` or `host:port/model`; `never` where none does."""
    names = (f"{host}/{model}", f"{host}:{port}/{model}")
    for pattern, shape in shapes.items():
        if any(fnmatchcase(name, pattern) for name in names):
            return shape
    return "never"


def handed_over(question: Question, shape: Shape) -> Shape:
    """The shape in which recorded text goes along; `never` where nothing does, and the call starts anew.

    Raises `ModelFailed` where text is on the record that the model cannot continue.
    """
    if question.recorded and shape == "never":
        length = len(question.recorded)
        raise ModelFailed(f"the answer was interrupted after {length} characters and this model cannot continue", kind="interrupted")
    if question.recorded or (question.recorded_reasoning and shape == "prefix"):
        return shape
    return "never"


def messages_of(question: Question, shape: Shape) -> list[JsonValue]:
    """The messages of the request, the recorded text last where it is handed over."""
    messages: list[JsonValue] = [
        {"role": role, "content": content, **question.more.get(place, {})} for place, (role, content) in enumerate(question.messages)
    ]
    if shape != "never":
        messages.append(_last(question, shape))
    return messages


def fields_of(shape: Shape) -> dict[str, JsonValue]:
    """What else the request must say."""
    return dict(_FIELDS.get(shape, {}))


def _last(question: Question, shape: Shape) -> dict[str, JsonValue]:
    last: dict[str, JsonValue] = {"role": "assistant", "content": question.recorded}
    if shape == "prefix":
        last["prefix"] = True
        if question.recorded_reasoning:
            last["reasoning_content"] = question.recorded_reasoning
    return last


class Unrepeated:
    """An answer without the recorded text, should it begin by saying that again; works across chunks.

    Texts under four characters are too short to tell a repetition from a continuation: nothing is dropped then.
    """

    def __init__(self, recorded: str) -> None:
        self._recorded = recorded if len(recorded) >= _TELLING else ""
        self._same = 0
        self._settled = not self._recorded

    def take(self, text: str) -> str:
        """What of this text is new; empty while it may still be a repetition."""
        if self._settled:
            return text
        expected = self._recorded[self._same : self._same + len(text)]
        if not text.startswith(expected):
            self._settled = True
            return self._recorded[: self._same] + text
        self._same += len(expected)
        self._settled = self._same == len(self._recorded)
        return text[len(expected) :]

    def rest(self) -> str:
        """What was held back when the answer ended within a seeming repetition."""
        held = "" if self._settled else self._recorded[: self._same]
        self._settled = True
        return held


class NewOnly:
    """Of an answer, what is not on the record yet: neither the recorded text again, nor thinking that begins anew."""

    def __init__(self, question: Question, shape: Shape) -> None:
        thinks_on = shape == "prefix"
        self._stages: dict[Stage, Unrepeated] = {
            "content": Unrepeated(question.recorded),
            "reasoning": Unrepeated(question.recorded_reasoning if thinks_on else ""),
        }
        self._deaf = bool(question.recorded_reasoning) and not thinks_on
        self._dropped = 0

    def of(self, part: Part) -> Part | None:
        """The part, what is new of it, or nothing."""
        if not isinstance(part, Token):
            return part
        if self._deaf and part.stage == "reasoning":
            self._dropped += len(part.text)
            return None
        text = self._stages[part.stage].take(part.text)
        if text == part.text:
            return part
        return Token(part.stage, text) if text else None

    def rest(self) -> Iterator[Part]:
        """What is left to say at the end of the answer."""
        for stage, unrepeated in self._stages.items():
            if text := unrepeated.rest():
                yield Token(stage, text)
        if self._dropped:
            yield Noted(attributes={"prozess.reasoning.not_recorded": self._dropped})
