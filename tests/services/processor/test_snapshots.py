"""Snapshots: an owner leaves them, the next one begins there, and what does not fit is folded anew or stops the program."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from events import topics
from events.acceptance import Acceptance, Checkpoint
from events.commands import AnswerQuestion
from events.envelope import Protected, Record, StoredRecord
from services.kit.errors import AppendFailed
from services.kit.log import is_tombstone, tombstone
from services.kit.world import World
from services.processor.memory import snapshots
from services.processor.memory.ids import Ids, MemoryKept
from services.processor.memory.state import PartitionState
from services.processor.steps.reading import Poisoned
from services.processor.taking.takeover import Ownership, take_over
from tests.support.asking import direct
from tests.support.documents import model_flow, plain_flow
from tests.support.processors import Gate, Processor, Script, cancel_run, define, post, start, wish
from tests.support.record import accepted, ended, until
from tests.support.worlds import HandClock, embedded_world, seen_by


async def _confirmed() -> None:
    return None


async def _taken(world: World, *, close: bool = True) -> Ownership:
    ownership = await take_over(world, 0, _confirmed)
    if close:
        await _close(ownership)
    return ownership


async def _close(ownership: Ownership) -> None:
    """Close it; what is in its local file is in memory from now on."""
    kept = MemoryKept()
    kept.keep(ownership.state.ids)
    ownership.state.ids = Ids(kept)
    await ownership.close()


async def _folded(world: World) -> PartitionState:
    """The state as the whole log says."""
    fold, state = Acceptance(Checkpoint("", 0)), PartitionState()
    for stored in await world.log.read(topics.EVENTS, 0, 0, 100_000):
        event = fold.step(stored)
        if event is not None:
            state.apply(event.meta, event.envelope.data)
    return state


def _said(state: PartitionState) -> dict[str, Any]:
    runs = {run: (replace(one, terms=None), one.terms.model_dump(), state.book.positions[f"run-{run}"]) for run, one in state.runs.items()}
    return {"runs": runs, **{name: getattr(state, name) for name in ("flows", "apps", "bots")}, "ids": set(state.ids)}


async def _ran(world: World, count: int, key: str = "k") -> None:
    definition = await define(world, plain_flow())
    async with Processor(world):
        for number in range(count):
            await until(world, "end of a run", ended(await start(world, definition, key=f"{key}{number}")))


async def _newest(world: World) -> dict[str, Record]:
    found: dict[str, Record] = {}
    at, _ = await world.log.bounds(topics.SNAPSHOTS, 0)
    while stored := await world.log.read(topics.SNAPSHOTS, 0, at):
        found |= {one.record.key.decode(): one.record for one in stored}
        at = stored[-1].offset + 1
    return {key: record for key, record in found.items() if not is_tombstone(record)}


async def test_who_is_stopped_leaves_a_snapshot_and_the_next_owner_folds_only_what_came_after(world: World) -> None:
    await _ran(world, 3)
    taken = await _taken(world)
    assert taken.folded == 1
    assert taken.commands_from == 3
    whole = await _folded(world)
    assert set(taken.state.ids) == set(whole.ids)
    assert Counter(one[0] for one in whole.ids) == {"command": 3, "key": 3, "ended": 3}


async def test_every_so_many_events_there_is_a_snapshot(tmp_path: Path) -> None:
    async with embedded_world(tmp_path, snapshot_events=20) as world:
        definition = await define(world, plain_flow())
        processor = Processor(world).start()
        for _ in range(6):
            await until(world, "end of a run", ended(await start(world, definition)))
        await processor.kill()
        end = (await world.log.bounds(topics.EVENTS, 0))[1]
        assert "partition" in await _newest(world)
        taken = await _taken(world)
        assert taken.folded < end - 15
        assert set(taken.state.ids) == set((await _folded(world)).ids)


async def test_a_run_under_way_is_taken_over_from_its_snapshot_and_ends_as_it_should(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(1)
    script = Script("one ", "two", pace=gate)
    monkeypatch.setattr("services.processor.doing.perform", script.perform)
    definition = await define(world, model_flow())
    first = Processor(world).start()
    run = await start(world, definition)
    await script.has_said(1)
    await until(world, "a word", lambda history: any(event.meta.type == "node.delta" for event in history) or None)
    await first.stop()
    assert f"run-{run}" in await _newest(world)
    gate.let(10)
    async with Processor(world):
        await until(world, "end of the run", ended(run))
    history = await accepted(world)
    assert [event.envelope.data.text.words for event in history if event.meta.type == "node.delta"] == ["one ", "two"]  # type: ignore[attr-defined]
    assert script.calls[-1].recorded == "one "
    assert f"run-{run}" not in await _newest(world)


async def test_words_of_people_are_protected_in_snapshots(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.processor.doing.perform", Script("never", pace=Gate()).perform)
    async with Processor(world):
        run = await start(world, await define(world, model_flow()), asked="my secret")
        await until(world, "a start", lambda history: any(event.meta.type == "model.called" for event in history) or None)
    row = snapshots.Row.model_validate_json((await _newest(world))[f"run-{run}"].value)
    assert row.state is not None
    assert row.state.subject == "demo/person"
    assert "my secret" in (row.state.words or "")


@pytest.mark.parametrize("place", range(1, 6))
async def test_a_set_that_was_torn_anywhere_is_no_harm(world: World, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second set of records stops after so many of them; what is found then is what the whole log says."""
    monkeypatch.setattr("services.processor.doing.perform", Script("never", pace=Gate()).perform)
    definition, plain = await define(world, model_flow()), await define(world, plain_flow())
    async with Processor(world):
        runs = [await start(world, definition, asked=str(number)) for number in range(2)]
        await until(world, "calls", lambda history: [one.meta.type for one in history].count("model.called") == 2 or None)
    async with Processor(seen_by(world, _Torn(world, place))):
        await post(world, wish(world, cancel_run(runs[0]), runs[0]))
        await until(world, "end", ended(runs[0]))
        await until(world, "end", ended(await start(world, plain, key="k")))
        runs.append(await start(world, definition, asked="3"))
        await until(world, "calls", lambda history: [one.meta.type for one in history].count("model.called") == 4 or None)
    with structlog.testing.capture_logs() as logs:
        taken = await _taken(world)
    assert not [line for line in logs if line["event"] == "snapshot.not_used"]
    assert _said(taken.state) == _said(await _folded(world))
    async with Processor(world):
        await post(world, wish(world, cancel_run(runs[1]), runs[1]))
        await until(world, "end", ended(runs[1]))
    with structlog.testing.capture_logs() as logs:
        after = await _taken(world)
    assert not [line for line in logs if line["event"] == "snapshot.not_used"]
    assert after.folded == 1
    assert _said(after.state) == _said(await _folded(world))
    assert set(await _newest(world)) == {f"run-{runs[2]}", "ids-0", "partition"}


class _Torn:
    """A log that takes only so many records of snapshots, one by one, and then says that it failed."""

    def __init__(self, world: World, place: int) -> None:
        self._log = world.log
        self._left = place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, topic: str, partition: int, records: list[Record]) -> int:
        if topic == topics.SNAPSHOTS:
            if self._left:
                await self._log.append(topic, partition, records[: self._left])
                self._left = max(0, self._left - len(records))
            if not self._left:
                raise AppendFailed("the log is full")
        return await self._log.append(topic, partition, records)


async def _spoilt(world: World, key: str, change: Any) -> str:
    """Why the snapshot is not used once this record is another."""
    record = (await _newest(world))[key]
    await world.log.append(topics.SNAPSHOTS, 0, [change(record)])
    with structlog.testing.capture_logs() as logs:
        taken = await _taken(world)
    assert _said(taken.state) == _said(await _folded(world))
    (line,) = [line for line in logs if line["event"] == "snapshot.not_used"]
    assert taken.folded == (await world.log.bounds(topics.EVENTS, 0))[1]
    return line["reason"]


def _standing(**other: Any) -> Any:
    def change(record: Record) -> Record:
        standing = snapshots.Standing.model_validate_json(record.value)
        return replace(record, value=standing.model_copy(update=other).model_dump_json().encode())

    return change


def _gone(record: Record) -> Record:
    return tombstone(record.key, 0)


def _garbled(record: Record) -> Record:
    return replace(record, value=b"{")


def _of_another_shape(record: Record) -> Record:
    return replace(record, headers=tuple((name, b"other" if name == "shape" else value) for name, value in record.headers))


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        ("partition", _standing(topic="another"), "made from another topic"),
        ("partition", _standing(last="another"), "the log has another record at offset"),
        ("partition", _standing(offset=1), "the log has another record at offset 0"),
        ("partition", _standing(claim="a zombie's"), "its claim a zombie's is not the one at its place"),
        ("partition", _standing(streams=7), "its streams are not those that it says"),
        ("partition", _of_another_shape, "another version of this program wrote it"),
        ("partition", _gone, "it has no place in the log"),
        ("partition", _garbled, "another version of this program wrote it"),
        ("ids-0", _of_another_shape, "another version of this program wrote it"),
        ("ids-0", _gone, "its streams are not those that it says"),
    ],
)
async def test_a_snapshot_that_does_not_fit_is_folded_anew_and_the_log_says_why(world: World, key: str, change: Any, reason: str) -> None:
    await _ran(world, 2)
    assert reason in await _spoilt(world, key, change)


async def test_after_a_snapshot_that_did_not_fit_comes_one_that_does(world: World) -> None:
    await _ran(world, 2)
    await _spoilt(world, "partition", _of_another_shape)
    await _ran(world, 1, "other")
    assert (await _taken(world)).folded == 1


async def test_a_stream_that_a_zombie_wrote_over_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.processor.doing.perform", Script("one ", "two ", pace=(gate := Gate(1))).perform)
    definition = await define(world, model_flow())
    async with Processor(world):
        run = await start(world, definition)
        await until(world, "a word", lambda history: any(event.meta.type == "node.delta" for event in history) or None)
    old = (await _newest(world))[f"run-{run}"]

    def _other(_: Record) -> Record:
        return old

    async with Processor(world):
        gate.let()
        await until(world, "two words", lambda history: [one.meta.type for one in history].count("node.delta") == 2 or None)
    assert "its streams are not those that it says" in await _spoilt(world, f"run-{run}", _other)


async def test_a_log_that_is_shorter_than_its_snapshot_stops_the_program_with_a_sentence(world: World) -> None:
    await _ran(world, 2)
    await _spoilt(world, "partition", _standing(topic="another"))
    await _ran(world, 1, "other")

    class Shorter:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.log, name)

        async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
            begin, end = await world.log.bounds(topic, partition)
            return (begin, end - 2) if topic == topics.EVENTS else (begin, end)

    with pytest.raises(Poisoned, match=r"ends at offset \d+, and a snapshot stands for \d+: what was between is lost"):
        await take_over(seen_by(world, Shorter()), 0, _confirmed)


@pytest.mark.parametrize("after", [topics.EVENTS, topics.SNAPSHOTS])
async def test_what_another_owner_adds_while_the_snapshots_are_read_is_no_loss(world: World, after: str) -> None:
    await _ran(world, 1)

    class Busy:
        added = False

        def __getattr__(self, name: str) -> Any:
            return getattr(world.log, name)

        async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
            found = await world.log.bounds(topic, partition)
            if topic == after and not self.added:
                self.added = True
                await _ran(world, 2, "meanwhile")
            return found

    ownership = await take_over(seen_by(world, Busy()), 0, _confirmed)
    await _close(ownership)
    assert set(ownership.state.ids) == set((await _folded(world)).ids)


async def test_a_set_that_another_owner_was_still_writing_does_not_spoil_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a run that is alive in it, and that the new owner never wrote of."""
    gate = Gate(1)
    monkeypatch.setattr("services.processor.doing.perform", Script("one ", "two", pace=gate).perform)
    definition = await define(world, model_flow())
    await _ran(world, 1)
    first = Processor(world).start()
    run = await start(world, definition)
    await until(world, "a word", lambda history: any(event.meta.type == "node.delta" for event in history) or None)

    class Late:
        done = False

        def __getattr__(self, name: str) -> Any:
            return getattr(world.log, name)

        async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
            found = await world.log.bounds(topic, partition)
            if topic == topics.EVENTS and not self.done:
                self.done = True
                await first.stop()
                gate.let(10)
            return found

    late = Processor(seen_by(world, Late())).start()
    await until(world, "end of the run", ended(run))
    await late.stop()
    with structlog.testing.capture_logs() as logs:
        taken = await _taken(world)
    assert [line["reason"] for line in logs if line["event"] == "snapshot.not_used"] == []
    assert taken.folded == 1


async def test_a_log_whose_beginning_was_cleaned_away_is_gone_on_with_from_the_snapshot(world: World) -> None:
    await _ran(world, 2)
    whole = await _folded(world)

    class Cleaned:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.log, name)

        async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
            begin, end = await world.log.bounds(topic, partition)
            return (3, end) if topic == topics.EVENTS else (begin, end)

    ownership = await take_over(seen_by(world, Cleaned()), 0, _confirmed)
    await _close(ownership)
    assert set(ownership.state.ids) == set(whole.ids)


async def test_a_log_on_another_cluster_is_folded_anew(world: World, tmp_path: Path) -> None:
    await _ran(world, 2)
    async with embedded_world(tmp_path / "other", clock=HandClock()) as other:
        for topic in (topics.EVENTS, topics.COMMANDS, topics.SNAPSHOTS):
            begin, _ = await world.log.bounds(topic, 0)
            stored: list[StoredRecord] = [*await world.log.read(topic, 0, begin, 10_000)]
            await other.log.append(topic, 0, [one.record for one in stored])
        with structlog.testing.capture_logs() as logs:
            taken = await _taken(other)
        assert next(line["reason"] for line in logs if line["event"] == "snapshot.not_used").startswith("it was made from another topic")
        assert _said(taken.state) == _said(await _folded(other))


async def test_a_snapshot_that_cannot_be_written_disturbs_nobody(world: World) -> None:
    definition = await define(world, plain_flow())
    async with Processor(seen_by(world, _Torn(world, 0))):
        await until(world, "end of a run", ended(await start(world, definition)))
    assert await _newest(world) == {}
    assert (await _taken(world)).commands_from == 1


# Runs that rest.


async def _asked(world: World, run: str, number: int = 1) -> None:
    def look(history: Any) -> Any:
        asked = [one for one in history if one.meta.type == "question.asked" and one.meta.stream == f"run-{run}"]
        return asked if len(asked) == number else None

    await until(world, "question", look)


def _answer(run: str) -> AnswerQuestion:
    words = Protected[str](subject="demo/person", words="Ada")
    return AnswerQuestion(run=run, app="demo", by="demo", question=1, event_type="resume", content=words)


async def _at_rest(world: World, count: int) -> Processor:
    """A processor after a snapshot, with so many runs out of memory that wait for an answer."""
    definition = await define(world, direct())
    async with Processor(world):
        for number in range(count):
            await _asked(world, await start(world, definition, asked=str(number)))
    return Processor(world).start()


def _resting(world: World) -> float:
    return world.metrics.registry.get_sample_value("prozess_runs_resting", {"partition": "0"}) or 0


async def test_runs_that_wait_for_a_person_are_taken_over_without_being_looked_at(world: World) -> None:
    await (await _at_rest(world, 3)).stop()
    taken = await _taken(world, close=False)
    assert (dict(taken.state.runs.awake), len(taken.state.runs.rows)) == ({}, 3)
    await taken.close()
    assert not list((world.settings.data / "cache").iterdir())


async def test_an_answer_brings_a_run_back_that_rests(world: World) -> None:
    processor = await _at_rest(world, 2)
    run = _run_of(await accepted(world))
    await post(world, wish(world, _answer(run), run))
    await until(world, "end of the run", ended(run))
    await processor.stop()
    assert [one.meta.type for one in await accepted(world) if one.meta.stream == f"run-{run}"][-1] == "run.completed"
    assert _resting(processor.world) == 1


async def test_a_run_that_rests_can_be_cancelled(world: World) -> None:
    processor = await _at_rest(world, 1)
    run = _run_of(await accepted(world))
    await post(world, wish(world, cancel_run(run), run))
    await until(world, "end of the run", ended(run))
    await processor.stop()
    assert set(await _newest(world)) == {"ids-0", "partition"}


async def test_the_deadline_of_a_run_that_rests_comes(tmp_path: Path) -> None:
    clock = HandClock()
    async with embedded_world(tmp_path, clock=clock) as world:
        processor = await _at_rest(world, 1)
        run = _run_of(await accepted(world))
        await until(world, "second claim", lambda history: [one.meta.type for one in history].count("partition.claimed") == 2 or None)
        clock.move(200)
        await until(world, "end of the run", ended(run))
        await processor.stop()
        assert "question.expired" in [one.meta.type for one in await accepted(world)]


async def test_runs_leave_the_memory_with_the_snapshot_that_has_them(tmp_path: Path) -> None:
    async with embedded_world(tmp_path, snapshot_events=5) as world:
        definition = await define(world, direct())
        async with Processor(world) as processor:
            runs = [await start(world, definition, asked=str(number)) for number in range(4)]
            for run in runs:
                await _asked(world, run)
            await post(world, wish(world, _answer(runs[0]), runs[0]))
            await until(world, "end of the run", ended(runs[0]))
            nobody, count = world.minter.mint(7), 0
            while _resting(processor.world) != 3 and count < 50:
                count += 1
                await post(world, wish(world, cancel_run(nobody), nobody))
                await until(world, "refusal", _refusals(count))
        assert _resting(processor.world) == 3


def _refusals(count: int) -> Any:
    return lambda history: [one.meta.type for one in history].count("command.refused") == count or None


def _run_of(history: Any) -> str:
    return next(one.meta.stream.removeprefix("run-") for one in history if one.meta.type == "run.started")
