"""Templates of the flow language (astron.md 4.6): constants and placeholders.

In comes a template and the names that may stand in it; out go its units in order. What is no placeholder of these
names stays in the text as it is, braces and all.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from pydantic import JsonValue

from services.core.codes import Code
from services.core.problems import Problem
from services.core.values import text_of

_SEGMENT = r"[A-Za-z0-9_-]+(?:\[-?[0-9]+\])*"
_PLACEHOLDER = re.compile(r"\{\{(" + _SEGMENT + r"(?:\." + _SEGMENT + r")*)\}\}")
_STEP = re.compile(r"([A-Za-z0-9_-]+)|\[(-?[0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Constant:
    """Text that stands in the template."""

    text: str


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`name` of an input, and the path into its value; `path` is empty where the whole value is meant."""

    name: str
    path: tuple[str | int, ...] = ()
    written: str = ""


Unit = Constant | Placeholder


def parse(template: str, names: Collection[str]) -> tuple[Unit, ...]:
    """The units in order: constants between placeholders, no empty ones but the last, which is always a constant."""
    units: list[Unit] = []
    rest = ""
    at = 0
    for found in _PLACEHOLDER.finditer(template):
        head, *path = (name or int(index) for name, index in _STEP.findall(found[1]))
        if head not in names:
            continue
        rest = template[at : found.start()]
        if rest:
            units.append(Constant(rest))
        units.append(Placeholder(str(head), tuple(path), found[1]))
        at = found.end()
    units.append(Constant(template[at:]))
    return tuple(units)


def render(units: tuple[Unit, ...], value: Callable[[str], JsonValue]) -> str:
    """The whole text, with `value(name)` for every placeholder. Raises 20602 for an index out of range."""
    return "".join(unit.text if isinstance(unit, Constant) else shown(unit, value(unit.name)) for unit in units)


def shown(unit: Placeholder, value: JsonValue) -> str:
    """A placeholder's text. What cannot be traversed prints the path as it was written."""
    for step in unit.path:
        if isinstance(step, int):
            if not isinstance(value, list):
                return unit.written
            if not -len(value) <= step < len(value):
                raise Problem(
                    Code.VARIABLE_PARSE_ERROR, f"{{{{{unit.written}}}}}: the array has {len(value)} elements, there is no index {step}"
                )
            value = value[step]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return unit.written
    return text_of(value)
