"""One batch in flight, groups that stay whole, and room for a bounded number of records and bytes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from events.envelope import Envelope, Record, meta_of
from events.node import OutputClosed
from services.kit.blobs import FolderBlobs
from services.kit.errors import AppendFailed, HistoryLost
from services.kit.telling.metrics import Metrics
from services.processor.steps import pipeline as module
from services.processor.steps.pipeline import Pipeline
from tests.support.record import soon
from tests.support.samples import envelope, minimal, words


class Slow:
    """An appender that waits to be let on, and says what offsets it is told to."""

    def __init__(self, *offsets: int) -> None:
        self.batches: list[list[str]] = []
        self.waits = asyncio.Event()
        self.go_on = asyncio.Semaphore(0)
        self._offsets = list(offsets)

    async def append(self, records: Sequence[Record]) -> int:
        self.batches.append([meta_of(record).id for record in records])
        self.waits.set()
        await self.go_on.acquire()
        if not self._offsets:
            raise AppendFailed("no more")
        return self._offsets.pop(0)

    async def close(self) -> None:
        return


def _group(*ids: str, text: str = "") -> list[Envelope]:
    return [envelope(minimal(OutputClosed, text=words(text)), id=id_) for id_ in ids]


def _pipeline(folder: Path, appender: Slow) -> Pipeline:
    return Pipeline(appender, FolderBlobs(folder), Metrics())


async def test_what_waits_while_a_batch_is_in_flight_goes_together_in_the_next(tmp_path: Path) -> None:
    appender = Slow(0, 1)
    pipeline = _pipeline(tmp_path, appender)
    told: list[str] = []
    running = asyncio.ensure_future(pipeline.run())
    pipeline.put(_group("a"), lambda: told.append("a"))
    await soon("the first batch", asyncio.ensure_future(appender.waits.wait()))
    pipeline.put(_group("b", "c"), lambda: told.append("bc"))
    pipeline.put(_group("d"))
    assert told == []
    appender.go_on.release()
    appender.go_on.release()
    await soon("the end of the writing", asyncio.ensure_future(pipeline.drained()))
    assert appender.batches == [["a"], ["b", "c", "d"]]
    assert told == ["a", "bc"]
    assert (pipeline.written, pipeline.last) == (4, 3)
    running.cancel()


async def test_a_group_never_straddles_two_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_RECORDS", 3)
    appender = Slow(0, 2, 4)
    pipeline = _pipeline(tmp_path, appender)
    for group in (_group("a", "b"), _group("c", "d"), _group("e", "f", "g", "h")):
        pipeline.put(group)
    for _ in range(3):
        appender.go_on.release()
    running = asyncio.ensure_future(pipeline.run())
    await soon("the end of the writing", asyncio.ensure_future(pipeline.drained()))
    assert appender.batches == [["a", "b"], ["c", "d"], ["e", "f", "g", "h"]]
    running.cancel()


async def test_a_failure_closes_it_and_nobody_is_told(tmp_path: Path) -> None:
    appender = Slow()
    pipeline = _pipeline(tmp_path, appender)
    told: list[str] = []
    pipeline.put(_group("a"), lambda: told.append("a"))
    appender.go_on.release()
    with pytest.raises(AppendFailed):
        await soon("the end of the pipeline", asyncio.ensure_future(pipeline.run()))
    assert told == []


async def test_a_log_that_was_cut_is_noticed_with_the_next_batch(tmp_path: Path) -> None:
    appender = Slow(10, 10)
    pipeline = _pipeline(tmp_path, appender)
    running = asyncio.ensure_future(pipeline.run())
    for id_ in ("a", "b"):
        appender.waits.clear()
        pipeline.put(_group(id_))
        await soon("a batch", asyncio.ensure_future(appender.waits.wait()))
        appender.go_on.release()
    with pytest.raises(HistoryLost):
        await soon("the end of the pipeline", running)


@pytest.mark.parametrize(("limit", "value", "text"), [("WAITING_LIMIT", 2, ""), ("WAITING_BYTES", 10_000, "x" * 6_000)])
async def test_there_is_no_room_for_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, text: str
) -> None:
    monkeypatch.setattr(module, limit, value)
    appender = Slow(0)
    pipeline = _pipeline(tmp_path, appender)
    pipeline.put(_group("a", text=text))
    await soon("room for more", asyncio.ensure_future(pipeline.room()))
    pipeline.put(_group("b", text=text))
    room = asyncio.ensure_future(pipeline.room())
    running = asyncio.ensure_future(pipeline.run())
    await asyncio.wait({room}, timeout=0)
    assert not room.done() or appender.batches, "there was room before anything was written"
    appender.go_on.release()
    await soon("room again", room)
    running.cancel()
