"""The projector of `prozess dev`, in a process of its own: beside it nobody waits for the interpreter while rows are written.

In come, through a socket whose number is the only argument, the settings and then where the embedded log's partitions end;
out go how far the rows are, the projector's instruments, and one sentence where it broke. It ends when the socket does.
"""

import asyncio
import contextlib
import socket
import sys

import orjson
from prometheus_client import CollectorRegistry, generate_latest

from services.kit.assemble import open_world
from services.kit.embedded.heard import HeardLog
from services.kit.errors import Refused
from services.kit.program import runtime
from services.kit.program.exits import sentence
from services.kit.progress import Progress
from services.kit.settings import Settings
from services.kit.telling import logs
from services.kit.telling.metrics import Metrics
from services.projector import app as projector

LINE_BYTES = 4 * 1024 * 1024
PREFIX = "projector_"
"""How the projector's instruments begin, as attributes of `Metrics`."""
_EVERY_S = 1.0


class Told(Progress):
    """Progress that somebody outside hears of too."""

    def __init__(self) -> None:
        super().__init__()
        self._fresh: dict[int, int] = {}
        self._some = asyncio.Event()

    def tell(self, partition: int, offset: int) -> None:
        """See `Progress.tell`."""
        super().tell(partition, offset)
        self._fresh[partition] = self.reached(partition)
        self._some.set()

    async def fresh(self) -> list[tuple[int, int]]:
        """What was told since the last call, at least one partition."""
        await self._some.wait()
        self._some.clear()
        fresh, self._fresh = self._fresh, {}
        return list(fresh.items())


async def remember(channel: socket.socket) -> None:
    """Project until the other end is closed."""
    reader, writer = await asyncio.open_connection(sock=channel, limit=LINE_BYTES)
    given = await reader.readline()
    if given:
        settings = Settings.model_validate_json(given)
        logs.configure("projector", settings)
        try:
            await _project(settings, reader, writer)
        except Exception as wrong:  # noqa: BLE001 (whoever started this process says it)
            logs.logger(__name__).debug("broke", exc_info=wrong)
            writer.write(_line({"failed": sentence(wrong), "refused": isinstance(wrong, Refused)}))
    with contextlib.suppress(OSError):
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def _project(settings: Settings, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    stop = asyncio.Event()
    heard = None if settings.kafka else HeardLog(settings.data / "log.sqlite")
    listening = asyncio.create_task(_listen(reader, heard, stop))
    try:
        async with open_world(settings, heard) as world:
            told = world.database.progress = Told()
            telling = [asyncio.create_task(_tell(writer, told)), asyncio.create_task(_measure(writer, world.metrics))]
            try:
                await projector.run(world, stop)
            finally:
                await _cancelled(telling)
    finally:
        await _cancelled([listening])


async def _listen(reader: asyncio.StreamReader, heard: HeardLog | None, stop: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while line := await reader.readline():
            for slot, end in orjson.loads(line)["ends"]:
                if heard is not None:
                    heard.hear(slot, end)
    stop.set()


async def _tell(writer: asyncio.StreamWriter, told: Told) -> None:
    with contextlib.suppress(OSError):
        while True:
            writer.write(_line({"reached": await told.fresh()}))
            await writer.drain()


async def _measure(writer: asyncio.StreamWriter, metrics: Metrics) -> None:
    ours = CollectorRegistry()
    for name, instrument in vars(metrics).items():
        if name.startswith(PREFIX):
            ours.register(instrument)
    with contextlib.suppress(OSError):
        while True:
            writer.write(_line({"metrics": generate_latest(ours).decode()}))
            await writer.drain()
            await asyncio.sleep(_EVERY_S)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _line(said: object) -> bytes:
    return orjson.dumps(said) + b"\n"


if __name__ == "__main__":
    runtime.run(remember(socket.socket(fileno=int(sys.argv[1]))))
