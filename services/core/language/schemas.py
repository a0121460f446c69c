"""JSON Schemas that users write (draft 7), checked in bounded time, so that none can stall an owner.

In come a schema as JSON text and a value; out go the mistakes. Patterns run on RE2, nothing is ever fetched, and the work is
counted: a schema and a value that together want too much of it cannot be checked, and that is said.
"""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any, cast

from jsonschema import Draft7Validator, FormatChecker, SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType] (the library does not say)
from pydantic import JsonValue
from referencing.jsonschema import EMPTY_REGISTRY

from services.core.language.patterns import Pattern, pattern
from services.core.problems import Problem

MOST_STEPS = 300_000
"""How many keywords of a schema are looked at for one value, items of long lists counted; some seconds at worst."""
TOLD = 20
"""So many mistakes are told."""
_OF_A_MISTAKE = 10
"""The steps that a mistake costs: to describe one takes as long."""
_NO_FORMATS = FormatChecker(())
_VALUES = frozenset({"default", "const", "enum", "examples"})
"""Keywords whose content is no schema."""
_steps: ContextVar[list[int]] = ContextVar("steps")

Rule = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


class TooMuchWork(ArithmeticError):
    """The schema and the value want more steps than anybody may have."""


def mistakes(value: JsonValue, schema: str) -> list[ValidationError]:
    """The first that breaks a schema, in the order of its places.

    Raises `ArithmeticError`, `RecursionError`, `Unresolvable`, `Problem` where that cannot be found out.
    """
    token = _steps.set([MOST_STEPS])
    try:
        return sorted(islice(_validator(schema).iter_errors(value), TOLD), key=lambda error: [str(part) for part in error.absolute_path])
    finally:
        _steps.reset(token)


def wrong(schema: str) -> str:
    """What is wrong with a schema itself; empty if nothing."""
    parts = json.loads(schema)
    try:
        Draft7Validator.check_schema(parts, format_checker=_NO_FORMATS)
        for written in _patterns(parts):
            _compiled(written)
    except SchemaError as said:
        return said.message[:200]
    except Problem as said:
        return said.message[:300]
    return ""


def _patterns(part: JsonValue) -> Iterator[str]:
    """All regular expressions in a schema."""
    if isinstance(part, list):
        for one in part:
            yield from _patterns(one)
    elif isinstance(part, dict):
        written, names = part.get("pattern"), part.get("patternProperties")
        yield from [written] if isinstance(written, str) else []
        yield from names if isinstance(names, dict) else []
        for keyword, one in part.items():
            if keyword not in _VALUES:
                yield from _patterns(one)


def _compiled(written: str) -> Pattern:
    return pattern(written, "pattern", dot_is_all=False)


def _matches(written: str, text: str) -> bool:
    return _compiled(written).found_in(text) is not None


def _pattern(_validator: Any, written: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _matches(written, value):
        yield ValidationError("it does not match")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], value: Any, _schema: Any) -> Iterator[ValidationError]:
    for written, below in patterns.items() if isinstance(value, dict) else ():
        for name, one in cast("dict[str, Any]", value).items():
            _spend(1)
            if _matches(written, name):
                yield from validator.descend(one, below, path=name, schema_path=written)


def _additional(validator: Any, allowed: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    for name, one in cast("dict[str, Any]", value).items() if isinstance(value, dict) else ():
        _spend(1)
        if name in schema.get("properties", {}) or any(_matches(written, name) for written in schema.get("patternProperties", {})):
            continue
        if isinstance(allowed, dict):
            yield from validator.descend(one, allowed, path=name)
        elif not allowed:
            yield ValidationError("there is an unknown key")
            return


def _unique(_validator: Any, wanted: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if wanted and isinstance(value, list):
        items = cast("list[object]", value)
        if len(set(map(_key, items))) < len(items):
            yield ValidationError("something is there twice")


def _key(value: object) -> Hashable:
    """What two values have in common that are the same in JSON: 1 is 1.0, but not true."""
    if isinstance(value, list):
        return "list", *map(_key, cast("list[object]", value))
    if isinstance(value, dict):
        return "object", frozenset((name, _key(one)) for name, one in cast("dict[str, object]", value).items())
    return isinstance(value, bool), cast("Hashable", value)


def _spend(steps: int) -> None:
    left = _steps.get()
    left[0] -= steps
    if left[0] < 0:
        raise TooMuchWork


def _cost(keyword: str, said: Any, value: Any) -> int:
    """The steps of one keyword at one place, without those below it."""
    if keyword == "enum":
        return len(said)
    return len(cast("list[object]", value)) if keyword == "uniqueItems" and isinstance(value, list) else 1


def _counted(keyword: str, rule: Rule) -> Rule:
    def counting(validator: Any, said: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        _spend(_cost(keyword, said, value))
        for mistake in rule(validator, said, value, schema) or ():
            _spend(_OF_A_MISTAKE)
            yield mistake

    return counting


_OWN: Mapping[str, Rule] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional,
    "uniqueItems": _unique,
}
_RULES = {**cast("dict[str, Rule]", Draft7Validator.VALIDATORS), **_OWN}
_Bounded = cast("type[Validator]", extend(Draft7Validator, {keyword: _counted(keyword, rule) for keyword, rule in _RULES.items()}))


@lru_cache(maxsize=1024)
def _validator(schema: str) -> Validator:
    return _Bounded(json.loads(schema), registry=EMPTY_REGISTRY)  # nothing is ever fetched
