"""The owner of one partition: it decides, appends, and does (architecture 1 and 2, law 3).

In come commands in log order, outcomes of effects, due timers. Each is decided at once on the newest state; the events go
into the pipeline; what follows an acknowledgement (effects, `ack` of a command) follows then. The ownership ends with the
first failed append, a foreign claim that counts, or the group's word; then everything begins again with a fold.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from events import topics
from events.commands import AnswerQuestion
from events.envelope import Command, StoredRecord
from events.node import Problem as Said
from services.core.language.graph import NO_GRAPH, Graph
from services.core.problems import Problem
from services.core.running.effects import Broke, Outcome, Piece, Pinned
from services.core.running.questions import ends_at
from services.core.running.run import Due, GoOn, Told, due_at, request
from services.core.running.run_state import Active, Errand, NotStarted, RunState
from services.core.running.turn import Limits
from services.kit import tokens
from services.kit.world import World
from services.processor.commands import Commands
from services.processor.counting import fates
from services.processor.counting.asked import Asked
from services.processor.counting.spans import Spans
from services.processor.definitions.graphs import Graphs
from services.processor.definitions.pinned import Definitions
from services.processor.doing import Doing
from services.processor.effects import EffectWorld
from services.processor.endings import ENDS, ended, first_failure
from services.processor.memory.recalling import Recalling
from services.processor.memory.remembering import Remembering
from services.processor.memory.restoring import Whose
from services.processor.memory.state import PartitionState
from services.processor.steps.deciding import Deciding, Move, Step
from services.processor.steps.family import Family
from services.processor.steps.inbox import Inbox, Moved, Wish
from services.processor.steps.pipeline import Acknowledged, Pipeline
from services.processor.steps.reading import opened
from services.processor.steps.timers import Timers
from services.processor.steps.waking import Waking
from services.processor.steps.watch import ReadBack, Watch
from services.processor.taking.takeover import Confirmation, Ownership, take_over

DRAIN_S = 5.0
"""How long an owner that is stopped may take to write what it knows."""
FORGET_EVERY_MS = 3_600_000
_TURNS = 50
"""Inputs decided in a row before others have the loop."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What all owners of a program share."""

    effects: EffectWorld
    definitions: Definitions


async def own(world: World, tools: Tools, partition: int, commands: Commands, confirm: Confirmation) -> None:
    """Own a partition, ownership after ownership, until cancelled. Raises `NotMember`, `Poisoned`, `TooLarge`."""
    while True:
        ownership = await take_over(world, partition, confirm)
        owner = Owner(world, tools, ownership, commands)
        world.metrics.partitions_owned.inc()
        try:
            await commands.seek(ownership.commands_from)
            await owner.serve()
        except ENDS as end:
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
        self._graphs = Graphs(tools.definitions)
        self._asked = Asked(world.metrics, ownership.partition, self._state.runs)
        self._recalling = Recalling(world, ownership.partition, ownership.state.chats)
        settings = world.settings
        self._limits = Limits(
            run_ms=int(settings.run_limit_s * 1000),
            quiet_ms=int(settings.node_limit_s * 1000),
            question_ms=int(settings.question_limit_s * 1000),
            steps=settings.run_step_limit,
            tokens=tokens.count,
            depth=settings.subflow_depth,
            audit_ms=int(settings.audit_patience_s * 1000),
        )
        self._deciding = Deciding(ownership.claim, ownership.state, self._limits)
        self._family = Family(self._deciding, self._limits, self._graphs.of)
        self._held: defaultdict[str, list[tuple[str, Move, Graph | None]]] = defaultdict(list)
        self._inbox = Inbox()
        self._pipeline = Pipeline(ownership.appender, world.blobs, world.metrics, world.traces)
        self._spans = Spans(world.traces)
        back = ReadBack(ownership.partition, ownership.claim, self._pipeline, ownership.reached, ownership.commands)
        self._watch = Watch(world.log, ownership.partition, back)
        self._timers = Timers(world.clock)
        self._waking = Waking(world.clock, self._deciding, self._graphs, self._timers, self._inbox)
        whose = Whose(ownership.topic, ownership.partition, ownership.claim, ownership.commands)
        self._remembering = Remembering(world, whose, ownership.state, self._watch, back, self._timers.due, self._waking.rested)
        self._remembering.said, self._remembering.folded = lambda: self._deciding.said, ownership.folded
        self._doing = Doing(tools.effects, self._told, world.traces)
        self._forgot = world.clock.now()
        self._stopping = False

    async def serve(self) -> None:
        """Decide and do until the ownership ends. Raises the reason. Cancelled, it writes what it knows, for at most `DRAIN_S`."""
        works = self._read_commands(), self._alarm(), self._waking.resume(), self._waking.look_ahead(), self._remembering.run()
        inputs = [self._task(work) for work in works]
        steps = [self._task(self._decide_all()), self._task(self._pipeline.run()), self._task(self._watch.run(self._ownership.events_from))]
        try:
            raise await first_failure({*inputs, *steps})
        except asyncio.CancelledError:
            await self._drain(inputs, steps)
            raise
        finally:
            await ended([*inputs, *steps])

    async def close(self) -> None:
        """Stop all effects, then give the producer up."""
        self._asked.close()
        self._waking.close()
        try:
            await self._doing.close()
        finally:
            await self._ownership.close()

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(work, name=f"partition {self._ownership.partition} {work.__name__}")

    async def _drain(self, inputs: list[asyncio.Task[None]], steps: list[asyncio.Task[None]]) -> None:
        """Nothing new is begun; what effects have told is decided and written. Commands are left to the next owner."""
        self._stopping = True
        await ended(inputs)
        await self._doing.close()
        drained = self._task(self._drained())
        await asyncio.wait({drained, *steps}, timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
        await ended([drained])

    async def _drained(self) -> None:
        await self._inbox.decided()
        await self._pipeline.drained()
        await self._remembering.write()

    async def _read_commands(self) -> None:
        while True:
            for stored, ack in await self._commands.next():
                await self._inbox.put(Wish(stored, ack))

    async def _alarm(self) -> None:
        while True:
            await self._inbox.put(Moved(await self._timers.next(), Due()))

    async def _told(self, run: str, errand: Errand, outcome: Outcome) -> None:
        if isinstance(outcome, Piece):
            await self._inbox.say(run, errand, outcome)
            return
        if isinstance(outcome, Pinned):
            try:
                await self._graphs.load(outcome.definition)
            except Problem as problem:
                outcome = Broke(Said(code=problem.code, message=problem.message))
        await self._inbox.put(Moved(run, Told(errand.place, errand.attempt, outcome, errand.step)))

    async def _decide_all(self) -> None:
        turns = 0
        while True:
            await self._pipeline.room()
            input_ = await self._inbox.next()
            if isinstance(input_, Moved):
                self._move(input_.run, input_.why, input_.graph)
            elif not self._stopping:
                await self._wish(input_)
            self._inbox.done()
            turns += 1
            if turns % _TURNS == 0:
                await asyncio.sleep(0)
                self._forget()

    async def _wish(self, wish: Wish) -> None:
        step, before, now = await self._decided(wish.stored)
        for run in self._write(self._family.with_followers(step, before, now), wish.ack):
            self._move(run, GoOn())

    async def _decided(self, stored: StoredRecord) -> tuple[Step, RunState, int]:
        command = await opened(topics.COMMANDS, self._ownership.partition, stored, self._world.blobs)
        assert isinstance(command.data, Command), "the commands topic has only commands"
        terms, graph = self._deciding.needs_graph(command), None
        if terms is not None:
            try:
                graph = self._known_graph(command.data, terms.run) or await self._graphs.load(terms.definition, terms.document)
                await self._recalling.before(command.data, graph)
                await self._load_family(terms.run)
            except Problem as problem:
                now = self._world.clock.now()
                return self._deciding.refuse(command, stored.offset, now, problem.code, problem.message), NotStarted(), now
            if isinstance(command.data, AnswerQuestion) or terms.run not in self._state.runs:
                self._graphs.keep(terms.run, graph)
        before, now = self._state.run(command.meta.stream.removeprefix("run-")), self._world.clock.now()
        return self._deciding.wish(command, stored.offset, now, graph), before, now

    async def _load_family(self, run: str) -> None:
        """The graphs of the runs that hear of it. Raises `Problem`."""
        state = self._state.runs.get(run)
        for kin in self._family.around(state) if state is not None else ():
            if self._graphs.get(kin) is None and (other := self._state.runs.get(kin)) is not None:
                self._graphs.keep(kin, await self._graphs.load(other.terms.definition, other.terms.document))

    def _known_graph(self, wish: Command, run: str) -> Graph | None:
        return self._graphs.get(run) if isinstance(wish, AnswerQuestion) else None

    def _move(self, run: str, input_: Move, found: Graph | None = None) -> None:
        waiting = deque([(run, input_, found)])
        while waiting:
            waiting.extend(self._moved(*waiting.popleft()))

    def _moved(self, run: str, input_: Move, found: Graph | None) -> Iterator[tuple[str, Move, Graph | None]]:
        """What has to move next because of it."""
        state = self._state.runs.get(run)
        if state is None:
            return
        deaf = next((one for one in self._family.above(state) if self._graphs.get(one) is None), None)
        if deaf is not None:
            self._held[deaf].append((run, input_, found))  # who waits for this run could not hear it yet
            return
        if found is not None:
            self._graphs.keep(run, found)
        now, graph = self._world.clock.now(), self._graphs.get(run)
        if graph is None:
            if now < ends_at(state, self._limits.run_ms):
                return
            graph, input_ = NO_GRAPH, Due()
        step = self._deciding.move(run, input_, now, graph)
        if step is not None:
            for full in self._write(self._family.with_followers(step, state, now)):
                yield full, GoOn(), None
        yield from self._held.pop(run, ())

    def _write(self, steps: Sequence[Step], ack: Acknowledged | None = None) -> list[str]:
        """Hand what was decided to the pipeline, and set what follows; the runs whose step was full."""
        for run in {step.run for step in steps}:
            state, graph = self._state.runs.get(run), self._graphs.get(run)
            self._doing.stop_unwanted(run, state)
            if state is None:
                self._graphs.drop(run)
                self._timers.set(run, None)
            elif graph is not None:
                self._timers.set(run, due_at(state, graph, self._limits))
        for step in steps:
            if step.envelopes:
                self._asked.note(step.run, step.envelopes)
                fates.count(self._world.metrics, step)
        envelopes = [envelope for step in steps for envelope in step.envelopes]
        if envelopes:
            begun = [(step.run, errand) for step in steps for errand in step.begun]
            traced = steps if self._world.traces.on else ()
            self._pipeline.put(envelopes, partial(self._acknowledged, begun, ack, traced) if begun or ack or traced else None)
        return [step.run for step in steps if step.more]

    def _acknowledged(self, begun: Sequence[tuple[str, Errand]], ack: Acknowledged | None, traced: Sequence[Step]) -> None:
        if ack is not None:
            ack()
        for step in traced:
            state = self._state.runs.get(step.run)
            self._spans.note(step, state.terms if state is not None else None)
        for run, errand in begun:
            state, graph = self._deciding.waits_for(run, errand), self._graphs.get(run)
            if state is not None and graph is not None:
                self._start(run, errand, state, graph)

    def _start(self, run: str, errand: Errand, state: Active, graph: Graph) -> None:
        trace = self._spans.of_errand(state.terms, errand)
        self._doing.start(run, errand, lambda: request(state, errand.place, graph, self._limits), trace)

    def _forget(self) -> None:
        now = self._world.clock.now()
        if now >= self._forgot + FORGET_EVERY_MS:
            self._forgot = now
            self._state.forget(now)
