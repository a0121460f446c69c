"""Questions to people (astron.md 5): one at a time in a run, one answer to each, until its deadline.

In comes a turn in which a node has something to ask, somebody answered, or time passed; out go question events and what
an answer leads to. Who has something to ask while a question is open stands in the run's line.
"""

from collections.abc import Sequence

from events.commands import AnswerQuestion
from events.envelope import Protected
from events.node import Problem as Said
from events.question import Option, QuestionAnswered, QuestionAsked, QuestionExpired
from services.core.codes import Code
from services.core.language.graph import Graph
from services.core.language.kind import Query
from services.core.language.values import encodable
from services.core.problems import Problem
from services.core.running.audit import clears
from services.core.running.node_runs import complete, fail, said
from services.core.running.run_state import Active, NotStarted, Place, RunState
from services.core.running.steps import ask as asked_of
from services.core.running.steps import take_step
from services.core.running.turn import Limits, Turn


def ask(turn: Turn) -> None:
    """Put the question of the first in line, if none is open and that one is not busy with an answer."""
    run = turn.run
    if not run.line or run.question is not None or run.line[0] in run.working:
        return
    place = run.line[0]
    try:
        query = asked_of(run, place, turn.graph, turn.limits)
    except Problem as problem:
        fail(turn, place, said(problem))
        return
    assert isinstance(query, Query), "only nodes with a question stand in line"
    limit = turn.limits.question_ms
    if query.limit_ms > limit:
        what = f"{place[0]}: nodeParam.timeout is {query.limit_ms / 60_000:g} minutes, here questions wait at most {limit / 60_000:g}"
        fail(turn, place, Said(code=Code.QUESTION_ANSWER_NODE_PROTOCOL_ERROR, message=what))
        return
    asked = _asked(run, place, query, turn.time)
    if clears(turn, asked.spoken):
        turn.emit(asked)


def spoken(state: Active, graph: Graph, limits: Limits) -> str:
    """The question of the first in line as one text, as it is judged. Raises `Problem`."""
    place = state.line[0]
    query = asked_of(state, place, graph, limits)
    assert isinstance(query, Query), "only nodes with a question stand in line"
    return _asked(state, place, query, 0).spoken


def _asked(run: Active, place: Place, query: Query, time: int) -> QuestionAsked:
    subject = run.terms.subject
    options = Protected[tuple[Option, ...]](subject=subject, words=query.options) if query.kind == "option" else None
    return QuestionAsked(
        node=place[0],
        path=place[1],
        attempt=run.nodes[place].attempt,
        question=run.asked + 1,
        kind=query.kind,
        text=Protected[str](subject=subject, words=encodable(query.text)),
        options=options,
        need_reply=query.need_reply,
        deadline=time + query.limit_ms,
        follow_up=query.follow_up,
        chat=run.terms.chat,
    )


def why_not(state: RunState, wish: AnswerQuestion, time: int) -> Problem | None:
    """Why a question cannot be answered (so); None if it can."""
    if isinstance(state, NotStarted):
        return Problem(Code.EVENT_REGISTRY_NOT_FOUND_ERROR, "there is no such run")
    app = state.terms.app if isinstance(state, Active) else state.app
    if app != wish.app:
        return Problem(Code.APP_FLOW_NO_LICENSE_ERROR, "the run belongs to another app")
    if not isinstance(state, Active):
        return Problem(Code.EVENT_REGISTRY_NOT_FOUND_ERROR, "the run has ended")
    if state.terms.parent is not None:
        return Problem(
            Code.EVENT_REGISTRY_NOT_FOUND_ERROR, f"the question was put to the person by run {state.terms.parent.run}: answer there"
        )
    question = state.question
    if question is not None and question.number == wish.question:
        if state.audit is not None and state.audit.answer is not None:
            return Problem(Code.EVENT_BUSY_ERROR, f"an answer to question {wish.question} is being judged; try again")
        expired = time >= question.deadline
        return Problem(Code.EVENT_REGISTRY_NOT_FOUND_ERROR, "the question has expired") if expired else None
    if 0 < wish.question <= state.asked:
        return Problem(Code.EVENT_BUSY_ERROR, f"question {wish.question} has its answer, the run goes on; follow it instead")
    return Problem(Code.EVENT_REGISTRY_NOT_FOUND_ERROR, "Current event is not paused")


def answer(turn: Turn, wish: AnswerQuestion) -> Sequence[Place]:
    """Take an answer that may be given; the places that moved."""
    question = turn.run.question
    assert question is not None, "there is a question"
    place = question.place
    known = turn.run.nodes[place]
    turn.emit(
        QuestionAnswered(
            node=place[0],
            path=place[1],
            attempt=known.attempt,
            question=question.number,
            event_type=wish.event_type,
            content=wish.content,
            by=wish.by,
        )
    )
    try:
        finished = take_step(turn, place, {"event_type": wish.event_type, "content": wish.content.words or ""})
    except Problem as problem:
        fail(turn, place, said(problem))
        return ()
    return (place,) if finished is not None and complete(turn, place, finished, usage=known.usage) else ()


def expire(turn: Turn) -> bool:
    """The deadline may have passed: that fails the node, and with it the run (5.5) or its round."""
    question = turn.run.question
    if question is None or turn.time < question.deadline or question.place[0] not in turn.graph.nodes:
        return False
    place = question.place
    limit = question.deadline - question.asked
    attempt = turn.run.nodes[place].attempt
    turn.emit(QuestionExpired(node=place[0], path=place[1], attempt=attempt, question=question.number, limit_ms=limit))
    message = f"Timeout while waiting for user response: nobody answered for {limit / 1000:g} s"
    fail(turn, place, Said(code=Code.EVENT_REGISTRY_NOT_FOUND_ERROR, message=message))
    return True


def ends_at(run: Active, run_ms: int) -> int:
    """When the run will have been active for `run_ms`, at the earliest; a question that is open now may be so until its deadline."""
    waits = 0
    if run.question is not None and run.idle_since is not None:
        waits = max(0, run.question.deadline - run.idle_since)
    return run.began + run.idle_ms + waits + run_ms
