"""What the same durability costs without us, measured in the same run."""

import sqlite3
import time
import uuid
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

_BODY = b"x" * 400


def sqlite_commits(folder: Path, steps: int, count: int) -> list[float]:
    """Seconds for `steps` synced commits of one small row, one after another."""
    connection = sqlite3.connect(folder / "baseline.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS log (value BLOB)")
    times: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        for _ in range(steps):
            connection.execute("BEGIN")
            connection.execute("INSERT INTO log VALUES (?)", (_BODY,))
            connection.execute("COMMIT")
        times.append(time.perf_counter() - began)
    connection.close()
    return times


async def kafka_hops(address: str, steps: int, count: int) -> list[float]:
    """Seconds for `steps` produce-and-consume round trips on one partition, acknowledged by all."""
    topic = f"baseline-{uuid.uuid4().hex}"  # noqa: TID251 (a name for one run of the bench)
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(bootstrap_servers=address)
    await producer.start()
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.seek_to_beginning()
    times: list[float] = []
    try:
        for _ in range(count):
            began = time.perf_counter()
            for _ in range(steps):
                await producer.send_and_wait(topic, _BODY, partition=0)
                await consumer.getone()
            times.append(time.perf_counter() - began)
    finally:
        await consumer.stop()
        await producer.stop()
        await admin.delete_topics([topic])
        await admin.close()
    return times
