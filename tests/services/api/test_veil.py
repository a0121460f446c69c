"""The veil over audited runs: which words readers get, for each kind of event."""

from typing import Any

import pytest

from events.catalogue import EVENTS
from events.envelope import Event
from events.node import NodeCompleted, NodeFailed, NodeStarted, OutputClosed, OutputReleased, Problem
from events.question import AnswerHeld, QuestionAnswered, QuestionAsked
from events.run import Audit, RunFailed, RunStarted
from services.api.answers.errors import TABLE
from services.api.following.veil import Veil
from tests.services.api.stories import started, told
from tests.support.samples import full

SECRET = "very bad words"
SHOWN = (OutputReleased, OutputClosed, QuestionAsked, QuestionAnswered, AnswerHeld)


def seen(event: Event, audit: Audit = "own") -> Any:
    first, second = told(started().model_copy(update={"audit": audit}), event)
    veil = Veil()
    veil.over(first)
    return veil.over(second).envelope.data


@pytest.mark.parametrize(
    "kind", [one for one in EVENTS if one.type.startswith(("node.", "round.", "output.", "question.", "answer.", "run.c"))]
)
def test_only_what_was_released_or_said_by_people_keeps_its_words(kind: type[Event]):
    event = full(kind)
    own, parent = seen(event), seen(event, "parent")
    words = [value["words"] for value in event.model_dump().values() if isinstance(value, dict) and "words" in value]
    if kind in SHOWN:
        assert own == event
    elif words:
        left = [value["words"] for value in own.model_dump().values() if isinstance(value, dict) and "words" in value]
        assert set(map(str, left)) == {"None"}
    kept = [value["words"] for value in parent.model_dump().values() if isinstance(value, dict) and "words" in value]
    assert set(map(str, kept)) <= {"None"}
    assert seen(event, "") == event


def test_what_the_run_was_started_with_is_the_caller_s_own():
    given = full(NodeCompleted).model_copy(update={"node": "node-start::1"})
    assert seen(given) == given
    begun = full(NodeStarted).model_copy(update={"node": "node-start::1"})
    assert seen(begun) == begun


def test_why_something_failed_is_told_by_its_code():
    failed = NodeFailed(node="if-else::1", problem=Problem(code=23100, message=SECRET), then="end", progress=0.5)
    assert seen(failed).problem == Problem(code=23100, message=TABLE[23100].message)
    ended = RunFailed(code=23100, message=SECRET, node="if-else::1")
    assert seen(ended).message == TABLE[23100].message
    unknown = RunFailed(code=99999, message=SECRET, node="if-else::1")
    assert seen(unknown).message == "it failed"


def test_the_audit_s_own_sentence_and_the_caller_s_mistakes_are_told_as_they_are():
    refused = RunFailed(code=21103, message="the content audit refused the output")
    assert seen(refused) == refused
    wrong = RunFailed(code=22500, message="parameters: q: it is required", node="node-start::1")
    assert seen(wrong) == wrong


def test_a_reader_who_comes_later_sees_the_same():
    event = told(RunStarted.model_construct(), full(NodeCompleted))[1]
    first, second = told(started().model_copy(update={"audit": "own"}), full(NodeCompleted))
    whole = Veil()
    whole.over(first)
    assert Veil("own").over(event).envelope.data == whole.over(second).envelope.data
