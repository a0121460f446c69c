"""The event as it travels: metadata, the event itself, and the record on the wire.

In comes an event with its metadata; out goes a record in CloudEvents 1.0 binary mode (and back).
Claims and positions are not judged here: see `events.acceptance`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

T = TypeVar("T")

SPEC_VERSION = "1.0"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (a constant; the text says Z)
Stage = Literal["content", "reasoning"]


class Fact(BaseModel):
    """The common parent of events and commands: frozen, typed by a stored name and a version."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")
    type: ClassVar[str]
    version: ClassVar[int] = 1


class Event(Fact):
    """Something that happened. Its `type` is a dotted past-tense name and part of the storage format."""


class Command(Fact):
    """Something that is wished for. Its `type` is a dotted imperative name."""


class Value(BaseModel):
    """A part of an event that has no name of its own on the wire."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Protected(Value, Generic[T]):
    """A person's words. `subject` names whose key will seal them; `sealed` takes the place of `words` then."""

    subject: str
    words: T | None = None
    sealed: str | None = Field(default=None, exclude_if=lambda sealed: sealed is None)


Words = Protected[str]
Values = Protected[dict[str, JsonValue]]


class Meta(NamedTuple):
    """What the envelope knows beside the event. A tuple, since it is made most often of all: a frozen dataclass takes five times as long.

    `time` is in milliseconds since 1970, and comes with the input that caused the event.
    `claim` names the ownership that wrote an event; commands have none.
    `cause` is the offset of the command in the same partition of the commands topic, `command` its id.
    """

    id: str
    type: str
    version: int
    stream: str
    time: int
    source: str
    app: str = ""
    actor: str = ""
    claim: str = ""
    cause: int | None = None
    command: str = ""
    traceparent: str = ""


class Envelope(NamedTuple):
    """An event (or a command) plus metadata, as it travels. A tuple for the same reason."""

    meta: Meta
    data: Fact


@dataclass(frozen=True, slots=True)
class Record:
    """What a log stores: bytes, headers, and the time in milliseconds."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    time: int = 0
    said: Envelope | Meta | None = field(default=None, init=False, repr=False, compare=False)
    """What they say, as far as it is known here: all of it where the record was made here, else what was read of it already (see
    `meta_at`), so that several readers of one process read it once. A changed copy does not have it."""


class StoredRecord(NamedTuple):
    """A record at its place in a partition."""

    offset: int
    record: Record


class Damaged(ValueError):
    """A record is not an event of ours; the message says which header is wrong."""


_Headers = tuple[tuple[str, bytes], ...]
_SPEC_VERSION = ("ce_specversion", SPEC_VERSION.encode())
_OPTIONAL = (("ce_app", "app"), ("ce_actor", "actor"), ("ce_claim", "claim"), ("ce_command", "command"), ("ce_traceparent", "traceparent"))


def headers_of(meta: Meta) -> _Headers:
    """The CloudEvents headers. Deltas carry only what a filter needs; their time is the record's.

    Deltas of one run differ in their ids only: the rest is made once.
    """
    first = (_SPEC_VERSION, ("ce_id", meta.id.encode()))
    if meta.type == "node.delta":
        return first + _after_id_of_delta(meta[1:4], meta[5:])
    return first + _after_id(meta, lean=False)


@lru_cache(1_000)
def _after_id_of_delta(before_time: tuple[Any, ...], after_time: tuple[Any, ...]) -> _Headers:
    return _after_id(Meta._make(("", *before_time, 0, *after_time)), lean=True)


def _after_id(meta: Meta, *, lean: bool) -> _Headers:
    out = [("ce_type", meta.type.encode()), ("ce_source", meta.source.encode())]
    if meta.version != 1:
        out.append(("ce_dataversion", str(meta.version).encode()))
    if not lean:
        out += [("ce_time", _rfc3339(meta.time)), ("ce_subject", meta.stream.encode()), ("content-type", b"application/json")]
    if meta.stream.startswith("run-"):
        out.append(("ce_run", meta.stream[4:].encode()))
    if meta.cause is not None:
        out.append(("ce_cause", str(meta.cause).encode()))
    for header, name in _OPTIONAL:
        text: str = getattr(meta, name)
        if text and not (lean and name in {"actor", "traceparent"}):
            out.append((header, text.encode()))
    return tuple(out)


def meta_of(record: Record) -> Meta:
    """The metadata of a record, without looking at its value. Raises `Damaged`."""
    found = dict(record.headers)
    try:
        cause = found.get("ce_cause")
        version = found.get("ce_dataversion")
        return Meta(
            id=found["ce_id"].decode(),
            type=found["ce_type"].decode(),
            version=1 if version is None else int(version),
            stream=record.key.decode(),
            time=record.time,
            source=found["ce_source"].decode(),
            app=found.get("ce_app", b"").decode(),
            actor=found.get("ce_actor", b"").decode(),
            claim=found.get("ce_claim", b"").decode(),
            cause=None if cause is None else int(cause),
            command=found.get("ce_command", b"").decode(),
            traceparent=found.get("ce_traceparent", b"").decode(),
        )
    except KeyError as missing:
        raise Damaged(f"the record has no header {missing.args[0]}") from None
    except ValueError as wrong:
        raise Damaged(f"a header cannot be read: {wrong}") from None


def meta_at(stored: StoredRecord) -> Meta:
    """The same for a record at its place, read once however often it is asked for."""
    record = stored.record
    known = record.said
    if known is None:
        known = meta_of(record)
        note(record, known)
    return known.meta if isinstance(known, Envelope) else known


def note(record: Record, known: Envelope | Meta) -> None:
    """What the record says, for all who read it after us."""
    object.__setattr__(record, "said", known)


def encode(envelope: Envelope) -> Record:
    """The record that carries this envelope."""
    meta, data = envelope.meta, envelope.data
    record = Record(meta.stream.encode(), data.__pydantic_serializer__.to_json(data), headers_of(meta), meta.time)
    note(record, envelope)
    return record


@lru_cache(256)
def _rfc3339(milliseconds: int) -> bytes:
    return ((_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds") + "Z").encode()
