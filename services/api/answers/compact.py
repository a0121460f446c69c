"""JSON as it goes over the wire: compact, every character kept. A lone surrogate, which UTF-8 cannot carry, becomes `?`.

Errors carry the codes that the setting asks for.
"""

import json

import orjson

from services.api.answers.errors import numbered


def compact(value: object) -> bytes:
    """The bytes."""
    said = numbered(value)
    try:
        return orjson.dumps(said)
    except TypeError:  # a surrogate, or a number of more than 64 bits
        return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


DONE = b"data: [DONE]\n\n"
"""What closes a stream of chunks."""


def record(value: object) -> bytes:
    """One SSE record that is only data."""
    return b"data: " + compact(value) + b"\n\n"
