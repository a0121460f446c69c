"""A member of a group outlives what goes wrong inside the driver: it loses its partitions, and knocks again."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.kit.kafka import group
from services.kit.kafka.broker import cluster_of
from services.kit.log import Assigned, Revoked
from services.kit.settings import Settings


class Consumer:
    """The driver's: it gives partition 0 to whoever subscribes; the first then ends with an error, which its `stop` raises again."""

    errors: list[Exception]

    def __init__(self, **_: Any) -> None:
        self.failed = asyncio.Event()
        self.broken: Exception | None = None

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        if self.broken is not None:
            raise self.broken

    def pause(self, *_: Any) -> None:
        pass

    def subscribe(self, topics: list[str], listener: group.KafkaMember) -> None:
        asyncio.get_running_loop().call_soon(listener.on_partitions_assigned, {TopicPartition(topics[0], 0)})

    async def getone(self) -> None:
        await asyncio.sleep(0)
        if self.errors:
            self.broken = self.errors.pop()
            raise self.broken
        await self.failed.wait()


@pytest.mark.parametrize("wrong", [KafkaError("the group forgot us"), AssertionError(), RuntimeError("odd")])
async def test_what_ends_the_driver_s_task_is_a_lost_group_and_it_is_joined_again(monkeypatch: pytest.MonkeyPatch, wrong: Exception):
    monkeypatch.setattr(Consumer, "errors", [wrong], raising=False)
    monkeypatch.setattr(group, "AIOKafkaConsumer", Consumer)
    member = group.KafkaMember(cluster_of(Settings(kafka="127.0.0.1:1")), "readers", "events", lambda _member: None)
    await member.open()
    changes = member.changes()
    async with asyncio.timeout(10):
        seen = [await anext(changes) for _ in range(3)]
    await member.leave()
    assert [type(one) for one in seen] == [Assigned, Revoked, Assigned]
