"""The parameters of a code's `main`, found without running it.

Only the head of the last `def main(…)` at the left edge is parsed, never the whole text: what a stranger wrote may take a
parser long. A head that this Python cannot read is left to the sandbox, which then gets every input.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

_MAIN = re.compile(r"^def[ \t]+main[ \t]*\(", re.MULTILINE)
_HEAD = 4_000
"""Characters in which the parentheses of a head must close."""
_ENDS = re.compile(r"\)[ \t]*(?:->[^:\n]*)?:")


@dataclass(frozen=True, slots=True)
class Parameters:
    """`names` may be given by name; `others` says that any further ones may, too."""

    names: tuple[str, ...] = ()
    others: bool = False

    def of(self, inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Those inputs that `main` takes."""
        return {name: value for name, value in inputs.items() if self.others or name in self.names}


def parameters_of(source: str) -> Parameters | None:
    """What `main` takes. None where there is no `main` with parameters."""
    found = [*_MAIN.finditer(source)]
    if not found:
        return None
    head = source[found[-1].start() : found[-1].start() + _HEAD]
    for end in _ENDS.finditer(head):
        try:
            (main,) = ast.parse(head[: end.end()] + " pass").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        assert isinstance(main, ast.FunctionDef)
        args = main.args
        names = tuple(one.arg for one in (*args.args, *args.kwonlyargs))
        taken = Parameters(names, others=args.kwarg is not None)
        return taken if names or taken.others or args.posonlyargs or args.vararg else None
    return Parameters(others=True)
