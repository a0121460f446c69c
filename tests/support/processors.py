"""Processors for tests: owners as tasks on a shared log, effects that follow a script, commands as the api writes them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Self

import sqlalchemy as sa

from events import topics
from events.commands import CancelRun, StartRun
from events.envelope import Command, Envelope, Meta, Protected, encode
from events.flow import Document
from events.node import Problem
from projections.flows import definitions
from services.core.codes import Code
from services.core.language.definition import digest
from services.core.running.effects import Broke, Called, Done, ModelRequest, Outcome, Piece
from services.kit.ids import new_id
from services.kit.world import World
from services.processor import effects
from services.processor.commands import TailedCommands
from services.processor.definitions.pinned import Definitions
from services.processor.owner import Tools, own
from tests.support.faults import Faults, FaultyLog
from tests.support.record import soon
from tests.support.worlds import seen_by

APP = "demo"
SUBJECT = "demo/person"


async def _at_once() -> None:
    return None


class Script:
    """A model that says these words. `pace` is awaited before each of them; a model that cannot continue says so."""

    def __init__(self, *words: str, continues: bool = True, pace: Callable[[], Awaitable[None]] = _at_once) -> None:
        self.words = words
        self.continues = continues
        self.pace = pace
        self.begun = asyncio.Event()
        self.gone = asyncio.Event()
        self.said = 0
        self.calls: list[ModelRequest] = []
        self._spoke = asyncio.Event()

    async def has_said(self, count: int) -> None:
        """Wait until so many words were told."""
        while self.said < count:
            self._spoke.clear()
            await self._spoke.wait()

    async def perform(self, request: ModelRequest, _world: Any) -> AsyncGenerator[Outcome, None]:
        self.calls.append(request)
        self.begun.set()
        if request.recorded and not self.continues:
            yield Broke(Problem(code=Code.NODE_RUN_ERROR, message="the answer was interrupted, and this model cannot continue"))
            return
        try:
            yield Called({"gen_ai.request.model": "scripted"}, "0", "prefill" if request.recorded else "never")
            text = ""
            for word in self.words:
                text += word
                if len(text) > len(request.recorded):
                    await self.pace()
                    self.said += 1
                    self._spoke.set()
                    yield Piece("content", word)
            await self.pace()
            yield Done()
        finally:
            self.gone.set()


class Gate:
    """A pace in a test's hand: every word waits until it is let through."""

    def __init__(self, open_: int = 0) -> None:
        self._tickets = asyncio.Semaphore(open_)

    def let(self, count: int = 1) -> None:
        for _ in range(count):
            self._tickets.release()

    async def __call__(self) -> None:
        await self._tickets.acquire()


class Processor:
    """One process that owns partition 0 of a log, with its own faults; another one on the same log is another process."""

    def __init__(self, world: World, faults: Faults | None = None, confirm: Callable[[], Awaitable[None]] = _at_once) -> None:
        self.faults = Faults() if faults is None else faults
        self.world = seen_by(world, FaultyLog(world.log, self.faults))
        self.acknowledged: list[int] = []
        self._confirm = confirm
        self._task: asyncio.Task[None] | None = None

    def start(self) -> Self:
        self._task = asyncio.create_task(self._own())
        return self

    async def confirmed(self) -> None:
        await self._confirm()
        self.faults.reach("confirm")

    async def _own(self) -> None:
        async with effects.effect_world(self.world) as outside:
            commands = TailedCommands(self.world.log, 0)
            try:
                await own(self.world, Tools(outside, Definitions(self.world.database)), 0, commands, self.confirmed)
            finally:
                await commands.close()

    async def ended(self) -> BaseException:
        """What ended it by itself."""
        assert self._task is not None
        await asyncio.wait({self._task}, timeout=15)
        assert self._task.done(), "the processor did not end by itself"
        wrong = self._task.exception()
        assert wrong is not None
        return wrong

    async def stop(self) -> None:
        """As when the group takes the partition, or the program stops."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await soon("the end of the processor", self._task)

    async def kill(self) -> None:
        """As a power cut would end it: nothing is written any more."""
        self.faults.die()
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=15)
        assert self._task.done(), "the killed processor did not end"
        if not self._task.cancelled():
            self._task.exception()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def define(world: World, document: Document) -> str:
    """Put a definition into the rows; its hash."""
    hash_ = digest(document)
    async with world.database.begin() as connection:
        await connection.execute(sa.insert(definitions).prefix_with("OR IGNORE").values(hash=hash_, document=document))
    return hash_


def start_run(world: World, definition: str, asked: str = "why?", key: str = "", **more: Any) -> StartRun:
    """The wish for a run of this definition."""
    return StartRun(
        run=world.minter.mint(7),
        app=APP,
        subject=SUBJECT,
        uid=Protected(subject=SUBJECT, words="person"),
        flow=world.minter.mint(7),
        definition=definition,
        mode="open",
        surface="astron",
        stream=True,
        parameters=Protected(subject=SUBJECT, words={"AGENT_USER_INPUT": asked}),
        history=Protected(subject=SUBJECT, words=()),
        ext=Protected(subject=SUBJECT, words={}),
        idempotency_key=key,
        **more,
    )


def cancel_run(run: str, app: str = APP) -> CancelRun:
    """The wish for its end."""
    return CancelRun(run=run, app=app, by=app)


def wish(world: World, command: Command, run: str, id_: str = "") -> Envelope:
    """A command in its envelope."""
    head = Meta(
        id=id_ or new_id(),
        type=command.type,
        version=1,
        stream=topics.run_stream(run),
        time=world.clock.now(),
        source="prozess/test",
        app=APP,
        actor="demo/key",
    )
    return Envelope(head, command)


async def post(world: World, *wishes: Envelope) -> int:
    """Append commands; the offset of the first."""
    return await world.log.append(topics.COMMANDS, 0, [encode(one) for one in wishes])


async def start(world: World, definition: str, **more: Any) -> str:
    """Post the start of a run; its id."""
    command = start_run(world, definition, **more)
    await post(world, wish(world, command, command.run))
    return command.run


async def append_events(world: World, envelopes: Sequence[Envelope]) -> int:
    """Write into the events as anybody else could (a zombie, an older version)."""
    return await world.log.append(topics.EVENTS, 0, [encode(one) for one in envelopes])
