"""`flow`: what its run asks for, and what its child's end means. Here without a child: it tells what children tell."""

from typing import Any

import pytest

from events.envelope import Protected
from events.node import ChildStarted, Problem
from events.question import QuestionAsked
from events.run import Usage
from events.topics import child_id, slot_of_id
from services.core.running.children import ChildTold, Ending
from services.core.running.effects import Broke, Piece, Pinned, ReleaseRequest
from services.core.running.run import AnswerQuestion, request
from services.core.running.turn import Limits
from tests.support.flows import Json, at, end, flow, retry, start, subflow
from tests.support.spec import Story

PINNED = Pinned("77", "v1.0", "0" * 64, "owner")
OK = Usage(input_tokens=2, output_tokens=3, total_tokens=5)


def parent(
    outputs: Json | None = None, template: str | None = "<{{c}}>", *, shown: str = "content", limits: Limits | None = None, **more: Any
) -> Story:
    part = subflow("sub", "77", outputs, q=at("start.q"), **more)
    return Story(flow(start(q="string"), part, end("<{{c}}>", c=at(f"sub.{shown}")), edges="start > sub > end"), limits).start(q="x")


def begun(**more: Any) -> Story:
    story = parent(**more)
    return story.tell("sub", PINNED)


def child(story: Story) -> str:
    return [event.child for event in story.events if isinstance(event, ChildStarted)][-1]


def hear(story: Story, *texts: str, end: Ending | None = None, question: Json | None = None) -> Story:
    pieces = tuple(Piece("content", text) for text in texts)
    story.take(ChildTold(("flow::sub", ()), child(story), pieces, question, end))
    return story


def test_first_the_release_is_looked_up_for_the_app_that_runs():
    story = parent()
    asked = request(story.state, ("flow::sub", ()), story.graph, story.limits)
    assert isinstance(asked, ReleaseRequest)
    assert (asked.flow, asked.version, asked.app) == ("77", "", story.state.terms.app)


def test_the_child_is_named_with_the_version_that_is_pinned_in_its_parents_slot():
    story = begun()
    event = next(event for event in story.events if isinstance(event, ChildStarted))
    assert (event.flow, event.flow_version, event.definition) == ("77", "v1.0", "0" * 64)
    run = story.state.terms.run
    assert event.child == child_id(run, "flow::sub", 1)
    assert slot_of_id(event.child) == slot_of_id(run)
    assert event.child != child_id(run, "flow::sub", 2)


def test_what_the_child_shows_is_shown_as_it_comes_and_is_the_output():
    story = hear(begun(), "one ", "two")
    assert story.text == "<one two"
    hear(story, "!", end=Ending(None, None, OK))
    assert story.text == "<one two!>"
    assert story.outputs("sub") == {"content": "one two!"}
    assert story.of("run.completed")[0].usage == OK


def test_outputs_of_a_child_are_taken_by_name_and_shown_where_no_text_came():
    story = begun(outputs={"a": "string", "n": "integer", "more": "string"}, shown="a")
    hear(story, end=Ending(None, {"a": "x", "n": 3, "z": 1}, OK))
    assert story.outputs("sub") == {"a": "x", "n": 3, "more": ""}
    assert story.text == "<x>"


def test_an_output_named_content_of_a_child_without_text_is_shown_as_a_value():
    story = hear(begun(), end=Ending(None, {"content": "a value"}, OK))
    assert story.text == "<a value>"


@pytest.mark.parametrize(("outputs", "code"), [({}, 22802), ({"content": 7}, 20601)])
def test_outputs_that_are_missing_or_wrong_fail_the_node(outputs: Json, code: int):
    story = hear(begun(), end=Ending(None, outputs, OK))
    assert story.of("run.failed")[0].code == code


def test_a_child_that_failed_fails_its_node_with_22801_and_its_own_words():
    story = hear(begun(), end=Ending(Problem(code=22801, message="why"), None, OK))
    assert (story.of("run.failed")[0].code, story.of("run.failed")[0].message) == (22801, "why")


def test_a_retried_node_begins_another_child_of_the_same_version():
    story = begun(retry=retry(times=1))
    first = child(story)
    hear(story, end=Ending(Problem(code=22801, message="why"), None, OK))
    assert child(story) != first
    assert child(story) == child_id(story.state.terms.run, "flow::sub", 2)
    hear(story, "well", end=Ending(None, None, OK))
    assert story.outputs("sub") == {"content": "well"}


def test_a_child_that_nobody_waits_for_changes_nothing():
    story = begun(retry=retry(times=1))
    first = child(story)
    hear(story, end=Ending(Problem(code=22801, message="why"), None, OK))
    known = len(story.events)
    story.take(ChildTold(("flow::sub", ()), first, (Piece("content", "late"),), None, Ending(None, None, OK)))
    assert len(story.events) == known


def test_a_look_up_that_fails_ends_the_node_with_its_code():
    story = parent()
    story.tell("sub", Broke(Problem(code=20201, message="there is no flow 77")))
    assert story.of("run.failed")[0].code == 20201


def test_flows_that_call_themselves_end_at_the_limit():
    story = begun(limits=Limits(depth=0))
    failed = story.of("run.failed")[0]
    assert (failed.code, failed.message) == (22801, "flow 77: sub-flows may be nested 0 deep, and this one would be deeper")


def test_the_nodes_time_limit_ends_the_wait():
    story = begun(retry=retry(timeout=2))
    story.wait(1_000)
    assert story.of("node.timed_out") == []
    story.wait(2_000)
    assert story.of("run.failed")[0].message == "Node execution timeout: the sub-flow took 2 s"


QUESTION: Json = {"question": "Tea?", "kind": "direct", "options": [], "need_reply": False, "limit_ms": 60_000, "follow_up": 0}


def test_a_question_of_the_child_is_a_question_of_this_node_and_its_answer_goes_on():
    story = hear(begun(), "one ", question=QUESTION)
    asked = next(event for event in story.events if isinstance(event, QuestionAsked))
    assert (asked.node, asked.text.words, asked.kind) == ("flow::sub", "Tea?", "direct")
    terms = story.state.terms
    words = Protected[str](subject=terms.subject, words="yes")
    story.take(AnswerQuestion(run=terms.run, app=terms.app, question=1, event_type="resume", content=words, by=terms.app))
    assert story.state.children == {child(story): ("flow::sub", ())}
    hear(story, "two", question=QUESTION)
    assert [event.question for event in story.events if isinstance(event, QuestionAsked)] == [1, 2]
    hear(story, end=Ending(Problem(code=22801, message="nobody answered"), None, OK))
    assert story.of("run.failed")[0].message == "nobody answered"
