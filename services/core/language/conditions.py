"""Conditions of branches and loops (astron.md 4.9.6): a value, an operator, another value.

In come values of any JSON type; out goes whether the condition holds, or a `Problem` where the two cannot be compared.
A null on the left fits no comparison; booleans are compared with the words true and false.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from pydantic import JsonValue

from services.core.codes import Code
from services.core.language.patterns import pattern
from services.core.language.values import text_of
from services.core.problems import Problem

Operator = Literal[
    "contains", "not_contains", "start_with", "end_with", "is", "is_not", "eq", "ne", "gt", "ge", "lt", "le",
    "empty", "not_empty", "null", "not_null",
    "length_eq", "length_gt", "length_ge", "length_lt", "length_le", "regex_contains", "regex_not_contains",
]  # fmt: skip
Logic = Literal["and", "or"]
_NEGATIONS: Mapping[str, str] = {
    "not_contains": "contains", "is_not": "is", "ne": "eq", "not_empty": "empty", "regex_not_contains": "regex_contains",
}  # fmt: skip
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "eq": lambda left, right: left == right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
}


def together(logic: Logic, conditions: Iterable[bool]) -> bool:
    """Whether all of them hold, or one. None of them hold together when there are none."""
    found = list(conditions)
    return bool(found) and (all(found) if logic == "and" else any(found))


def holds(left: JsonValue, operator: Operator, right: JsonValue) -> bool:
    """Whether the condition holds. Raises 23100 where the right side cannot be read as what the left one is."""
    if operator in {"null", "not_null"}:
        return (left is None) == (operator == "null")
    if operator in {"empty", "not_empty"}:
        return _empty(left) == (operator == "empty")
    if left is None:
        return False
    negated = operator in _NEGATIONS
    found = _compare(left, _NEGATIONS.get(operator, operator), right)
    return found is not None and found != negated


def _compare(left: JsonValue, operator: str, right: JsonValue) -> bool | None:
    """The comparison itself; None where the operator has no meaning for such a left side."""
    if operator == "contains":
        return _contains(left, right)
    if operator in {"start_with", "end_with"}:
        if not isinstance(left, str) or not left:
            return None
        return left.startswith(text_of(right)) if operator == "start_with" else left.endswith(text_of(right))
    if operator.startswith("length_"):
        return _ORDER[operator.removeprefix("length_")](len(left), _number(right)) if isinstance(left, str | list | dict) else None
    if operator == "regex_contains":
        return pattern(text_of(right), "the regular expression of a condition").found_in(text_of(left)) is not None
    return _order(left, operator, right)


def _order(left: JsonValue, operator: str, right: JsonValue) -> bool | None:
    same = operator in {"is", "eq"}
    if isinstance(left, bool):
        return left == _truth(right) if same else None
    if isinstance(left, int | float):
        return _ORDER["eq" if same else operator](left, _number(right))
    if isinstance(left, str):
        return left == text_of(right) if same else None
    return left == right if same else None


def _contains(left: JsonValue, right: JsonValue) -> bool | None:
    if isinstance(left, str):
        return text_of(right) in left if left else text_of(right) == ""
    return right in left if isinstance(left, list) else None


def _empty(value: JsonValue) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is not None and not value


def _truth(value: JsonValue) -> bool:
    return value if isinstance(value, bool) else text_of(value).strip().lower() in {"true", "1"}


def _number(value: JsonValue) -> float:
    try:
        return value if isinstance(value, int | float) else int(text_of(value))
    except ValueError:
        pass
    try:
        return float(text_of(value))
    except ValueError:
        said = text_of(value)[:100]
        raise Problem(Code.IF_ELSE_NODE_EXECUTION_ERROR, f"a number cannot be compared with {said!r}") from None
