"""Three brokers on this machine: one killed under load, partitions without a leader, and what is checked before a start.

With `durability = replicated` two of three brokers have every acknowledged event; with `single` one partition in three stands
still when its broker is lost, and everybody says which.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events.topics import COMMANDS, EVENTS
from infra.bench.fleet import Fleet
from infra.bench.reader import Reader
from infra.kafka import broker as local
from infra.kafka.broker import LocalCluster
from services.kit.errors import TopicMismatch, Unreachable
from services.kit.ids import new_id
from services.kit.kafka.log import KafkaLog
from services.kit.kafka.topics import facts_about
from services.kit.settings import Settings
from tests.contracts.log_place import some
from tests.support import postgres
from tests.support.broker import admin, give_up
from tests.support.fleets import answering, clients, events_of, found, on_kafka, published, said
from tests.support.model_server import ModelServer, model

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]
TEXT = "".join(f"w{index} " for index in range(1, 41))


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    if reason := local.missing():
        give_up(f"Apache Kafka of one's own: {reason}", os.environ)
    with local.running_cluster() as cluster:
        yield cluster


@pytest.fixture
def whole(cluster: LocalCluster) -> LocalCluster:
    """All three are there, and in step."""
    for broker in cluster.brokers:
        if not broker.runs:
            broker.start()
    return cluster


def settings(cluster: LocalCluster, **more: object) -> Settings:
    chosen = {"kafka": cluster.address, "partitions": 3, "topic_prefix": f"test-{new_id()[:12]}.", "durability": "replicated"}
    return Settings.model_validate(chosen | more)


@pytest.mark.postgres
async def test_a_broker_is_killed_under_load_and_no_acknowledged_run_is_lost(
    whole: LocalCluster, postgres_server: str, tmp_path: Path, model_server: ModelServer
) -> None:
    with (
        postgres.database(postgres_server) as database,
        on_kafka(("dev-1",), whole.address, database, tmp_path, partitions=3, durability="replicated") as fleet,
    ):
        async with clients(fleet.urls[0]) as client:
            flow = await published(client, answering(model_server, model("say", text=TEXT, gap_ms=100, prefill=1)))
            readers = [Reader(client, fleet.urls) for _ in range(12)]
            reading = [asyncio.create_task(reader.whole(flow, new_id())) for reader in readers]

            async def streaming() -> bool:
                return all(len(reader.words) >= 3 for reader in readers)

            await found("three words of each stream", streaming)
            await asyncio.to_thread(whole.brokers[0].stop, signal.SIGKILL)
            late = [Reader(client, fleet.urls) for _ in range(12)]
            await asyncio.gather(*reading, *(reader.whole(flow, new_id()) for reader in late))
            for reader in readers + late:
                assert reader.text == TEXT
                events = await events_of(client, reader.run)
                assert said(events) == TEXT
                assert [event["type"] for event in events].count("run.completed") == 1
            await asyncio.to_thread(fleet.wait_ready)
            await asyncio.to_thread(_assert_the_doctor_is_content, fleet)


def _assert_the_doctor_is_content(fleet: Fleet) -> None:
    environment = {**os.environ, **fleet.environment}
    told = subprocess.run(
        [sys.executable, "-m", "services.cli", "doctor"], env=environment, capture_output=True, timeout=120, check=False
    ).stdout.decode()
    assert "its topics are as they must be" in " ".join(told.split()), told


async def unled(log: KafkaLog, topic: str) -> Sequence[int]:
    """The partitions without a leader, asked until a broker that lives is asked."""
    told: list[Sequence[int]] = []

    async def answered() -> bool:
        with contextlib.suppress(Unreachable):
            told.append((await facts_about(log._broker, topic)).unled)
        return bool(told and told[-1])

    await found("partitions without a leader", answered)
    return told[-1]


async def test_a_partition_without_a_leader_is_told_and_the_others_take_what_is_appended(whole: LocalCluster) -> None:
    chosen = settings(whole, durability="single")
    log = KafkaLog(chosen)
    await log.start()
    try:

        async def lacking() -> bool:
            return "no leader" in log.trouble

        for partition in range(3):
            await log.append(EVENTS, partition, some(1))
        await asyncio.to_thread(whole.brokers[2].stop, signal.SIGKILL)
        await found("word of the lost leader", lacking)
        assert not log.reachable
        lost = await unled(log, chosen.topic_prefix + EVENTS)
        for partition in set(range(3)) - set(lost):
            assert await log.append(EVENTS, partition, some(1)) == 1
        await asyncio.to_thread(whole.brokers[2].start)

        async def well() -> bool:
            return log.reachable

        await found("the leader again", well)
        assert [await log.append(EVENTS, partition, some(1)) for partition in lost] == [1] * len(lost)
    finally:
        await log.stop()


async def test_a_replicated_log_is_made_with_three_copies_and_refused_when_somebody_loosens_it(whole: LocalCluster) -> None:
    chosen = settings(whole)
    log = KafkaLog(chosen)
    await log.start()
    assert await log.advice() == ""
    await log.stop()
    names = {name: chosen.topic_prefix + name for name in (COMMANDS, EVENTS)}
    async with admin(whole.address) as client:
        told = await client.describe_topics(list(names.values()))
        assert {len(partition["replicas"]) for topic in told for partition in topic["partitions"]} == {3}
        loose = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true", "retention.ms": "86400000"}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, names[EVENTS], configs=loose)])
    with pytest.raises(TopicMismatch) as refused:
        await KafkaLog(chosen).start()
    told = str(refused.value)
    for wanted in ("min.insync.replicas is 1 and must be 2", "election.enable is true and must be false", "retention.ms is 86400000"):
        assert wanted in told
    single = KafkaLog(chosen.model_copy(update={"durability": "single"}))
    with pytest.raises(TopicMismatch, match=r"max\.message\.bytes"):
        await single.start()
