"""Apache Kafka keeps the log's promises, and those that only a cluster can break. Needs a real broker: see tests/support/broker.py."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.topics import COMMANDS, EVENTS, SNAPSHOTS
from infra.kafka.broker import LocalBroker
from services.kit.errors import AppendFailed, HistoryLost, NotMember, Refused, TopicMismatch
from services.kit.ids import new_id
from services.kit.kafka import producer as kafka_producer
from services.kit.kafka import topics as kafka_topics
from services.kit.kafka.group import KafkaMember, confirm_in
from services.kit.kafka.log import KafkaLog
from services.kit.log import MAX_BATCH_BYTES, Assigned, Log
from services.kit.settings import Settings
from tests.contracts.group_contract import wait_for_share
from tests.contracts.log_contract import LogContract
from tests.contracts.log_place import PARTITIONS, Place, read_all, some, take, texts
from tests.support.broker import admin, delete_records, delete_topics

pytestmark = pytest.mark.kafka


class ClusterPlace(Place):
    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.prefix = f"test-{new_id()[:12]}."

    def settings(self, partitions: int = PARTITIONS, **others: object) -> Settings:
        chosen = {"kafka": self.address, "partitions": partitions, "topic_prefix": self.prefix, "durability": "single"} | others
        return Settings.model_validate(chosen)

    def make(self, partitions: int) -> KafkaLog:
        return KafkaLog(self.settings(partitions))

    async def trim(self, log: Log, topic: str, partition: int, before: int) -> Log:
        await delete_records(self.address, self.prefix + topic, partition, before)
        return log

    async def destroy(self) -> None:
        await delete_topics(self.address, self.prefix)

    async def create(self, topic: str, partitions: int = PARTITIONS, **configs: str) -> None:
        """A topic made by an operator."""
        async with admin(self.address) as client:
            settled = {name.replace("_", "."): value for name, value in configs.items()}
            await client.create_topics([NewTopic(self.prefix + topic, partitions, 1, topic_configs=settled)])


@pytest.fixture
async def place(kafka: str) -> AsyncIterator[ClusterPlace]:
    place = ClusterPlace(kafka)
    yield place
    await place.stop_all()
    await place.destroy()


@pytest.fixture
async def own_place(own_kafka: LocalBroker) -> AsyncIterator[ClusterPlace]:
    place = ClusterPlace(own_kafka.address)
    yield place
    await place.stop_all()


async def wait_until_reachable(log: Log, wanted: bool) -> None:
    """The log feels the pulse every two seconds; nobody tells when it has changed its mind."""
    async with asyncio.timeout(30):
        while log.reachable is not wanted:  # noqa: ASYNC110 (see above)
            await asyncio.sleep(0.05)


class TestKafkaLog(LogContract):
    async def test_prefixes_keep_deployments_apart(self, place: ClusterPlace, kafka: str) -> None:
        other = ClusterPlace(kafka)
        ours, theirs = await place.open(), await other.open()
        await ours.append(EVENTS, 0, some(2))
        assert await theirs.bounds(EVENTS, 0) == (0, 0)
        members = [await ours.join("group", COMMANDS), await theirs.join("group", COMMANDS)]
        for member in members:
            assert await anext(member.changes()) == Assigned(frozenset(range(PARTITIONS)))
        await other.stop_all()
        await other.destroy()

    async def test_created_topics_have_the_settings_that_we_need(self, place: ClusterPlace) -> None:
        await place.open()
        async with admin(place.address) as client:
            names = [place.prefix + topic for topic in (COMMANDS, EVENTS, SNAPSHOTS)]
            (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
        found = {resource[3]: {entry[0]: entry[1] for entry in resource[4]} for resource in answer.resources}
        kept = {name: (configs["retention.ms"], configs["max.message.bytes"], configs["cleanup.policy"]) for name, configs in found.items()}
        assert kept == {
            names[0]: (str(7 * 24 * 3600 * 1000), str(MAX_BATCH_BYTES), "delete"),
            names[1]: ("-1", str(MAX_BATCH_BYTES), "delete"),
            names[2]: ("-1", str(MAX_BATCH_BYTES), "compact"),
        }

    async def test_a_topic_of_an_operator_that_does_not_fit_is_refused_with_what_must_change(self, place: ClusterPlace) -> None:
        await place.create(EVENTS, cleanup_policy="compact", max_message_bytes="1000000")
        wanted = "cleanup.policy is compact and must be delete, max.message.bytes is 1000000 and must be 16777216: change its settings"
        with pytest.raises(TopicMismatch, match=wanted):
            await place.open()

    async def test_snapshots_that_would_be_deleted_instead_of_compacted_are_refused(self, place: ClusterPlace) -> None:
        await place.create(SNAPSHOTS, cleanup_policy="delete", max_message_bytes=str(MAX_BATCH_BYTES))
        with pytest.raises(TopicMismatch, match="cleanup.policy is delete and must be compact: change its settings"):
            await place.open()

    async def test_holes_in_a_compacted_topic_are_read_over(self, place: ClusterPlace) -> None:
        """A broker compacts in its own time; the marks of a stranger's transactions are holes that can be had at once."""
        log = await place.open()
        await log.append(SNAPSHOTS, 0, some(2))
        stranger = AIOKafkaProducer(bootstrap_servers=place.address, transactional_id=place.prefix)
        async with stranger:
            for _ in range(2):
                async with stranger.transaction():
                    await stranger.send(place.prefix + SNAPSHOTS, b"theirs", b"key", partition=0)
        while await log.bounds(SNAPSHOTS, 0) != (0, 6):  # the broker writes the marks in its own time
            pass
        assert [one.offset for one in await log.read(SNAPSHOTS, 0, 2)] == [2, 4]
        assert [one.offset for one in await log.read(SNAPSHOTS, 0, 3, 1)] == [4]
        assert not await log.read(SNAPSHOTS, 0, 5)
        assert await log.append(SNAPSHOTS, 0, some(1)) == 6
        assert [one.offset for one in await log.read(SNAPSHOTS, 0, 5)] == [6]

    async def test_replicated_needs_the_brokers_for_it(self, place: ClusterPlace) -> None:
        log = KafkaLog(place.settings(durability="replicated"))
        with pytest.raises(Refused, match=r"3 copies are wanted and the cluster has 1 broker.*PROZESS_DURABILITY=single"):
            await log.start()

    async def test_replicated_refuses_topics_with_one_copy(self, place: ClusterPlace) -> None:
        await place.open()
        log = KafkaLog(place.settings(durability="replicated"))
        with pytest.raises(TopicMismatch, match="has 1 copies of a partition, and 2 are the least"):
            await log.start()

    async def test_a_certificate_that_is_not_there_is_refused(self, place: ClusterPlace) -> None:
        settings = place.settings(kafka_security_protocol="SSL", kafka_ssl_cafile="/nowhere/ca.pem")
        with pytest.raises(Refused, match="the certificates for Apache Kafka cannot be read"):
            KafkaLog(settings)

    async def test_a_stranger_s_transaction_is_lost_history(self, place: ClusterPlace) -> None:
        log = await place.open()
        await log.append(EVENTS, 0, some(3))
        stranger = AIOKafkaProducer(bootstrap_servers=place.address, transactional_id=place.prefix)
        async with stranger, stranger.transaction():
            await stranger.send(place.prefix + EVENTS, b"", partition=0)
        await log.append(EVENTS, 0, some(1))
        while await log.bounds(EVENTS, 0) != (0, 6):  # the broker writes the mark in its own time
            pass
        with pytest.raises(HistoryLost, match=r"offset [45] is a mark of somebody's transaction"):
            await read_all(log)
        tail = log.tail(EVENTS, 0, 4)
        with pytest.raises(HistoryLost, match=r"offset [45] is a mark of somebody's transaction"):
            await take(tail, 10)

    async def test_the_mark_of_a_confirmation_is_the_one_that_was_there(self, place: ClusterPlace) -> None:
        first = await (await place.open()).join("group", COMMANDS)
        await wait_for_share(first.changes(), PARTITIONS)
        await first.commit(2, 40)
        await first.leave()
        second = await (await place.open()).join("group", COMMANDS)
        await wait_for_share(second.changes(), PARTITIONS)
        await second.confirm(2)
        assert await second.committed(2) == 40
        assert isinstance(second, KafkaMember)
        await confirm_in(second._consumer, second._group, second._topic, 2)
        assert await second.committed(2) == 40


class TestNobodyThere:
    @pytest.fixture(autouse=True)
    def less_patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert kafka_topics.REQUEST_S == 10
        monkeypatch.setattr(kafka_topics, "REQUEST_S", 0.5)

    async def test_an_unreachable_broker_is_refused_within_bounds(self) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{nobody.getsockname()[1]}"
            log = KafkaLog(Settings(kafka=address))
            async with asyncio.timeout(5):
                with pytest.raises(Refused, match=rf"{address} \(PROZESS_KAFKA\) cannot be reached .*: check the address"):
                    await log.start()
        assert not log.reachable

    async def test_something_that_is_not_kafka_is_refused(self) -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(Refused, match="does not speak Kafka there"):
                await KafkaLog(Settings(kafka=address)).start()

    async def test_no_address_is_refused(self) -> None:
        with pytest.raises(Refused, match="set PROZESS_KAFKA"):
            await KafkaLog(Settings()).start()


class TestLostBroker:
    async def test_a_broker_that_comes_back_is_found_again(self, own_place: ClusterPlace, own_kafka: LocalBroker) -> None:
        log = await own_place.open()
        await log.append(EVENTS, 0, some(2))
        tail = log.tail(EVENTS, 0, 0)
        await take(tail, 2)
        member = await log.join("group", COMMANDS)
        changes = member.changes()
        await wait_for_share(changes, PARTITIONS)
        waiting = asyncio.create_task(tail.next())
        own_kafka.stop(signal.SIGKILL)
        await wait_until_reachable(log, wanted=False)
        appending = asyncio.create_task(log.append(EVENTS, 0, some(1, "late")))
        await asyncio.to_thread(own_kafka.start)
        assert await appending == 2
        assert texts(await waiting) == ["late0"]
        await wait_until_reachable(log, wanted=True)
        assert texts(await read_all(log)) == ["r0", "r1", "late0"]
        async with asyncio.timeout(20):
            while True:
                try:
                    await member.confirm(0)
                    break
                except NotMember:
                    await wait_for_share(changes, PARTITIONS)

    async def test_a_silent_broker_fails_the_append_in_time_and_the_next_producer_works(
        self, own_place: ClusterPlace, own_kafka: LocalBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kafka_producer, "DEADLINE_S", 1.0)
        log = await own_place.open()
        appender = await log.appender(EVENTS, 0)
        await appender.append(some(1))
        await log.append(EVENTS, 1, some(1))
        assert isinstance(log, KafkaLog)
        shared = log._shared._current
        own_kafka.tell(signal.SIGSTOP)
        try:
            await wait_until_reachable(log, wanted=False)
            outcomes = await asyncio.gather(
                appender.append(some(1, "perhaps")), log.append(EVENTS, 1, some(1)), log.append(EVENTS, 2, some(1)), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [AppendFailed] * 3
            with pytest.raises(AppendFailed, match="closed since"):
                await appender.append(some(1))
        finally:
            own_kafka.tell(signal.SIGCONT)
        monkeypatch.setattr(kafka_producer, "DEADLINE_S", 20.0)
        first = await (await log.appender(EVENTS, 0)).append(some(1, "after"))
        assert texts(await log.read(EVENTS, 0, first))[0] == "after0"
        await log.append(EVENTS, 1, some(1))
        assert log._shared._current is not shared

    async def test_a_log_that_was_cut_and_grew_again_is_noticed_by_who_had_read_it(
        self, own_place: ClusterPlace, own_kafka: LocalBroker
    ) -> None:
        log = await own_place.open()
        await log.append(EVENTS, 0, some(3))
        tail = log.tail(EVENTS, 0, 0)
        await take(tail, 3)
        waiting = asyncio.create_task(tail.next())
        own_kafka.stop(signal.SIGKILL)
        await wait_until_reachable(log, wanted=False)
        (segment,) = (own_kafka.folder / "logs" / f"{own_place.prefix}{EVENTS}-0").glob("*.log")
        segment.write_bytes(b"")
        await asyncio.to_thread(own_kafka.start)
        await log.append(EVENTS, 0, some(3, "other"))
        with pytest.raises(HistoryLost, match=r"offset 2 of topic .* holds another record than was read"):
            await waiting

    async def test_a_topic_made_again_is_noticed_by_who_follows_it(self, own_place: ClusterPlace) -> None:
        log = await own_place.open()
        tail = log.tail(EVENTS, 0, 0)
        await log.append(EVENTS, 0, some(1))
        await take(tail, 1)
        waiting = asyncio.create_task(tail.next())
        await delete_topics(own_place.address, own_place.prefix + EVENTS)
        await own_place.create(EVENTS)
        with pytest.raises(HistoryLost, match="is another one than was read so far"):
            await waiting
