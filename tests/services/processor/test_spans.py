"""Spans of runs and nodes: a fold of written steps, whose ids follow from what they are about."""

from typing import Any

from events.envelope import Event
from events.node import NodeCompleted, NodeFailed, NodeStarted, Problem
from events.run import ParentRun, RunCompleted, RunFailed, RunStarted
from services.core.running.run_state import Active, Errand
from services.kit.telling.traces import Span, below, span_id
from services.processor.counting.spans import Spans
from services.processor.steps.deciding import Step
from tests.support import samples

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NODE: dict[str, Any] = {"node": "spark-llm::1", "path": (), "attempt": 1}


class Heard:
    """Traces that keep what they are told."""

    on = True

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def begin(self, parent: str, *about: object) -> str:
        return below(parent, *about)

    def tell(self, span: Span) -> None:
        self.spans.append(span)

    async def close(self) -> None:
        return


def terms(**more: Any) -> RunStarted:
    return samples.minimal(RunStarted, traceparent=CALLER, **more)


def step(run: str, *events: tuple[int, Event], before: Active | None = None) -> Step:
    return Step(run, [samples.envelope(event, stream=f"run-{run}", time=time) for time, event in events], more=False, before=before)


def started(**more: Any) -> NodeStarted:
    return samples.minimal(NodeStarted, **{**NODE, **more})


def completed(**more: Any) -> NodeCompleted:
    return samples.minimal(NodeCompleted, **{**NODE, **more})


def failed(**more: Any) -> NodeFailed:
    return samples.minimal(NodeFailed, **{**NODE, "problem": Problem(code=20380, message="hush"), **more})


def test_a_run_and_its_node_are_told_with_their_times_below_the_caller():
    heard = Heard()
    spans, begun = Spans(heard), terms()
    spans.note(step("7", (1_000, begun), (1_010, started())), begun)
    end = (1_500, samples.minimal(RunCompleted))
    spans.note(step("7", (1_400, completed()), end, before=Active(begun, 1_000)), None)
    node, run = heard.spans
    assert (run.parent, run.begin, run.end, run.failed) == (CALLER, 1_000, 1_500, "")
    assert (node.parent, node.begin, node.end, node.failed) == (run.traceparent, 1_010, 1_400, "")
    assert node.attributes["prozess.node"] == "spark-llm::1"


def test_another_owner_names_the_same_spans():
    first, second = Heard(), Heard()
    one, other = Spans(first), Spans(second)
    begun = terms()
    one.note(step("7", (1_000, begun), (1_010, started())), begun)
    other.note(step("7", (1_400, completed()), (1_500, samples.minimal(RunCompleted)), before=Active(begun, 1_000)), None)
    one.note(step("7", (1_400, completed()), (1_500, samples.minimal(RunCompleted)), before=Active(begun, 1_000)), None)
    assert [span.traceparent for span in first.spans] == [span.traceparent for span in second.spans]
    assert (second.spans[0].begin, second.spans[0].end) == (1_400, 1_400), "a moment: it began with the earlier owner"
    assert second.spans[1].begin == 1_000


def test_a_failure_that_was_handled_is_one_span_and_says_no_words():
    heard = Heard()
    spans, begun = Spans(heard), terms()
    handled = completed(problem=Problem(code=20380, message="hush"))
    spans.note(step("7", (1_000, begun), (1_010, started()), (1_020, failed()), (1_020, handled)), begun)
    (node,) = heard.spans
    assert node.failed == "20380"
    assert "hush" not in repr(node)


def test_each_attempt_has_a_span_of_its_own_and_a_failed_run_its_code():
    heard = Heard()
    spans, begun = Spans(heard), terms()
    again = (started(attempt=2), failed(attempt=2))
    spans.note(step("7", (1, begun), (2, started()), (3, failed()), (4, again[0]), (5, again[1])), begun)
    ended = samples.minimal(RunFailed, code=20380)
    spans.note(step("7", (6, ended), before=Active(begun, 1)), None)
    *attempts, run = heard.spans
    assert len({span_id(one.traceparent) for one in attempts}) == 2
    assert (run.name, run.failed) == ("run", "20380")


def test_a_childs_run_is_below_the_node_that_called_it_whoever_tells_it():
    heard = Heard()
    spans, parent = Spans(heard), terms()
    link = ParentRun(run=parent.run, node="spark-llm::1", path=(), attempt=1, depth=1)
    child = terms(run="99", parent=link)
    spans.note(step("99", (5, child), (6, samples.minimal(RunCompleted))), None)
    spans.note(step(parent.run, (1, parent), (2, started()), (7, completed())), parent)
    told, node = heard.spans
    assert told.parent == node.traceparent


def test_an_effect_belongs_to_its_node_run():
    heard = Heard()
    spans, begun = Spans(heard), terms()
    spans.note(step(begun.run, (1, begun), (2, started()), (3, completed())), begun)
    assert spans.of_errand(begun, Errand(("spark-llm::1", ()), 1, 0)) == heard.spans[0].traceparent
