"""The projector's process, seen from the one that answers: started, fed, heard, ended.

In come a world and `stop`; to the other process go its settings and where the embedded log's partitions end, at most every few
milliseconds; from it come how far the rows are and what its instruments show. It ends with this process, however that ends; ends
it before, that is an error with its own words.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import orjson
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from services.dev.remembering import LINE_BYTES, PREFIX
from services.kit.embedded.log import SqliteLog
from services.kit.errors import ProzessError, Refused
from services.kit.program.exits import ProgramError
from services.kit.telling.metrics import Metrics
from services.kit.world import World

_PAUSE_S = 0.005
"""Between two words about the log's ends: rows of a few commits cost little more than those of one."""


@contextlib.asynccontextmanager
async def begun() -> AsyncGenerator["Apart"]:
    """The process, which reads its libraries meanwhile; killed at the end if it still runs."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", "services.dev.remembering", str(theirs.fileno())]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
        )
        theirs.close()
        try:
            yield Apart(process, ours)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


class Apart:
    """The other process."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self._last: ProzessError | None = None

    async def run(self, world: World, stop: asyncio.Event) -> None:
        """Until `stop`, then until it has ended as well. Raises `Refused` or `ProgramError`: what it said last."""
        reader, writer = await asyncio.open_connection(sock=self._channel, limit=LINE_BYTES)
        writer.write(world.settings.model_dump_json().encode() + b"\n")
        ends = _Ends(writer)
        if isinstance(world.log, SqliteLog):
            world.log.on_growth(ends.grew)
        hearing = asyncio.create_task(self._hear(reader, world, _instruments(world.metrics)), name="rows are told")
        others = [asyncio.create_task(ends.tell(), name="ends are told"), asyncio.create_task(_set(stop))]
        try:
            await asyncio.wait({hearing, others[1]}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                writer.write_eof()
            await hearing
            code = await self._process.wait()
            if self._last is not None:
                raise self._last
            if code or not stop.is_set():
                raise ProgramError(f"its process {self._process.pid} ended {f'by signal {-code}' if code < 0 else f'with code {code}'}")
        finally:
            if isinstance(world.log, SqliteLog):
                world.log.on_growth(None)
            for task in (hearing, *others):
                task.cancel()
            await asyncio.gather(hearing, *others, return_exceptions=True)
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, world: World, relayed: "_Relayed") -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                said: dict[str, Any] = orjson.loads(line)
                for partition, offset in said.get("reached", ()):
                    world.database.progress.tell(partition, offset)
                relayed.text = said.get("metrics", relayed.text)
                if "failed" in said:
                    self._last = (Refused if said["refused"] else ProgramError)(said["failed"])


class _Ends:
    """Where the slots end, told together."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._ends: dict[int, int] = {}
        self._some = asyncio.Event()

    def grew(self, slot: int, end: int) -> None:
        self._ends[slot] = end
        self._some.set()

    async def tell(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                await self._some.wait()
                self._some.clear()
                ends, self._ends = self._ends, {}
                self._writer.write(orjson.dumps({"ends": list(ends.items())}) + b"\n")
                await self._writer.drain()
                await asyncio.sleep(_PAUSE_S)


class _Relayed:
    """Instruments of the other process, as it told them last."""

    text = ""

    def collect(self) -> Iterable[Metric]:
        return text_string_to_metric_families(self.text)


def _instruments(metrics: Metrics) -> _Relayed:
    """The projector's, which this process does not move, give way to those that are told."""
    for name, instrument in vars(metrics).items():
        if name.startswith(PREFIX):
            metrics.registry.unregister(instrument)
    relayed = _Relayed()
    metrics.registry.register(relayed)  # pyright: ignore[reportArgumentType] (anything that collects)
    return relayed


async def _set(stop: asyncio.Event) -> None:
    await stop.wait()
