"""Sending commands: append, then wait for the first accepted event that answers.

In comes a command and the stream it is for; out comes the accepted event that says what became of it. A refusal is
raised with its code; a repetition is returned, since the first command's outcome stands.
"""

import asyncio
import time

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from events.acceptance import Accepted
from events.envelope import Command, Envelope, Meta, Record, encode
from events.refusal import CommandRefused
from events.topics import COMMANDS
from services.api.answers.problems import Refusal
from services.api.following.tail import Tails
from services.kit.blobs import pack
from services.kit.errors import AppendFailed, NotReady, Unreachable
from services.kit.ids import new_id
from services.kit.rows import Rows
from services.kit.telling.traces import TRACE, Span
from services.kit.world import World

SOURCE = "prozess/api"
_AGAIN = AsyncRetrying(
    retry=retry_if_exception_type((AppendFailed, Unreachable)),
    stop=stop_after_attempt(5),
    wait=wait_exponential(multiplier=0.05, max=1),
    reraise=True,
)


class Commander:
    """The one way to change anything."""

    def __init__(self, world: World, tails: Tails) -> None:
        self._world = world
        self._tails = tails
        self._rows = Rows(world.database)

    async def submit(self, command: Command, *, stream: str, slot: int, app: str, actor: str) -> Accepted:
        """Append and wait, at most `write_wait_s`. Raises `Refusal`, `NotReady` (it may still happen), `Closed`."""
        return self._granted(await self._answer(command, stream=stream, slot=slot, app=app, actor=actor))

    async def change(self, command: Command, *, stream: str, slot: int, app: str, actor: str) -> Accepted:
        """`submit`, and wait until the rows show what became of it, so that every later request sees it."""
        accepted = await self._answer(command, stream=stream, slot=slot, app=app, actor=actor)
        await self._rows.wait(accepted.partition, accepted.offset, self._world.settings.write_wait_s)
        return self._granted(accepted)

    async def _answer(self, command: Command, *, stream: str, slot: int, app: str, actor: str) -> Accepted:
        partition = self._tails.partition(slot)
        limit = self._world.settings.write_wait_s
        meta = Meta(
            new_id(), command.type, command.version, stream, self._world.clock.now(), SOURCE, app=app, actor=actor, traceparent=TRACE.get()
        )
        record = await pack(encode(Envelope(meta, command)), self._world.blobs)
        try:
            async with asyncio.timeout(limit):
                tail = await self._tails.of(partition)
                with tail.answer(meta.id) as answer:
                    await self._append(partition, record)
                    self._world.metrics.commands_appended.labels(command.type).inc()
                    return await answer
        except TimeoutError:
            raise NotReady(f"no answer to {command.type} came within {limit:g} s; it may still happen") from None

    async def _append(self, partition: int, record: Record) -> None:
        if not self._world.traces.on:
            await self._written(partition, record)
            return
        trace, began, failed = TRACE.get(), time.time(), "interrupted"
        try:
            await self._written(partition, record)
            failed = ""
        finally:
            own, told = self._world.traces.begin(trace), {"prozess.partition": partition}
            self._world.traces.tell(Span(own, "append command", began * 1000, time.time() * 1000, trace, "producer", told, failed))

    async def _written(self, partition: int, record: Record) -> None:
        try:
            await self._world.log.append(COMMANDS, partition, [record])
        except (AppendFailed, Unreachable):
            async for attempt in _AGAIN.copy():
                with attempt:
                    await self._world.log.append(COMMANDS, partition, [record])

    def _granted(self, accepted: Accepted) -> Accepted:
        data = accepted.envelope.data
        if isinstance(data, CommandRefused):
            self._world.metrics.commands_refused.labels(data.wished).inc()
            raise Refusal(data.code, data.message)
        return accepted
