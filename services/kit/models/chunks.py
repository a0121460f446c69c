"""One chunk of a streamed answer, read with care: providers send all kinds of things in the OpenAI shape.

In comes the JSON of a `data:` line, unchecked; out go tokens and notes. Ignored on purpose: roles,
log probabilities, other choices than the first, keep-alive comments.
"""

from collections.abc import Iterator

from events.run import Usage
from services.kit.models.port import Fragment, ModelFailed, Noted, Part, Token


class Objected(Exception):
    """The chunk is an error object; `body` as the provider sent it."""

    def __init__(self, body: object) -> None:
        super().__init__("the provider sent an error object")
        self.body = body


def parts_of(chunk: object) -> Iterator[Part]:
    """Tokens and notes of one chunk. Raises `Objected`, or `ModelFailed` for what cannot be understood."""
    if not _is_object(chunk):
        raise ModelFailed("the model sent something that is not a chunk of an answer", kind="protocol", temporary=True)
    if error := _get(chunk, "error"):
        raise Objected(error)
    if _get(chunk, "code") not in (None, 0, "0", ""):
        raise Objected({"code": _get(chunk, "code"), "message": _get(chunk, "message")})
    choices, reason, usage = _get(chunk, "choices"), "", _usage(_get(chunk, "usage"))
    for choice in choices if isinstance(choices, list) else ():  # pyright: ignore[reportUnknownVariableType] (the library does not check)
        if _get(choice, "index") in (0, None):  # pyright: ignore[reportUnknownArgumentType] (the same)
            yield from _of_choice(choice)  # pyright: ignore[reportUnknownArgumentType] (the same)
            reason = _text(_get(choice, "finish_reason")) or reason  # pyright: ignore[reportUnknownArgumentType] (the same)
            usage = _usage(_get(choice, "usage")) or usage  # pyright: ignore[reportUnknownArgumentType] (the same)
    yield Noted(id=_text(_get(chunk, "id")), model=_text(_get(chunk, "model")), finish_reason=reason, usage=usage)


def _of_choice(choice: object) -> Iterator[Part]:
    delta = _get(choice, "delta")
    thought = _words(delta, "reasoning_content") or _words(delta, "reasoning")
    if thought:
        yield Token("reasoning", thought)
    text = _words(delta, "content") or _words(delta, "refusal")
    if text:
        yield Token("content", text)
    if calls := _get(delta, "tool_calls"):
        yield from _fragments(calls)


def _fragments(calls: object) -> Iterator[Part]:
    for place, call in enumerate(calls if isinstance(calls, list) else ()):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] (the library does not check)
        number, function = _count(call, "index"), _get(call, "function")
        name, arguments = _text(_get(function, "name")), _get(function, "arguments")
        if arguments is not None and not isinstance(arguments, str):
            raise ModelFailed("the model sent arguments of a function that are not text", kind="protocol")
        yield Fragment(place if number is None else number, _text(_get(call, "id")), name, arguments or "")


def _words(delta: object, name: str) -> str:
    words = _get(delta, name)
    if words is not None and not isinstance(words, str):
        raise ModelFailed(f"the model sent {name} that is not text", kind="protocol")
    return words or ""


def _usage(usage: object) -> Usage | None:
    given, answered, total = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    if given is None and answered is None and total is None:
        return None
    return Usage(input_tokens=given or 0, output_tokens=answered or 0, total_tokens=total or (given or 0) + (answered or 0))


def _count(usage: object, name: str) -> int | None:
    count = _get(usage, name)
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _get(value: object, name: str) -> object:
    """A field of an object; None where there is no object."""
    return value.get(name) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] (nobody has checked)
