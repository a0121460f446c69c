"""What waits to be decided: in its order, text of one effect together, nothing kept of what was never put."""

import asyncio

import pytest

from services.core.running.effects import Piece
from services.core.running.run import GoOn, Told
from services.core.running.run_state import Errand
from services.processor.steps import inbox
from services.processor.steps.inbox import Inbox, Moved

ERRAND = Errand(("llm", ()), 1, 0)


async def test_text_that_comes_while_others_wait_is_taken_together():
    waiting = Inbox()
    await waiting.say("1", ERRAND, Piece("content", "a"))
    await waiting.put(Moved("2", GoOn()))
    await waiting.say("1", ERRAND, Piece("content", "b"))

    told = Told(ERRAND.place, 1, Piece("content", "a"), 0, [Piece("content", "b")])
    assert [await waiting.next(), await waiting.next()] == [Moved("1", told), Moved("2", GoOn())]


async def test_an_effect_that_is_ended_before_there_is_room_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inbox, "INBOX", 1)
    waiting = Inbox()
    await waiting.put(Moved("2", GoOn()))
    told = asyncio.create_task(waiting.say("1", ERRAND, Piece("content", "a")))
    await asyncio.wait({told}, timeout=0)
    told.cancel()
    await asyncio.wait({told})

    assert await waiting.next() == Moved("2", GoOn())
    await waiting.say("1", ERRAND, Piece("content", "b"))
    async with asyncio.timeout(1):
        assert await waiting.next() == Moved("1", Told(ERRAND.place, 1, Piece("content", "b"), 0, []))
