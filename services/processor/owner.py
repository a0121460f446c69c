"""The owner of one partition: it decides, appends, and does (architecture 1 and 2, law 3).

In come commands in log order, outcomes of effects, due timers. Each is decided at once on the newest state; the events go
into the pipeline; what follows an acknowledgement (effects, `ack` of a command) follows then. The ownership ends with the
first failed append, a foreign claim that counts, or the group's word; then everything begins again with a fold.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from events import topics
from events.catalogue import data_of
from events.commands import StartRun
from events.envelope import Command, Envelope, Meta, StoredRecord, meta_of
from events.node import NodeStarted
from events.ownership import PartitionClaimed
from services.core.effects import Outcome
from services.core.graph import Graph
from services.core.problems import Problem
from services.core.run import Due, GoOn, TakenOver, Told, decide, due_at, request
from services.core.run_state import Active, Place
from services.core.turn import Limits
from services.kit.blobs import unpack
from services.kit.errors import AppendFailed, HistoryLost, TooLarge
from services.kit.world import World
from services.processor.definitions import Definitions
from services.processor.doing import Doing
from services.processor.effects import EffectWorld
from services.processor.pipeline import Acknowledged, Pipeline
from services.processor.state import Answer, PartitionState, Said
from services.processor.takeover import SOURCE, Confirm, Ownership, take_over
from services.processor.timers import Timers

INBOX = 2_000
"""Inputs that may wait before commands and effects are held up."""
FORGET_EVERY_MS = 3_600_000
_log = structlog.get_logger(__name__)
_ENDS = (AppendFailed, TooLarge, HistoryLost)


class Foreign(Exception):
    """Another claim counts now."""


class Commands(Protocol):
    """Where an owner's commands come from: a tail, or Faust."""

    async def seek(self, offset: int) -> None:
        """The next command wanted is the one at `offset`."""
        ...

    async def next(self) -> Sequence[tuple[StoredRecord, Acknowledged | None]]:
        """The next commands in order, with what to call when their events are in the log."""
        ...


@dataclass(frozen=True, slots=True)
class _Wish:
    stored: StoredRecord
    ack: Acknowledged | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    run: str
    told: Told


@dataclass(frozen=True, slots=True)
class _Moved:
    run: str
    why: Due | GoOn | TakenOver


_Input = _Wish | _Outcome | _Moved


@dataclass(frozen=True, slots=True)
class Tools:
    """What all owners of a program share."""

    effects: EffectWorld
    definitions: Definitions


async def own(world: World, tools: Tools, partition: int, commands: Commands, confirm: Confirm) -> None:
    """Own a partition until cancelled or `NotMember`: ownership after ownership."""
    while True:
        ownership = await take_over(world, partition, confirm)
        await commands.seek(ownership.commands_from)
        owner = Owner(world, tools, ownership, commands)
        world.metrics.partitions_owned.inc()
        try:
            await owner.serve()
        except (*_ENDS, Foreign) as end:
            _log.warning("partition.ownership_ended", partition=partition, claim=ownership.claim, reason=f"{type(end).__name__}: {end}")
        finally:
            world.metrics.partitions_owned.dec()
            await owner.close()


class Owner:
    """One ownership."""

    def __init__(self, world: World, tools: Tools, ownership: Ownership, commands: Commands) -> None:
        self._world = world
        self._ownership = ownership
        self._state: PartitionState = ownership.state
        self._commands = commands
        self._definitions = tools.definitions
        self._limits = Limits(run_ms=int(world.settings.run_limit_s * 1000), quiet_ms=int(world.settings.node_limit_s * 1000))
        self._graphs: dict[str, Graph] = {}
        self._inbox: asyncio.Queue[_Input] = asyncio.Queue(INBOX)
        self._pipeline = Pipeline(ownership.appender, world.blobs, world.metrics)
        self._timers = Timers(world.clock)
        self._doing = Doing(tools.effects, self._told)
        self._said = 0
        self._forgot = world.clock.now()

    async def serve(self) -> None:
        """Decide and do until the ownership ends. Raises the reason."""
        tasks = [
            asyncio.create_task(work(), name=f"partition {self._ownership.partition} {work.__name__}")
            for work in (self._decide_all, self._pipeline.run, self._read_commands, self._watch, self._alarm)
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop all effects and give the producer up."""
        await self._doing.close()
        await self._ownership.appender.close()

    async def _read_commands(self) -> None:
        while True:
            for stored, ack in await self._commands.next():
                await self._inbox.put(_Wish(stored, ack))

    async def _alarm(self) -> None:
        while True:
            await self._inbox.put(_Moved(await self._timers.next(), Due()))

    async def _told(self, run: str, place: Place, attempt: int, outcome: Outcome) -> None:
        await self._inbox.put(_Outcome(run, Told(place, attempt, outcome)))

    async def _watch(self) -> None:
        """Read the partition back: a claim that counts after ours ends the ownership, whatever we think."""
        tail = self._world.log.tail(topics.EVENTS, self._ownership.partition, self._ownership.events_from)
        try:
            while True:
                for stored in await tail.next():
                    meta = meta_of(stored.record)
                    if meta.type != PartitionClaimed.type:
                        continue
                    claim = data_of(meta, stored.record.value)
                    if isinstance(claim, PartitionClaimed) and claim.after == self._ownership.claim:
                        raise Foreign(f"claim {claim.id} counts now")
        finally:
            await tail.close()

    async def _decide_all(self) -> None:
        for run in list(self._state.runs):
            await self._move(run, TakenOver())
        while True:
            await self._pipeline.room()
            input_ = await self._inbox.get()
            match input_:
                case _Wish():
                    await self._wish(input_)
                case _Outcome():
                    await self._move(input_.run, input_.told)
                case _Moved():
                    await self._move(input_.run, input_.why)
            self._forget()

    async def _wish(self, wish: _Wish) -> None:
        stored = await unpack(wish.stored, self._world.blobs)
        meta = meta_of(stored.record)
        command = data_of(meta, stored.record.value)
        assert isinstance(command, Command), "the commands topic has only commands"
        answer = await self._answer(Envelope(meta, command))
        now = self._world.clock.now()
        envelopes = [self._envelope(said, now, meta, stored.offset) for said in answer.said]
        run = command.run if isinstance(command, StartRun) else meta.stream.removeprefix("run-")
        self._write(run, envelopes, wish.ack)
        if answer.more:
            await self._move(run, GoOn())

    async def _answer(self, command: Envelope) -> Answer:
        graph = None
        if isinstance(command.data, StartRun) and command.meta.id not in self._state.known:
            try:
                graph = await self._graph(command.data.definition)
            except Problem as problem:
                return self._state.refuse(command.meta, problem.code, problem.message)
        return self._state.decide(command, self._world.clock.now(), graph, self._limits)

    async def _move(self, run: str, input_: Told | Due | GoOn | TakenOver) -> None:
        while True:
            state = self._state.runs.get(run)
            if state is None:
                return
            try:
                graph = await self._graph(state.terms.definition)
            except Problem as problem:
                _log.error("run.cannot_go_on", run=run, reason=problem.message)
                return
            now = self._world.clock.now()
            decision = decide(state, input_, now, graph, self._limits)
            said = [Said(topics.run_stream(run), state.terms.app, event) for event in decision.events]
            self._write(run, [self._envelope(one, now) for one in said])
            if not decision.more:
                return
            input_ = GoOn()

    def _write(self, run: str, envelopes: Sequence[Envelope], ack: Acknowledged | None = None) -> None:
        """Fold what was decided, hand it to the pipeline, and set what follows."""
        for envelope in envelopes:
            self._state.apply(envelope.meta, envelope.data)
        state = self._state.runs.get(run)
        self._doing.stop_unwanted(run, state)
        if state is not None:
            self._timers.set(run, due_at(state, self._graphs[state.terms.definition], self._limits))
        started = [(data.node, data.path, data.attempt) for one in envelopes if isinstance(data := one.data, NodeStarted)]
        if envelopes:
            self._pipeline.put(envelopes, self._then(run, started, ack) if started or ack else None)

    def _then(self, run: str, started: list[tuple[str, tuple[int, ...], int]], ack: Acknowledged | None) -> Acknowledged:
        def acknowledged() -> None:
            if ack is not None:
                ack()
            state = self._state.runs.get(run)
            if state is None:
                return
            for node, path, attempt in started:
                place = (node, path)
                if place in state.working and state.nodes[place].attempt == attempt:
                    self._start(run, state, place, attempt)

        return acknowledged

    def _start(self, run: str, state: Active, place: Place, attempt: int) -> None:
        graph = self._graphs[state.terms.definition]
        self._doing.start(run, place, attempt, request(state, place, graph, self._limits))

    async def _graph(self, digest: str) -> Graph:
        graph = self._graphs.get(digest)
        if graph is None:
            graph = self._graphs[digest] = await self._definitions.load(digest)
        return graph

    def _envelope(self, said: Said, time: int, command: Meta | None = None, offset: int | None = None) -> Envelope:
        self._said += 1
        meta = Meta(
            id=f"{self._ownership.claim}-{self._said:x}",
            type=said.event.type,
            version=said.event.version,
            stream=said.stream,
            time=time,
            source=SOURCE,
            app=said.app,
            actor=command.actor if command else "",
            claim=self._ownership.claim,
            cause=offset,
            command=command.id if command else "",
            traceparent=command.traceparent if command else "",
        )
        return Envelope(meta, said.event)

    def _forget(self) -> None:
        now = self._world.clock.now()
        if now >= self._forgot + FORGET_EVERY_MS:
            self._forgot = now
            self._state.forget(now)


class TailedCommands:
    """Commands by a tail of one's own: what the embedded log needs. Nothing is acknowledged, the log is the offset."""

    def __init__(self, world: World, partition: int) -> None:
        self._world = world
        self._partition = partition
        self._tail = None

    async def seek(self, offset: int) -> None:
        """See `Commands.seek`."""
        await self.close()
        self._tail = self._world.log.tail(topics.COMMANDS, self._partition, offset)

    async def next(self) -> Sequence[tuple[StoredRecord, Callable[[], None] | None]]:
        """See `Commands.next`."""
        assert self._tail is not None, "seek comes first"
        return [(stored, None) for stored in await self._tail.next()]

    async def close(self) -> None:
        """Stop reading."""
        if self._tail is not None:
            with suppress(asyncio.CancelledError):
                await self._tail.close()
            self._tail = None
