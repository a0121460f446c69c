"""Runs as lists of accepted events, told by hand, for folds that need no log."""

from collections.abc import Sequence

from events.acceptance import Accepted
from events.delta import NodeDelta
from events.envelope import Envelope, Event, Meta
from events.node import DeltaRange, NodeCompleted, NodeFailed, NodeStarted, OutputClosed, OutputOpened, OutputReleased, Problem
from events.run import Mode, RunCompleted, RunFailed, RunStarted, Usage
from tests.support.samples import RUN, minimal, values, words

BEGAN = 1_764_100_000_000


def told(*events: Event, step_ms: int = 10) -> list[Accepted]:
    """The events of one run, one after the other, each a little later."""
    said: list[Accepted] = []
    for position, event in enumerate(events, 1):
        meta = Meta(
            f"e{position}", event.type, event.version, f"run-{RUN}", BEGAN + step_ms * (position - 1), "prozess/processor", app="demo"
        )
        said.append(Accepted(0, 100 + position, position, Envelope(meta, event)))
    return said


def started(mode: Mode = "open") -> RunStarted:
    sample = minimal(RunStarted)
    return sample.model_copy(update={"mode": mode, "run": RUN})


def node(id_: str, kind: str, alias: str, progress: float) -> NodeStarted:
    return NodeStarted(node=id_, kind=kind, alias=alias, progress=progress)


def done(id_: str, progress: float, *, inputs: dict | None = None, **outputs: object) -> NodeCompleted:
    return NodeCompleted(node=id_, progress=progress, outputs=values(**outputs), inputs=None if inputs is None else values(**inputs))


def unit(id_: str, text: str) -> OutputReleased:
    return OutputReleased(node=id_, stage="content", unit=0, text=words(text))


def delta(id_: str, text: str, shown: str = "", stage: str = "content") -> NodeDelta:
    return NodeDelta.model_validate({"node": id_, "stage": stage, "text": words(text), "shown": shown})


def linear(mode: Mode) -> list[Accepted]:
    """start -> text-joiner -> message (`msg={{m}};`) -> end (`end={{output}}`), as astron.md 3.2 tells it."""
    s, j, m, e = "node-start::1", "text-joiner::1", "message::1", "node-end::1"
    return told(
        started(mode),
        node(s, "node-start", "Start", 0.0),
        done(s, 0.0, AGENT_USER_INPUT="bob"),
        node(j, "text-joiner", "Join", 0.25),
        done(j, 0.25, inputs={"name": "bob"}, output="Hi bob"),
        node(m, "message", "Message", 0.5),
        OutputOpened(node=m),
        unit(m, "msg="),
        unit(m, "Hi bob"),
        done(m, 0.5, inputs={"m": "Hi bob"}),
        OutputClosed(node=m, text=words(";")),
        node(e, "node-end", "End", 0.75),
        OutputOpened(node=e),
        unit(e, "end="),
        unit(e, "Hi bob"),
        done(e, 0.75, output="Hi bob"),
        OutputClosed(node=e, text=words("")),
        RunCompleted(outputs=values(output="Hi bob"), usage=Usage()),
    )


def thinking(mode: Mode) -> list[Accepted]:
    """A model whose first tokens wait for the end node, which then shows them, and the rest as they come."""
    s, m, e = "node-start::1", "spark-llm::1", "node-end::1"
    usage = Usage(input_tokens=14, output_tokens=3, total_tokens=17)
    completed = done(m, 0.5, inputs={"q": "tea"}, output="Green tea").model_copy(update={"raw_output": words("Green tea"), "usage": usage})
    return told(
        started(mode),
        node(s, "node-start", "Start", 0.0),
        done(s, 0.0, AGENT_USER_INPUT="tea"),
        node(m, "spark-llm", "Draft", 0.333),
        node(e, "node-end", "End", 0.5),
        delta(m, "Gr"),
        delta(m, "een"),
        OutputOpened(node=e),
        OutputReleased(node=e, stage="content", unit=0, of=DeltaRange(node=m, stage="content", start=0, stop=2)),
        delta(m, " tea", shown=e),
        completed,
        done(e, 0.6666, out="Green tea"),
        OutputClosed(node=e, text=words("!")),
        RunCompleted(outputs=values(out="Green tea"), usage=usage),
    )


def failing(mode: Mode) -> list[Accepted]:
    """The model fails while the end node waits for it."""
    return told(
        started(mode),
        node("spark-llm::1", "spark-llm", "Draft", 0.333),
        node("node-end::1", "node-end", "End", 0.5),
        OutputOpened(node="node-end::1"),
        delta("spark-llm::1", "Gr", shown="node-end::1"),
        NodeFailed(node="spark-llm::1", problem=Problem(code=20380, message="the model answered 500"), then="end", progress=0.5),
        RunFailed(code=20380, message="the model answered 500", node="spark-llm::1"),
    )


def until(events: Sequence[Accepted], position: int) -> list[Accepted]:
    return [event for event in events if event.position <= position]
