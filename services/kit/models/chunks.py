"""One chunk of a streamed answer, read with care: providers send all kinds of things in the OpenAI shape.

In comes the JSON of a `data:` line, unchecked; out go tokens and notes. Ignored on purpose: roles,
log probabilities, other choices than the first, keep-alive comments.
"""

from collections.abc import Iterator
from typing import cast

from events.run import Usage
from services.kit.models.port import Fragment, ModelFailed, Noted, Part, Token

_Fields = dict[str, object]


class Objected(Exception):
    """The chunk is an error object; `body` as the provider sent it."""

    def __init__(self, body: object) -> None:
        super().__init__("the provider sent an error object")
        self.body = body


def parts_of(chunk: object) -> Iterator[Part]:
    """Tokens and notes of one chunk. Raises `Objected`, or `ModelFailed` for what cannot be understood."""
    if not isinstance(chunk, dict):
        raise ModelFailed("the model sent something that is not a chunk of an answer", kind="protocol", temporary=True)
    said = _fields(chunk)  # pyright: ignore[reportUnknownArgumentType] (nobody has checked)
    if error := said.get("error"):
        raise Objected(error)
    if said.get("code") not in (None, 0, "0", ""):
        raise Objected({"code": said.get("code"), "message": said.get("message")})
    reason, usage = "", _usage(said.get("usage"))
    for one in _items(said.get("choices")):
        choice = _fields(one)
        if choice.get("index") in (0, None):
            yield from _of_delta(_fields(choice.get("delta")))
            reason = _text(choice.get("finish_reason")) or reason
            usage = _usage(choice.get("usage")) or usage
    yield Noted(id=_text(said.get("id")), model=_text(said.get("model")), finish_reason=reason, usage=usage)


def _of_delta(delta: _Fields) -> Iterator[Part]:
    thought = _words(delta, "reasoning_content") or _words(delta, "reasoning")
    if thought:
        yield Token("reasoning", thought)
    text = _words(delta, "content") or _words(delta, "refusal")
    if text:
        yield Token("content", text)
    for place, one in enumerate(_items(delta.get("tool_calls"))):
        call = _fields(one)
        number, function = _count(call.get("index")), _fields(call.get("function"))
        name, arguments = _text(function.get("name")), function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            raise ModelFailed("the model sent arguments of a function that are not text", kind="protocol")
        yield Fragment(place if number is None else number, _text(call.get("id")), name, arguments or "")


def _words(delta: _Fields, name: str) -> str:
    words = delta.get(name)
    if words is not None and not isinstance(words, str):
        raise ModelFailed(f"the model sent {name} that is not text", kind="protocol")
    return words or ""


def _usage(usage: object) -> Usage | None:
    if not usage:
        return None
    said = _fields(usage)
    given, answered, total = (_count(said.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    if given is None and answered is None and total is None:
        return None
    return Usage(input_tokens=given or 0, output_tokens=answered or 0, total_tokens=total or (given or 0) + (answered or 0))


def _count(count: object) -> int | None:
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""


def _fields(value: object) -> _Fields:
    """The fields of an object; none where there is no object."""
    return cast("_Fields", value) if isinstance(value, dict) else {}


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
