"""A real Apache Kafka for the tests that want one: the ladder that finds it, and what tests do to its topics.

Rungs, in order: the address in PROZESS_TEST_KAFKA, a broker started here with Java (`infra/kafka`), a container. Where
none holds, the test is skipped with all reasons; with CI=true or PROZESS_REQUIRE_REAL=1 that is a failure.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from infra.kafka import broker as local
from infra.kafka.broker import CannotStart
from services.kit.settings import Settings

ADDRESS = "PROZESS_TEST_KAFKA"
REQUIRED = "PROZESS_REQUIRE_REAL"


class NothingFound(Exception):
    """No rung held; the message has every reason."""


@dataclass(frozen=True)
class Rung:
    """One way to a server: why not (empty: it may do), and how."""

    name: str
    refusal: Callable[[], str]
    start: Callable[[], AbstractContextManager[str]]


def kafka_rungs(environment: Mapping[str, str]) -> list[Rung]:
    """The ladder to a bootstrap address."""
    address = environment.get(ADDRESS, "")
    return [
        Rung("environment", lambda: "" if address else f"{ADDRESS} is not set", lambda: contextlib.nullcontext(address)),
        Rung("local Java", local.missing, _local),
        Rung("container", _no_containers, _container),
    ]


@contextlib.contextmanager
def climb(rungs: Sequence[Rung]) -> Iterator[str]:
    """The address of the first rung that holds. Raises `NothingFound`."""
    reasons: list[str] = []
    with contextlib.ExitStack() as stack:
        for rung in rungs:
            reason = rung.refusal()
            if not reason:
                try:
                    address = stack.enter_context(rung.start())
                except CannotStart as wrong:
                    reason = str(wrong)
                else:
                    yield address
                    return
            reasons.append(f"{rung.name}: {reason}")
    raise NothingFound("; ".join(reasons))


def is_required(environment: Mapping[str, str]) -> bool:
    """Whether a missing server is a failure."""
    return environment.get(REQUIRED, "") not in {"", "0"} or environment.get("CI", "").lower() == "true"


def give_up(reason: str, environment: Mapping[str, str]) -> None:
    """Skip, or fail where real servers are required."""
    if is_required(environment):
        pytest.fail(f"a real server is required here and none was found: {reason}")
    pytest.skip(f"no real server: {reason}")


@contextlib.asynccontextmanager
async def admin(address: str) -> Any:
    """An administrator of the cluster."""
    client = AIOKafkaAdminClient(bootstrap_servers=address)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def delete_topics(address: str, prefix: str) -> None:
    """Delete all topics whose name begins so, and wait until nobody sees them."""
    async with admin(address) as client:
        while found := [name for name in await client.list_topics() if name.startswith(prefix)]:
            await client.delete_topics(found)


async def delete_records(address: str, topic: str, partition: int, before: int) -> None:
    """Delete the records below an offset."""
    async with admin(address) as client:
        await client.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=before)})


@contextlib.contextmanager
def _local() -> Iterator[str]:
    with local.running() as broker:
        yield broker.address


def _no_containers() -> str:
    try:
        import docker

        docker.from_env(timeout=5).close()
    except ImportError:
        return "testcontainers is not installed"
    except Exception as wrong:  # noqa: BLE001 (whatever the engine's client raises is the reason)
        return f"no container engine ({type(wrong).__name__})"
    return ""


@contextlib.contextmanager
def _container() -> Iterator[str]:
    from testcontainers.kafka import KafkaContainer

    container = KafkaContainer("confluentinc/cp-kafka:7.9.0").with_kraft().with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
    try:
        container.start()
    except Exception as wrong:
        raise CannotStart(f"the container did not start ({type(wrong).__name__})") from wrong
    try:
        yield container.get_bootstrap_server()
    finally:
        container.stop()


async def mark_of(settings: Settings, group: str, topic: str, partition: int) -> int | None:
    """How far a group says that it is."""
    client: Any = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await client.start()
    try:
        marks = await client.list_consumer_group_offsets(settings.topic_prefix + group)
    finally:
        await client.close()
    found = marks.get(TopicPartition(settings.topic_prefix + topic, partition))
    return None if found is None else found.offset
