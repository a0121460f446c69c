"""What the settings of a topic must be, so that the log keeps what it was given and no longer keeps what is forgotten.

In go a topic's settings as the cluster tells them; out come those that must change, or what a new topic is made with. What
`durability = replicated` promises (law 9) is asked for only there; `single` is for dev and tests.
"""

from collections.abc import Mapping
from typing import Literal

from events.topics import COMMANDS, COMMANDS_KEPT_MS, COMPACTED, DAY_MS, EVENTS, REMEMBERED_MS, SNAPSHOTS
from services.kit.log import MAX_BATCH_BYTES

REPLICAS, IN_SYNC = 3, 2
KEPT_MS = {COMMANDS: COMMANDS_KEPT_MS, EVENTS: -1, SNAPSHOTS: -1}
_SEGMENT_MS = DAY_MS // 2
"""A record goes with its whole segment: after retention and the time that a segment stays open."""
_COMPACTION = {"segment.bytes": str(64 * 1024 * 1024), "segment.ms": str(3600 * 1000)}
"""The newest segment is never compacted, and who takes a partition over reads all of them: so segments are small."""
Durability = Literal["replicated", "single"]
Wanted = list[tuple[str, str]]
"""Settings that are not as they must be, and what they must be."""


def made_with(topic: str, durability: Durability) -> dict[str, str]:
    """The settings of a new topic."""
    configs = {"max.message.bytes": str(MAX_BATCH_BYTES), "retention.ms": str(KEPT_MS[topic]), "cleanup.policy": policy_of(topic)}
    if topic in COMPACTED:
        configs |= _COMPACTION
    if topic == COMMANDS:
        configs["segment.ms"] = str(_SEGMENT_MS)
    if durability == "replicated":
        configs |= {"min.insync.replicas": str(IN_SYNC), "unclean.leader.election.enable": "false"}
    return configs


def policy_of(topic: str) -> str:
    """How the topic is cleaned: by age, or by key."""
    return "compact" if topic in COMPACTED else "delete"


def misfits(topic: str, configs: Mapping[str, str], durability: Durability) -> Wanted:
    """What must change before a program may start."""
    policy = policy_of(topic)
    wrong: Wanted = [] if configs.get("cleanup.policy") == policy else [("cleanup.policy", policy)]
    if int(configs.get("max.message.bytes", 0)) < MAX_BATCH_BYTES:
        wrong.append(("max.message.bytes", str(MAX_BATCH_BYTES)))
    if durability == "replicated":
        wrong += [] if topic in COMPACTED else _unkept(topic, configs)
        if int(configs.get("min.insync.replicas", 1)) < IN_SYNC:
            wrong.append(("min.insync.replicas", str(IN_SYNC)))
        if configs.get("unclean.leader.election.enable") == "true":
            wrong.append(("unclean.leader.election.enable", "false"))
    return wrong


def _unkept(topic: str, configs: Mapping[str, str]) -> Wanted:
    """Kept for less than was promised, or (commands) for longer than their ids are remembered."""
    wrong: Wanted = []
    kept, retention, segment = KEPT_MS[topic], int(configs.get("retention.ms", -1)), int(configs.get("segment.ms", 7 * DAY_MS))
    if retention != -1 and (kept == -1 or retention < kept):
        wrong.append(("retention.ms", str(kept)))
    if int(configs.get("retention.bytes", -1)) != -1:
        wrong.append(("retention.bytes", "-1"))
    if topic == COMMANDS and (retention == -1 or retention + _SEGMENT_MS > REMEMBERED_MS):
        wrong.append(("retention.ms", str(kept)))
    elif topic == COMMANDS and retention + segment > REMEMBERED_MS:
        wrong.append(("segment.ms", str(REMEMBERED_MS - max(retention, kept))))
    return wrong


def least_in_sync(configs: Mapping[str, str]) -> int:
    """How many copies must have a batch before it is acknowledged."""
    return int(configs.get("min.insync.replicas", 1))
