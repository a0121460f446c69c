"""A tool call that is ready to go out: what is said about it on the record, and how it is done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Ready:
    """`sent` is the request as it goes out, without keys; `attributes` name tool and version. `run` raises `CallFailed`."""

    kind: str
    tool: str
    sent: JsonValue = field(repr=False)
    attributes: dict[str, JsonValue]
    run: Callable[[], Awaitable[JsonValue]]
