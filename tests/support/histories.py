"""Histories for tests: what happened, told in order, becomes records of one partition and accepted events.

In come events with their streams; ids and times are given by place, so that the same story gives the same records.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from events.acceptance import Acceptance, Accepted, Checkpoint
from events.delta import NodeDelta
from events.envelope import Envelope, Event, Meta, Protected, StoredRecord, encode
from events.node import (
    DeltaRange,
    ModelCalled,
    ModelResponded,
    NodeCompleted,
    NodeSkipped,
    NodeStarted,
    OutputClosed,
    OutputOpened,
    OutputReleased,
)
from events.ownership import PartitionClaimed
from events.run import RunCompleted, RunFailed, RunStarted, Usage
from events.topics import partition_stream, run_stream
from tests.support.samples import APP, DIGEST, FLOW, RUN, TIME, USAGE, values, words

TOPIC = "topic-1"
TEXTS = ("Because ", "of ", "Rayleigh.")


class History:
    """One partition of the events topic, as it grows."""

    def __init__(self, partition: int = 0, claimed: bool = True) -> None:
        self.partition = partition
        self.records: list[StoredRecord] = []
        self.claim = ""
        if claimed:
            self.claimed()

    def claimed(self, owner: str = "processor-1") -> None:
        """A new owner."""
        new = f"claim-{self.partition}-{len(self.records)}"
        after, self.claim = self.claim, new
        self.say(partition_stream(self.partition), PartitionClaimed(id=new, after=after, owner=owner, commands="commands-1"))

    def say(self, stream: str, *said: Event, app: str = APP, claim: str | None = None, time: int | None = None, **meta: Any) -> None:
        """Append events of one stream."""
        for event in said:
            offset = len(self.records)
            fields = {"source": "prozess/processor", "app": app, "actor": f"{app}/key", **meta}
            if isinstance(event, NodeDelta):
                fields["actor"] = ""
            at = TIME + offset * 7 if time is None else time
            fields.setdefault("id", f"e-{self.partition}-{offset}")
            fields["claim"] = self.claim if claim is None else claim
            head = Meta(type=event.type, version=event.version, stream=stream, time=at, **fields)
            self.records.append(StoredRecord(offset, encode(Envelope(head, event))))

    def run(self, run: str = RUN, **terms: Any) -> None:
        """A whole run, see `run_events`."""
        self.say(run_stream(run), *run_events(run, **terms), command=f"c-{run}", cause=0)

    def accepted(self, start: Checkpoint | None = None) -> list[Accepted]:
        """What is true of it."""
        fold = Acceptance(start or Checkpoint(TOPIC, self.partition))
        steps = (fold.step(stored) for stored in self.records[fold.offset :])
        return [accepted for accepted in steps if accepted is not None]


def started(run: str = RUN, **terms: Any) -> RunStarted:
    """A run that began."""
    given: dict[str, Any] = {
        "run": run,
        "app": APP,
        "subject": "person-1",
        "uid": Protected[str](subject="person-1", words="uid-1"),
        "flow": FLOW,
        "definition": DIGEST,
        "mode": "open",
        "surface": "astron",
        "stream": True,
        "parameters": values(AGENT_USER_INPUT="Why is the sky blue?"),
        "history": Protected[Any](subject="person-1", words=()),
        "ext": Protected[Any](subject="person-1", words={}),
    }
    return RunStarted(**{**given, **terms})


def run_events(
    run: str = RUN, texts: Sequence[str] = ("Because ", "of ", "Rayleigh."), end: Event | None = None, **terms: Any
) -> list[Event]:
    """A run with a model whose text a message node shows as it comes and the end node shows once more."""
    return list(_run_events(run, texts, end, terms))


def _run_events(run: str, texts: Sequence[str], end: Event | None, terms: dict[str, Any]) -> Iterator[Event]:
    start, model, message, last = "node-start::1", "spark-llm::2", "message::3", "node-end::4"
    asked = values(AGENT_USER_INPUT="Why is the sky blue?")
    yield started(run, **terms)
    yield NodeStarted(node=start, kind="node-start", alias="Start", progress=0)
    yield NodeCompleted(node=start, progress=0.25, outputs=asked)
    yield NodeStarted(node=model, kind="spark-llm", alias="Model", progress=0.25, inputs=asked)
    yield NodeStarted(node=message, kind="message", alias="Message", progress=0.25)
    yield ModelCalled(node=model, attributes={"gen_ai.request.model": "offline-demo"}, request_digest=DIGEST, continues="never")
    yield OutputOpened(node=message)
    yield NodeDelta(node=model, stage="reasoning", text=words("Hm. "), shown=message)
    for text in texts:
        yield NodeDelta(node=model, stage="content", text=words(text), shown=message)
    if isinstance(end, RunFailed):
        yield end
        return
    yield ModelResponded(node=model, attributes={"gen_ai.usage.output_tokens": 7}, response_digest=DIGEST, duration_ms=20, first_token_ms=5)
    yield NodeCompleted(node=model, progress=0.5, outputs=values(output="".join(texts)), usage=USAGE)
    yield NodeCompleted(node=message, progress=0.75, outputs=values(), inputs=values(output="".join(texts)))
    yield OutputClosed(node=message, text=words("!"))
    yield NodeSkipped(node="message::5", by=model)
    yield NodeStarted(node=last, kind="node-end", alias="End", progress=0.75)
    yield OutputOpened(node=last)
    yield OutputReleased(node=last, unit=0, stage="content", text=words("Once more: "))
    yield OutputReleased(node=last, unit=1, stage="content", of=DeltaRange(node=model, stage="content", start=0, stop=len(texts)))
    yield NodeCompleted(node=last, progress=1, outputs=values(output="".join(texts)))
    yield OutputClosed(node=last, text=words(""))
    yield end or RunCompleted(outputs=values(output="".join(texts)), usage=Usage(input_tokens=11, output_tokens=7, total_tokens=18))
