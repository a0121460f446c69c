"""Running foreign code: what goes in, what comes out, and how it may fail, in the kit's own words.

In comes a `Code`: the text of a module with a function `main`, the values it may take, and how long it may compute. Out
comes the JSON text of what `main` returned. Whatever the code does, the program that asks goes on: a sandbox is another
process, bounded in time and memory, and it is ended when nobody waits for it any more.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import JsonValue

from services.kit.errors import ProzessError

MAX_SOURCE = 100_000
"""Characters of a code."""
MAX_RESULT = 1_000_000
"""Characters of the JSON text of a result."""
_TEXT = 300
_TELLING = 4

Reason = Literal["failed", "build", "result", "timeout"]


class CodeFailed(ProzessError):
    """A code gave no result: it `failed`, has no `main` to call (`build`), its `result` is no JSON, or it took too long."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Code:
    """What is run. `inputs` are bound to the parameters of `main` by name; `app` is who asks, `seconds` how long it may take."""

    source: str
    inputs: Mapping[str, JsonValue]
    seconds: float
    app: str = ""


class Interpreter(Protocol):
    """One way of running code. The names of `main`'s parameters are known by then."""

    async def open(self) -> None:
        """Make sure that it can run here. Raises `Refused` with one sentence."""
        ...

    async def run(self, code: Code, given: Mapping[str, JsonValue]) -> str:
        """The JSON text of `main(**given)`. Cancelling it ends the process. Raises `CodeFailed`."""
        ...

    async def close(self) -> None:
        """End its processes."""
        ...


def failed(code: Code, said: str, line: int | None, hint: str = "") -> CodeFailed:
    """The failure of a code: the line of the user's text, and the error without the words that the inputs hold."""
    place = "" if line is None else f"line {line}: "
    return CodeFailed("failed", f"{place}{clip(_without(said, code.inputs))}{hint}")


def clip(text: str) -> str:
    """A text on one line, at most 300 characters of it."""
    text = " ".join(text[: 4 * _TEXT].split())
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _without(text: str, inputs: Mapping[str, JsonValue]) -> str:
    """The text with `…` in place of every word that came with the inputs: an error is written where people's words must not be."""
    text = text[: 4 * _TEXT]
    words = {word for part in _texts(list(inputs.values())) for word in (part, *part.split()) if len(word) >= _TELLING}
    for word in sorted((word for word in words if word in text), key=len, reverse=True):
        text = text.replace(word, "…")
    return text


def _texts(values: list[JsonValue]) -> list[str]:
    found: list[str] = []
    while values:
        value = values.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            values.extend(value)
        elif isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, int | float):
            found.append(json.dumps(value))
    return found
