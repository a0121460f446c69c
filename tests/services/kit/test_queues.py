"""What waits is bounded, and at the bound somebody is told."""

import asyncio
from pathlib import Path

import pytest

from events.topics import COMMANDS
from services.kit.embedded import writer as sqlite_writer
from services.kit.embedded.groups import CHANGES, Changes
from services.kit.errors import AppendFailed
from services.kit.kafka import shared as kafka_shared
from services.kit.kafka.shared import SharedProducer
from tests.contracts.log_place import a_record
from tests.support.worlds import embedded_world


async def test_of_too_many_words_of_the_group_the_newest_are_heard():
    changes = Changes[int]()
    for number in range(CHANGES + 5):
        changes.tell(number)
    heard = [changes.get_nowait() for _ in range(changes.qsize())]
    assert heard == list(range(5, CHANGES + 5))


async def test_the_embedded_log_refuses_what_would_wait_behind_too_much_and_takes_more_when_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite_writer, "WAITING_BYTES", 2_000)
    async with embedded_world(tmp_path) as world:
        results = await asyncio.gather(*(world.log.append(COMMANDS, 0, [a_record()]) for _ in range(200)), return_exceptions=True)
        written = [one for one in results if isinstance(one, int)]
        refused = [one for one in results if isinstance(one, AppendFailed)]
        assert written == list(range(len(written))), "no offset is lost"
        assert len(written) + len(refused) == 200
        assert "too slow" in str(refused[0])
        assert await world.log.append(COMMANDS, 0, [a_record()]) == len(written)


async def test_a_producer_refuses_what_would_wait_behind_too_much(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kafka_shared, "WAITING_BYTES", 2_000)
    begun = []
    producer = SharedProducer(None, begun.append, lambda _: None)  # type: ignore[arg-type] (nothing is sent)
    calls = [asyncio.ensure_future(producer.append(COMMANDS, 0, [a_record()])) for _ in range(200)]
    done, waiting = await asyncio.wait(calls, timeout=0.1)
    assert done
    assert waiting
    assert all("too slow" in str(one.exception()) for one in done)
    for one in waiting:
        one.cancel()
    await asyncio.wait(waiting)
    assert producer._waiting == 0
    begun[0].close()
