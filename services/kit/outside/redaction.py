"""Answers of tools without the keys they were called with: some tell in an error, or in a page of greetings, what they were sent."""

import base64
from collections.abc import Iterable

from pydantic import JsonValue

HIDDEN = "…"
_TELLING = 6
"""Shorter keys stand in too many words."""


def without(value: JsonValue, keys: Iterable[str]) -> JsonValue:
    """The value with `…` in the place of every key, also as Basic authentication writes it."""
    wanted = {key for key in keys if len(key) >= _TELLING}
    wanted |= {base64.b64encode(key.encode()).decode() for key in wanted}
    return _clean(value, sorted(wanted, key=len, reverse=True)) if wanted else value


def _clean(value: JsonValue, keys: list[str]) -> JsonValue:
    if isinstance(value, str):
        for key in keys:
            value = value.replace(key, HIDDEN)
        return value
    if isinstance(value, list):
        return [_clean(one, keys) for one in value]
    if isinstance(value, dict):
        return {str(_clean(name, keys)): _clean(one, keys) for name, one in value.items()}
    return value
