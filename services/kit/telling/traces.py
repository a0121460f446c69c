"""What a thing that is done belongs to: its run, and its trace as the W3C writes it (`traceparent`).

A request may name a trace; commands and events carry it in their headers, effects hand it on. Where somebody collects
traces (`services.kit.telling.otlp`, an extra), spans of what was done are told as well; `OFF` is where nobody does. A span is
told when it is over, with its times, and its id follows from what it is about. So a span can be the parent of others before it
is told, in any process, and what is told twice is the same span.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

TRACE: ContextVar[str] = ContextVar("trace", default="")
"""The `traceparent` of what is being done; empty where it belongs to no trace."""
RUN: ContextVar[str] = ContextVar("run", default="")
"""The run for which it is done."""
Kind = Literal["server", "client", "producer", "internal"]
Attribute = str | int | float | bool
_SHAPE = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class Span:
    """Something that was done: from `begin` to `end` (ms since 1970), below `parent` (a traceparent; empty for none)."""

    traceparent: str
    name: str
    begin: float
    end: float
    parent: str = ""
    kind: Kind = "internal"
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])
    failed: str = ""
    links: Sequence[str] = ()


class Traces(Protocol):
    """Where spans go."""

    @property
    def on(self) -> bool:
        """Whether anybody wants them. Where not, nothing should be made ready for it."""
        ...

    def begin(self, parent: str, *about: object) -> str:
        """The `traceparent` of a new span below `parent`, else of a new trace.

        Its id follows from what it is `about`, where that is given.
        """
        ...

    def tell(self, span: Span) -> None:
        """The span is over."""
        ...

    async def close(self) -> None:
        """Hand over what was told, within a bounded time."""
        ...


class _Off:
    """Nobody collects traces; one that a caller named is handed on as it came."""

    on = False

    def begin(self, parent: str, *about: object) -> str:  # noqa: ARG002 (the port)
        return parent

    def tell(self, span: Span) -> None:  # noqa: ARG002 (the port)
        return

    async def close(self) -> None:
        return


OFF: Traces = _Off()


def named(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The `traceparent` that a request names; empty where there is none, or none that is well formed."""
    for name, value in headers:
        if name == b"traceparent":
            text = value.decode("latin-1").strip()
            return text if _SHAPE.fullmatch(text) and not text.startswith("ff") else ""
    return ""


def trace_id(traceparent: str) -> str:
    """The id of its trace."""
    return traceparent[3:35]


def span_id(traceparent: str) -> str:
    """The id of its span."""
    return traceparent[36:52]


def sampled(traceparent: str) -> bool:
    """Whether its trace is to be told."""
    return bool(traceparent) and bool(int(traceparent[53:], 16) & _SAMPLED)


def below(parent: str, *about: object) -> str:
    """A new span of the same trace."""
    return f"00-{trace_id(parent)}-{_id(16, about)}-{parent[53:]}"


def fresh(ratio: float, *about: object) -> str:
    """The first span of a new trace; this share of them is told."""
    trace = _id(32, ("trace", *about) if about else ())
    told = int(trace[-14:], 16) < ratio * (1 << 56)
    return f"00-{trace}-{_id(16, about)}-0{int(told)}"


def carried() -> dict[str, str]:
    """The headers that hand the trace on to whoever is called."""
    trace = TRACE.get()
    return {"traceparent": trace} if trace else {}


def _id(digits: int, about: Sequence[object]) -> str:
    if not about:
        return secrets.token_hex(digits // 2)
    return hashlib.sha256("\0".join(map(str, about)).encode("utf-8", "replace")).hexdigest()[:digits]
