"""The metadata request that the driver lacks (Metadata v10): a topic's UUID, and what this user may do with it.

In goes a topic's name; out comes what the cluster knows of it. The driver stops at v5. The layout is that of the
protocol guide (https://kafka.apache.org/protocol#The_Messages_Metadata); Apache Kafka 2.8 and later answer it.
"""

import uuid
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiokafka.errors import for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

READ, WRITE, DESCRIBE_CONFIGS = 3, 4, 10
"""Operations, numbered as in Kafka's `AclOperation`."""

_TEXT = CompactString("utf-8")


class _Uuid(AbstractType[uuid.UUID]):
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class _Answer(Response):
    API_KEY = 3  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride] (as the driver does)
    API_VERSION = 10  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride] (as the driver does)
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("tags", TaggedFields))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("in_sync", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_operations", Int32),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), ("tags", TaggedFields))),
        ("create", Boolean),
        ("cluster_operations", Boolean),
        ("topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicQuestion(Request[_Question]):
    """Asks for these topics, and creates none."""

    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_Question]) -> _Question:
        """The bytes' shape."""
        topics: list[Any] = [(uuid.UUID(int=0), name, {}) for name in self._names]
        return request_struct_class(topics, False, False, True, {})


@dataclass(frozen=True)
class TopicFacts:
    """What the cluster knows of a topic. `error` is the driver's class where there is none, `replicas` the fewest of a partition.

    `unled` are the partitions without a leader, `in_sync` says how many copies of each are in step.
    """

    name: str
    error: Any
    identity: str
    partitions: int
    replicas: int
    unled: tuple[int, ...]
    in_sync: dict[int, int]
    brokers: int
    operations: int

    def may(self, operation: int) -> bool:
        """Whether this user may do that with the topic."""
        return bool(self.operations >> operation & 1)


def facts_of(answer: Any) -> list[TopicFacts]:
    """The answer to a `TopicQuestion`."""
    found: list[TopicFacts] = []
    for code, name, identity, _, partitions, operations, _ in answer.topics:
        replicas = min((len(partition[4]) for partition in partitions), default=0)
        unled = tuple(sorted(partition[1] for partition in partitions if partition[2] < 0))
        in_sync = {partition[1]: len(partition[5]) for partition in partitions}
        count, brokers = len(partitions), len(answer.brokers)
        found.append(TopicFacts(name, for_code(code), identity.hex, count, replicas, unled, in_sync, brokers, operations))
    return found
