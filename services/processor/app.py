"""The processor: decides and does, one owner for each partition it is given.

On Apache Kafka the group and the stream of commands are Faust's (this is the only file that knows Faust), on the embedded
log a plain loop's; the owner is the same. In come assignments and commands; what comes next is the log's word alone: Faust
begins where an owner says, its acknowledgements leave a hint, and its own producer, tables and web are left out on purpose.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import faust
import structlog
from faust.types import TP

from events import topics
from events.envelope import Record, StoredRecord
from services.kit.errors import NotMember, ProzessError, Unreachable
from services.kit.kafka_broker import cluster_of, patiently
from services.kit.kafka_group import confirm_in
from services.kit.log import MAX_BATCH_BYTES, Assigned, Revoked
from services.kit.world import World
from services.processor import loop
from services.processor.handed import HandedCommands

_CALL_S = 15.0
_START_S = 30.0
_STOP_S = 10.0
_log = structlog.get_logger(__name__)


async def run(world: World, stop: asyncio.Event) -> None:
    """Run until `stop` is set."""
    if not world.settings.kafka:
        await loop.run(world, stop)
        return
    member = FaustMember(world)
    await member.open()
    try:
        await loop.serve(world, member, member.commands, stop)
    finally:
        await member.leave()


class FaustEnded(ProzessError):
    """Faust crashed, and what is left of it does not end: a second one beside it would be no good member, so the program ends."""


class FaustMember:
    """A place in the processors' group, held by a Faust app in this loop. When the app crashes another one takes its place."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cluster = cluster_of(world.settings)
        self._group = self._cluster.name(loop.GROUP)
        self._topic = self._cluster.name(topics.COMMANDS)
        self._app: Any = None
        self._held: frozenset[int] | None = None
        self._handed: dict[int, HandedCommands] = {}
        self._changes = asyncio.Queue[Assigned | Revoked | FaustEnded]()
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the app; the first assignment comes through `changes`. Raises `Unreachable`."""
        await self._start()
        self._watching = asyncio.create_task(self._watch(), name="faust")

    async def leave(self) -> None:
        """Hand over at once."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._stop()

    async def changes(self) -> AsyncIterator[Assigned | Revoked]:
        """See `Member.changes`. Raises `FaustEnded`."""
        while True:
            change = await self._changes.get()
            if isinstance(change, FaustEnded):
                raise change
            yield change

    async def confirm(self, partition: int) -> None:
        """See `Member.confirm`. Raises `NotMember`, `Unreachable`."""
        self._check(partition)
        thread = self._app.consumer._thread  # noqa: SLF001 (Faust's own commit says nothing of its failures)
        await self._call(thread.call_thread(confirm_in, thread._ensure_consumer(), self._group, self._topic, partition))  # noqa: SLF001
        self._check(partition)

    def commands(self, partition: int) -> HandedCommands:
        """The partition's part of the stream."""

        async def begin(offset: int) -> None:
            await self._begin(partition, offset)

        handed = HandedCommands(self._world.log, partition, begin)
        self._handed[partition] = handed
        return handed

    async def _start(self) -> None:
        app: Any = _app_of(self._world, self._group)
        commands = app.topic(self._topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        app.agent(commands, name="commands")(self._take)
        app.on_partitions_assigned.connect(self._on_assigned)
        app.on_partitions_revoked.connect(self._on_revoked)
        self._app = app
        try:
            async with asyncio.timeout(_START_S):
                await app.start()
        except Exception as wrong:
            await self._stop()
            raise Unreachable(f"Faust did not start: {wrong}") from wrong

    async def _stop(self) -> bool:
        """End the app; whether it is gone."""
        app, self._app = self._app, None
        self._lose()
        if app is not None and not await ended(app, _STOP_S):
            _log.error("faust.does_not_end", seconds=2 * _STOP_S)
            self._changes.put_nowait(FaustEnded("Faust does not end; start this program again"))
            return False
        return True

    async def _watch(self) -> None:
        """Replace the app whenever it crashes. What is left of a crashed one must be gone first, or it would stay a member."""
        going = True
        while going:
            app = self._app
            await app.wait_until_stopped()
            _log.error("faust.crashed", reason=str(app.crash_reason))
            going = await self._stop()
            if going:
                await patiently(None, self._start)
                _log.warning("faust.replaced")

    async def _take(self, stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            handed = self._handed.get(message.partition)
            if handed is not None and stream.app is self._app and message.generation_id == stream.app.consumer_generation_id:
                handed.offer(_stored(message), event.ack)

    async def _on_assigned(self, app: Any, assigned: Any, **__: Any) -> None:
        if app is not self._app:
            return
        self._held = frozenset(place.partition for place in assigned if place.topic == self._topic)
        self._handed = {partition: handed for partition, handed in self._handed.items() if partition in self._held}
        for handed in self._handed.values():
            handed.begin_again()
        self._changes.put_nowait(Assigned(self._held))

    async def _on_revoked(self, app: Any, __: Any, **___: Any) -> None:
        if app is self._app:
            self._lose()

    def _lose(self) -> None:
        held, self._held = self._held, None
        for handed in self._handed.values():
            handed.rest()
        if held is not None:
            self._changes.put_nowait(Revoked(held))

    async def _begin(self, partition: int, offset: int) -> None:
        self._check(partition)
        await self._call(self._app.consumer.seek_wait({TP(self._topic, partition): offset}))

    async def _call(self, work: Any) -> Any:
        try:
            async with asyncio.timeout(_CALL_S):
                return await work
        except TimeoutError:
            raise Unreachable(f"group {self._group} does not answer") from None

    def _check(self, partition: int) -> None:
        if self._held is None or partition not in self._held:
            raise NotMember(f"partition {partition} is not this processor's in group {self._group}")


async def ended(app: Any, patience: float) -> bool:
    """End an app; whether nothing of it is left. Its consumer lives in a thread, which would go on being a member."""
    stopping = asyncio.ensure_future(app.stop())
    await asyncio.wait({stopping}, timeout=patience)
    if stopping.done() and stopping.exception() is not None:
        _log.warning("faust.ended_badly", reason=str(stopping.exception()))
    thread = getattr(getattr(app.consumer, "_thread", None), "_thread", None)
    if thread is None or not thread.is_alive():
        stopping.cancel()
        return True
    await asyncio.to_thread(thread.join, patience)
    stopping.cancel()
    return not thread.is_alive()


def _app_of(world: World, group: str) -> Any:
    settings = world.settings
    options = cluster_of(settings).options
    credentials = None
    if "SASL" in settings.kafka_security_protocol:
        credentials = faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password,
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=options["ssl_context"],
        )
    elif settings.kafka_security_protocol == "SSL":
        credentials = faust.SSLCredentials(options["ssl_context"])
    return faust.App(
        group,
        broker=";".join(f"kafka://{server}" for server in options["bootstrap_servers"]),
        broker_credentials=credentials,
        broker_client_id="prozess",
        broker_commit_interval=2.0,
        broker_commit_every=1_000_000,
        broker_heartbeat_interval=1.0,
        broker_max_poll_records=500,
        broker_rebalance_timeout=6.0,
        broker_request_timeout=20.0,
        broker_session_timeout=6.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MAX_BATCH_BYTES,
        datadir=str(settings.data / "faust"),
        store="memory://",
        stream_buffer_maxsize=4096,
        stream_recovery_delay=0,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        web_enabled=False,
    )


def _stored(message: Any) -> StoredRecord:
    headers = tuple((name, value or b"") for name, value in message.headers or ())
    return StoredRecord(message.offset, Record(message.key or b"", message.value or b"", headers, round(message.timestamp * 1000)))
