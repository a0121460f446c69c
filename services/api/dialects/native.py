"""Our own dialect: every accepted event as it is, with its position as the SSE id.

In come accepted events; out go SSE records or JSON objects. Nothing is left out and nothing is made up.
"""

import json
from typing import Any

from events.acceptance import Accepted


def as_json(event: Accepted) -> dict[str, Any]:
    """`{position, type, version, id, time (ms), actor, command, data}`."""
    meta = event.meta
    return {
        "position": event.position,
        "type": meta.type,
        "version": meta.version,
        "id": meta.id,
        "time": meta.time,
        "actor": meta.actor,
        "command": meta.command,
        "data": event.envelope.data.model_dump(mode="json"),
    }


def record(event: Accepted) -> bytes:
    """One SSE record: `id` is the position, `event` the type, `data` the JSON object."""
    text = json.dumps(as_json(event), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.meta.type.encode(), text)


PING = b": ping\n\n"
