"""Answering a question of a run: find which one is open, wish for its answer, go on reading where the question stopped.

In come a run's follower and what somebody answers; out come the events there are already and the number of the question.
Two who answer at once both name the same question, so one of them is refused and no later question is ever hit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from events.acceptance import Accepted
from events.commands import AnswerQuestion
from events.envelope import Protected
from events.question import AnswerType, QuestionAsked
from events.run import RunStarted
from events.topics import run_stream, slot_of_id
from services.api.api import Api
from services.api.follow import Follower
from services.api.identity import Caller
from services.api.problems import Refusal

NOT_PAUSED = "Current event is not paused"
_TYPES: dict[str, AnswerType] = {"resume": "resume", "ignore": "ignore", "abort": "abort"}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that was taken: the run's terms, the question's number, the event of the answer, what was read before."""

    terms: RunStarted
    question: int
    accepted: Accepted
    before: Sequence[Accepted]


async def answer_question(
    api: Api, caller: Caller, follower: Follower, event_type: str, content: str, question: int | None = None
) -> Answered:
    """Answer the newest question of a run (or the one that is named). Raises `Refusal`: 23900, 23901, 20005."""
    before = await follower.present()
    terms = before[0].envelope.data
    asked = sum(isinstance(event.envelope.data, QuestionAsked) for event in before)
    if not isinstance(terms, RunStarted) or not asked or follower.ended:
        raise Refusal(23900, f"The run does not wait for an answer ({NOT_PAUSED})")
    wish = AnswerQuestion(
        run=terms.run,
        app=caller.app,
        by=caller.app,
        question=asked if question is None else question,
        event_type=_TYPES.get(event_type, "other"),
        content=Protected[str](subject=terms.subject, words=content),
    )
    slot = slot_of_id(terms.run)
    accepted = await api.commander.submit(wish, stream=run_stream(terms.run), slot=slot, app=caller.app, actor=caller.app)
    follower.is_the_requests = True
    return Answered(terms, wish.question, accepted, before)
