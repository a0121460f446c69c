"""Topics, streams and slots: where a fact lives.

A stream is one history with one key. Its slot (0 to 4095) is in the id of runs and flows and a hash of the name of all
others; a table fixed per cluster maps slots to partitions.
"""

import hashlib
import zlib

COMMANDS = "prozess.commands"
EVENTS = "prozess.events"
SNAPSHOTS = "prozess.snapshots"
COMPACTED = frozenset({SNAPSHOTS})
"""Topics of which only the newest record of each key is kept for sure."""

DAY_MS = 86_400_000
COMMANDS_KEPT_MS = 7 * DAY_MS
"""How long the log keeps commands."""
REMEMBERED_MS = 8 * DAY_MS
"""How long ids of commands and ended runs are remembered: longer than a command is kept, so that none is decided twice."""

SLOTS = 4096
_SEQUENCES = 1024


def run_stream(run: str) -> str:
    return f"run-{run}"


def flow_stream(flow: str) -> str:
    return f"flow-{flow}"


def app_stream(app: str) -> str:
    return f"app-{app}"


def bot_stream(bot: str) -> str:
    return f"bot-{bot}"


def file_stream(file: str) -> str:
    """The stream of a file."""
    return f"file-{file}"


def tool_stream(app: str, tool: str) -> str:
    """Tools are named by their apps; a tool's name holds no slash."""
    return f"tool-{app}/{tool}"


def provider_stream(app: str, provider: str) -> str:
    """Providers are named by whose they are (empty: everybody's); an id holds no slash."""
    return f"provider-{app}/{provider}"


def refusals_stream(app: str) -> str:
    return f"refusals-{app}"


def partition_stream(partition: int) -> str:
    """The stream of claims; it lives in its own partition, whatever its slot."""
    return f"partition-{partition}"


def mint(milliseconds: int, slot: int, sequence: int) -> str:
    """A 63-bit id in decimal: milliseconds since 1970 (41 bits), slot (12), sequence (10)."""
    if not (0 <= milliseconds < 1 << 41 and 0 <= slot < SLOTS and 0 <= sequence < _SEQUENCES):
        raise ValueError("an id needs milliseconds below 2^41, a slot below 4096 and a sequence below 1024")
    return str(milliseconds << 22 | slot << 10 | sequence)


def child_id(parent: str, *node_run: str | int) -> str:
    """The id of the run that a node run starts: in its parent's slot, always the same for the same node run."""
    named = hashlib.sha256("\0".join(map(str, (parent, *node_run))).encode()).digest()
    number = int.from_bytes(named[:8])
    return mint(number >> 10 & (1 << 41) - 1, slot_of_id(parent), number & _SEQUENCES - 1)


def slot_of_id(id_: str) -> int:
    """The slot inside an id that `mint` made."""
    return int(id_) >> 10 & SLOTS - 1


def minted_at(id_: str) -> int:
    """Milliseconds since 1970 inside an id that `mint` made."""
    return int(id_) >> 22


def slot_of_name(*parts: str) -> int:
    """The slot of a chat (app, chat id), an app, an idempotency key: a stable hash."""
    return zlib.crc32("\0".join(parts).encode()) & SLOTS - 1


def slot_of(stream: str) -> int:
    """The slot of a stream by its name."""
    category, _, name = stream.partition("-")
    if category in {"run", "flow"}:
        return slot_of_id(name)
    return slot_of_name(category, name)


def partition_of(slot: int, partitions: int) -> int:
    """The table: equal shares of neighbouring slots."""
    return slot * partitions // SLOTS
