"""What must be true of the cluster before a program starts: reached, topics there and as we need them, rights given.

In go the settings; out come topics that exist, or one sentence that says what to do. Missing topics are created,
existing ones are never changed: their settings are the operator's.
"""

import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import errors as driver
from aiokafka.conn import create_conn  # pyright: ignore[reportUnknownVariableType] (the driver is untyped)
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest

from events.topics import COMMANDS, EVENTS, SNAPSHOTS
from services.kit.errors import Refused, TopicMismatch, Unreachable
from services.kit.kafka.broker import REQUEST_S, Broker, Cluster, patiently
from services.kit.kafka.metadata import DESCRIBE_CONFIGS, READ, WRITE, TopicFacts, TopicQuestion, facts_of
from services.kit.kafka.settings import IN_SYNC, REPLICAS, least_in_sync, made_with, misfits
from services.kit.settings import Settings

TOPICS = (COMMANDS, EVENTS, SNAPSHOTS)
_GROUPS = "__consumer_offsets"
_RIGHTS = {"READ": READ, "WRITE": WRITE, "DESCRIBE_CONFIGS": DESCRIBE_CONFIGS}
_TOPIC_RESOURCE = 2
_CREATE_S = 10.0
_REFUSALS: Mapping[Any, str] = {
    driver.TopicAuthorizationFailedError: "this user may not create it: grant CREATE and DESCRIBE, or create it beforehand",
    driver.ClusterAuthorizationFailedError: "this user may not create it: grant CREATE, or create it beforehand",
    driver.InvalidReplicationFactorError: "the cluster has too few brokers for its copies: add brokers, or set PROZESS_DURABILITY=single",
    driver.InvalidTopicError: "the name is not allowed: choose another prefix (PROZESS_TOPIC_PREFIX)",
}


async def prepare(cluster: Cluster, broker: Broker, settings: Settings) -> Mapping[str, int]:
    """Create and check the topics; their names and how many copies an acknowledgement takes. Raises `Refused`, `TopicMismatch`."""
    if not cluster.servers:
        raise Refused("no Apache Kafka is configured: set PROZESS_KAFKA to its bootstrap servers")
    names = [cluster.name(topic) for topic in TOPICS]
    least: dict[str, int] = {}
    await _reach(cluster, broker, names)
    try:
        found = await patiently(_CREATE_S, lambda: _settled(cluster, broker, settings, names))
        for topic in TOPICS:
            facts = found[cluster.name(topic)]
            _check_facts(facts, settings)
            configs = await _configs(broker, facts.name)
            _check_configs(facts, topic, configs, settings)
            least[facts.name] = least_in_sync(configs)
    except Unreachable as unreachable:
        raise Refused(f"the topics could not be checked: {unreachable}") from None
    return least


async def _reach(cluster: Cluster, broker: Broker, names: list[str]) -> dict[str, TopicFacts]:
    where = f"Apache Kafka at {', '.join(cluster.servers)} (PROZESS_KAFKA)"
    try:
        try:
            return await _facts(broker, names)
        except Unreachable:
            why, final = await _diagnose(cluster)
            if final:
                raise Refused(f"{where} {why}") from None
            return await patiently(REQUEST_S, lambda: _facts(broker, names))
    except Unreachable:
        why, _ = await _diagnose(cluster)
        raise Refused(f"{where} {why}") from None
    except NotImplementedError:
        raise Refused("this Apache Kafka is too old: version 2.8 or later is needed") from None


async def facts_about(broker: Broker, name: str) -> TopicFacts:
    """What the cluster knows of this topic now. Raises `Unreachable`."""
    return (await _facts(broker, [name]))[name]


async def lacking(broker: Broker, least: Mapping[str, int]) -> str:
    """Which partitions take no appends now, and why; "" when all do. Raises `Unreachable`."""
    found = [_lacking(facts, least[facts.name]) for facts in (await _facts(broker, list(least))).values()]
    return "; ".join(filter(None, found))


def _lacking(facts: TopicFacts, least: int) -> str:
    few = [number for number, copies in sorted(facts.in_sync.items()) if copies < least]
    if facts.error is driver.UnknownTopicOrPartitionError:
        return f"topic {facts.name} is gone"
    if facts.unled:
        return f"topic {facts.name}: {_numbered(facts.unled)} no leader"
    return f"topic {facts.name}: {_numbered(few)} fewer than {least} copies in step" if few else ""


async def thin_groups(broker: Broker) -> str:
    """Why the groups would not outlive a broker; "" when they do, or when there is no group yet. Raises `Unreachable`."""
    facts = await facts_about(broker, _GROUPS)
    if facts.error is not driver.NoError or facts.replicas >= IN_SYNC:
        return ""
    return (
        f"{_GROUPS} has {facts.replicas} copy of a partition: the groups stand still when its broker is lost; "
        f"reassign its replicas, and set offsets.topic.replication.factor={REPLICAS}"
    )


def _numbered(partitions: Sequence[int]) -> str:
    numbers = ", ".join(map(str, partitions))
    return f"partition {numbers} has" if len(partitions) == 1 else f"partitions {numbers} have"


async def _facts(broker: Broker, names: list[str]) -> dict[str, TopicFacts]:
    return {facts.name: facts for facts in facts_of(await broker.ask(TopicQuestion(names)))}


async def _settled(cluster: Cluster, broker: Broker, settings: Settings, names: list[str]) -> dict[str, TopicFacts]:
    found = await _facts(broker, names)
    for topic in TOPICS:
        facts = found[cluster.name(topic)]
        if facts.error is driver.UnknownTopicOrPartitionError:
            await _create(cluster, broker, topic, settings, facts.brokers)
        if facts.error is driver.TopicAuthorizationFailedError:
            raise Refused(f"topic {facts.name}: this user may not see it: grant DESCRIBE, READ and WRITE")
        if facts.error is not driver.NoError or facts.unled:
            raise Unreachable(f"topic {facts.name} has no leader yet")
    return found


async def _create(cluster: Cluster, broker: Broker, topic: str, settings: Settings, brokers: int) -> None:
    name = cluster.name(topic)
    replicated = settings.durability == "replicated"
    if replicated and brokers < REPLICAS:
        raise Refused(
            f"topic {name} cannot be created: {REPLICAS} copies are wanted and the cluster has {brokers} broker(s): "
            "add brokers, or set PROZESS_DURABILITY=single"
        )
    configs = made_with(topic, settings.durability)
    copies = REPLICAS if replicated else 1
    wanted: Any = (name, settings.partitions, copies, [], list(configs.items()))
    answer = await broker.ask(CreateTopicsRequest([wanted], timeout=int(_CREATE_S * 1000), validate_only=False))
    for _, code, message in answer.topic_errors:
        error: Any = driver.for_code(code)
        if error not in {driver.NoError, driver.TopicAlreadyExistsError}:
            raise Refused(f"topic {name} cannot be created: {_REFUSALS.get(error, message or error.__name__)}")


def _check_facts(facts: TopicFacts, settings: Settings) -> None:
    if facts.partitions != settings.partitions:
        raise TopicMismatch(
            f"topic {facts.name} has {facts.partitions} partitions, and {settings.partitions} are configured: "
            f"set PROZESS_PARTITIONS={facts.partitions}, or choose another prefix (PROZESS_TOPIC_PREFIX)"
        )
    lacking = [name for name, operation in _RIGHTS.items() if not facts.may(operation)]
    if lacking:
        raise Refused(f"topic {facts.name}: this user lacks the rights {', '.join(lacking)}: grant them")
    if settings.durability == "replicated" and facts.replicas < IN_SYNC:
        raise TopicMismatch(
            f"topic {facts.name} has {facts.replicas} copies of a partition, and {IN_SYNC} are the least: "
            "reassign its replicas, or set PROZESS_DURABILITY=single"
        )


async def _configs(broker: Broker, name: str) -> dict[str, str]:
    answer = await broker.ask(DescribeConfigsRequest([(_TOPIC_RESOURCE, name, None)]))
    (resource,) = answer.resources
    if resource[0]:
        raise Refused(f"topic {name}: its settings cannot be read: {resource[1] or driver.for_code(resource[0]).__name__}")
    return {entry[0]: entry[1] or "" for entry in resource[4]}


def _check_configs(facts: TopicFacts, topic: str, configs: Mapping[str, str], settings: Settings) -> None:
    if wrong := misfits(topic, configs, settings.durability):
        told = ", ".join(f"{name} is {configs.get(name, 'unset')} and must be {wanted}" for name, wanted in wrong)
        raise TopicMismatch(f"topic {facts.name}: {told}: change its settings")


async def _diagnose(cluster: Cluster) -> tuple[str, bool]:
    """Why nobody answered, and whether that will stay so; asked of the first server, for the driver keeps the reason to itself."""
    host, _, port = cluster.servers[0].rpartition(":")
    options = {name: value for name, value in cluster.options.items() if name != "bootstrap_servers"}
    try:
        connection: Any = await create_conn(host or port, int(port) if host and port.isdigit() else 9092, **options)
    except (driver.SaslAuthenticationFailed, driver.UnsupportedSaslMechanismError, driver.IllegalSaslStateError):
        return "does not let this user in: check PROZESS_KAFKA_SASL_MECHANISM, _USERNAME and _PASSWORD", True
    except ssl.SSLCertVerificationError:
        return "shows a certificate that cannot be trusted: check PROZESS_KAFKA_SSL_CAFILE", True
    except TimeoutError:
        return "does not answer: check the address, and that the broker runs", False
    except OSError as wrong:
        return f"cannot be reached ({wrong.strerror or wrong}): check the address, and that the broker runs", False
    except (driver.KafkaError, ValueError):
        return "does not speak Kafka there: check the address and PROZESS_KAFKA_SECURITY_PROTOCOL", False
    connection.close()
    return "does not give its metadata: check that the cluster is healthy", False
