"""Answering a question of a run: find which one is open, wish for its answer, go on reading where the question stopped.

In come a run's follower and what somebody answers; out come the events there are already and the number of the question.
Where answers are judged, the verdict is waited for.
Two who answer at once both name the same question, so one of them is refused and no later question is ever hit.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from events.acceptance import Accepted
from events.commands import AnswerQuestion
from events.envelope import Protected
from events.question import AnswerHeld, AnswerRefused, AnswerType, QuestionAnswered, QuestionAsked, QuestionExpired
from events.run import RunStarted
from events.topics import run_stream, slot_of_id
from services.api.answers.problems import Refusal
from services.api.api import Api
from services.api.following.follow import Follower
from services.api.gate.identity import Caller
from services.kit.errors import NotReady

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
    """Answer the newest question of a run (or the one that is named). Raises `Refusal`: 23900, 23901, 20005, 21101, 21102."""
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
    if not isinstance(accepted.envelope.data, AnswerHeld):
        return Answered(terms, wish.question, accepted, before)
    settings = api.world.settings
    patience = settings.audit_patience_s + settings.write_wait_s
    heard: list[Accepted] = []
    try:
        async with asyncio.timeout(patience):
            while not (verdict := _verdict(heard, wish.question)) and not follower.ended:
                heard += await follower.next()
    except TimeoutError:
        raise NotReady(f"the answer was not judged within {patience:g} s; it may still count: follow the run") from None
    return Answered(terms, wish.question, verdict or heard[-1], [*before, *heard])


def _verdict(heard: Sequence[Accepted], question: int) -> Accepted | None:
    """The event that lets an answer count, if it came. Raises `Refusal` for one that did not pass, and for a question that expired."""
    for event in heard:
        match event.envelope.data:
            case QuestionAnswered() as data if data.question == question:
                return event
            case AnswerRefused() as data if data.question == question:
                raise Refusal(data.code, data.message)
            case QuestionExpired() as data if data.question == question:
                raise Refusal(23900, "the question expired while its answer was judged")
            case _:
                pass
    return None
