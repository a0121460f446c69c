"""The part of a run's fold that people see: who has the floor, what was shown, which question is open, what was said in the chat."""

from collections.abc import Collection

from events import node as n
from events import question as q
from services.core.running.active import Active, Floor, Question
from services.core.running.changing import replace
from services.core.running.chats import Exchange
from services.core.running.held import HeldAnswer, Mark, held, let_go
from services.core.running.node_run import Place
from services.core.running.pieces import NOTHING


def exchanges(state: Active) -> tuple[Exchange, ...]:
    """What was said in this run so far, as rounds of its chat."""
    return (*state.said, Exchange(state.terms.run, state.asks, state.shown.text)) if state.terms.chat else ()


def seen(state: Active, *texts: str) -> Active:
    """Pieces of text that a person of a chat sees, or the model that called the run as a tool."""
    kept = state.terms.chat or (state.terms.parent is not None and state.terms.parent.as_tool)
    some = [text for text in texts if text] if kept else ()
    return replace(state, shown=state.shown.add(*some)) if some else state


def evolve_output(state: Active, place: Place, event: n.NodeEvent) -> Active:
    """What an output node does with the floor."""
    audit = state.audit
    if audit is not None and isinstance(event, n.OutputOpened | n.OutputReleased | n.OutputClosed):
        text = "" if isinstance(event, n.OutputOpened) or (isinstance(event, n.OutputReleased) and event.stage != "content") else event.text
        return seen(replace(state, audit=let_go(audit, event)), (text.words if text else None) or "")
    match event:
        case n.OutputHeld():
            return _held(state, place, event)
        case n.OutputOpened():
            return replace(state, floor=Floor(place), queue=tuple(one for one in state.queue if one != place))
        case n.OutputReleased():
            state = seen(state, _released(state, event)) if event.stage == "content" else state
            taken = event.of.stop if event.of else 0
            return replace(state, floor=Floor(place, event.unit if event.of else event.unit + 1, taken))
        case n.OutputClosed():
            return replace(seen(state, event.text.words or ""), floor=None)
        case _:
            return state


def _held(state: Active, place: Place, event: n.OutputHeld) -> Active:
    """The floor moves as if it was shown, and what would have been is kept."""
    if state.audit is None:
        return state
    text = _released(state, event)
    mark = Mark(event.what, place, event.attempt, event.unit, event.stage, text)
    state = replace(state, audit=held(state.audit, mark))
    match event.what:
        case "opened":
            return replace(state, floor=Floor(place), queue=tuple(one for one in state.queue if one != place))
        case "text":
            return replace(state, floor=Floor(place, event.unit if event.of else event.unit + 1, event.of.stop if event.of else 0))
        case "closed":
            return replace(state, floor=None)


def _released(state: Active, event: n.OutputReleased | n.OutputHeld) -> str:
    if event.of is None:
        return (event.text.words if event.text else None) or ""
    source = state.nodes.get((event.of.node, event.of.path))
    return source.pieces(event.of.stage).between(event.of.start, event.of.stop) if source else ""


def evolve_question(
    state: Active, event: q.QuestionAsked | q.QuestionAnswered | q.QuestionExpired | q.AnswerHeld | q.AnswerRefused, time: int
) -> Active:
    """The one question that is open, the answer that is judged, and the rounds of the chat that answers make."""
    if state.audit is not None:
        state = replace(state, audit=replace(state.audit, answer=_held_answer(event), cleared=""))
    if isinstance(event, q.AnswerHeld | q.AnswerRefused):
        return state
    if not isinstance(event, q.QuestionAsked):
        known = state.question
        if isinstance(event, q.QuestionAnswered) and state.terms.chat:
            state = replace(state, said=exchanges(state), asks=event.content.words or "", shown=NOTHING)
        return replace(state, question=None) if known and known.number == event.question else state
    options = event.options.words if event.options else None
    asked = Question(
        place=(event.node, event.path),
        number=event.question,
        text=event.text.words or "",
        options=options or (),
        need_reply=event.need_reply,
        asked=time,
        deadline=event.deadline,
        follow_up=event.follow_up,
    )
    return replace(seen(state, event.spoken), question=asked, asked=max(state.asked, event.question))


def _held_answer(event: n.NodeEvent) -> HeldAnswer | None:
    if not isinstance(event, q.AnswerHeld):
        return None
    return HeldAnswer(event.question, event.event_type, event.content.words or "", event.by)


def out_of_line(state: Active, place: Place) -> Active:
    """A node that has nothing to ask any more."""
    if place not in state.line:
        return state
    question = None if state.question and state.question.place == place else state.question
    return replace(state, line=tuple(one for one in state.line if one != place), question=question)


def silenced(state: Active, places: Collection[Place]) -> Active:
    """Output nodes that have nothing to show any more."""
    floor = None if state.floor and state.floor.place in places else state.floor
    return replace(state, floor=floor, queue=tuple(one for one in state.queue if one not in places))
