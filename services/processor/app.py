"""The processor: decides and does, one owner for each partition it is given.

On Apache Kafka the group is Faust's (this is the only file that knows Faust), on the embedded log our own; commands come by a
tail of the log on both, and the owner is the same. In come assignments; what comes next is the log's word alone. Faust's stream
is left to rest: a command through its threads is later by a millisecond or two (decision 0035). Its own producer, tables and web
are left out on purpose.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import faust
import structlog
from faust.types import TP

from events import topics
from services.kit.embedded.groups import Changes
from services.kit.errors import NotMember, ProzessError, Unreachable
from services.kit.kafka.broker import cluster_of, patiently
from services.kit.kafka.group import commit_in, confirm_in
from services.kit.log import Assigned, Revoked
from services.kit.world import World
from services.processor import loop
from services.processor.commands import TailedCommands

_CALL_S = 15.0
_START_S = 30.0
_STOP_S = 10.0
_MARK_S = 2.0
_LEAST_FETCH = 64 * 1024
_NEVER_S = 10 * 365 * 86_400.0
"""Commands come by a tail, so Faust commits nothing and would warn of that for ever."""
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
        self._marks: dict[int, int] = {}
        self._changes = Changes[Assigned | Revoked | FaustEnded]()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Start the app; the first assignment comes through `changes`. Raises `Unreachable`."""
        await self._start()
        self._tasks = [asyncio.create_task(self._watch(), name="faust"), asyncio.create_task(self._mark(), name="marks")]

    async def leave(self) -> None:
        """Hand over at once."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
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

    def commands(self, partition: int) -> TailedCommands:
        """The partition's commands, as the log has them."""
        return TailedCommands(self._world.log, partition, partial(self._marks.__setitem__, partition))

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
            self._changes.tell(FaustEnded("Faust does not end; start this program again"))
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

    async def _mark(self) -> None:
        """Leave in the group how far the commands are done: a hint for those who look at it."""
        left: dict[int, int] = {}
        while True:
            await asyncio.sleep(_MARK_S)
            for partition, offset in list(self._marks.items()):
                if left.get(partition) == offset:
                    continue
                try:
                    self._check(partition)
                    thread = self._app.consumer._thread  # noqa: SLF001 (as in `confirm`)
                    marking = commit_in, thread._ensure_consumer(), self._group, self._topic, partition, offset  # noqa: SLF001
                    await self._call(thread.call_thread(*marking))
                    left[partition] = offset
                except Exception as wrong:  # noqa: BLE001 (a hint; whatever ends Faust is told by `_watch`)
                    _log.debug("mark.not_left", partition=partition, reason=str(wrong))

    async def _take(self, stream: Any) -> None:
        """Whatever Faust brings is in the log: let its partition rest. A rebalance wakes it again."""
        async for event in stream.noack().events():
            stream.app.consumer.pause_partitions({TP(event.message.topic, event.message.partition)})

    async def _on_assigned(self, app: Any, assigned: Any, **__: Any) -> None:
        if app is not self._app:
            return
        self._held = frozenset(place.partition for place in assigned if place.topic == self._topic)
        self._changes.tell(Assigned(self._held))

    async def _on_revoked(self, app: Any, __: Any, **___: Any) -> None:
        if app is self._app:
            self._lose()

    def _lose(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._changes.tell(Revoked(held))

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
        broker_commit_livelock_soft_timeout=_NEVER_S,
        broker_heartbeat_interval=1.0,
        broker_max_poll_records=1,
        broker_rebalance_timeout=6.0,
        broker_request_timeout=20.0,
        broker_session_timeout=6.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_LEAST_FETCH,
        datadir=str(settings.data / "faust"),
        store="memory://",
        stream_processing_timeout=math.inf,
        stream_recovery_delay=0,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        web_enabled=False,
    )
