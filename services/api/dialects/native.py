"""Our own dialect: every accepted event as it is, with its position as the SSE id.

In come accepted events; out go SSE records or JSON objects. Nothing is left out and nothing is made up.
"""

from typing import Any

from events.acceptance import Accepted
from services.api.answers.compact import record as data
from services.api.answers.errors import named
from services.api.answers.wrong import Body, Wrong


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
    return b"id: %d\nevent: %s\n" % (event.position, event.meta.type.encode()) + data(as_json(event))


PING = b": ping\n\n"


def problem(wrong: Wrong, _now: int, _id: str) -> tuple[Body, int]:
    """`{"detail"}` with a status; `code` and `symbol` where the error is in the table."""
    if wrong.faults or not wrong.code:
        return {"detail": wrong.message}, wrong.native
    return {"detail": wrong.message, "code": wrong.code, **named(wrong.code)}, wrong.native
