"""JSON texts from outside, read so that the record can hold what they say.

In comes a text; out goes its value. NaN, and numbers that no float holds, would be something else when the record is read again:
they are refused as what is no JSON is.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json

_LARGE = r"[0-9][eE][+0-9]|(?<![0-9])[0-9]{300}"
"""Only where this stands can a number be too large. It is looked for from the beginning of a number only: so it costs little."""
_IN_TEXT, _IN_BYTES = re.compile(_LARGE), re.compile(_LARGE.encode())


def read_json(text: str | bytes) -> Any:
    """The value. Raises `ValueError`."""
    value = from_json(text, allow_inf_nan=False)
    found = _IN_TEXT.search(text) if isinstance(text, str) else _IN_BYTES.search(text)
    if found is not None and not is_finite(value):
        raise ValueError("a number is larger than any float")
    return value


def is_finite(value: Any) -> bool:
    """Whether all numbers in it are some that JSON has."""
    return all(map(math.isfinite, _floats(value)))


def _floats(value: Any) -> Iterable[float]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float):
            yield one
        elif isinstance(one, dict | list):
            waiting.extend(one.values() if isinstance(one, dict) else one)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] (any JSON)
