"""Programs for developers, most of which run by hand only, can at least be read."""

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(file.relative_to(ROOT).with_suffix("") for file in (ROOT / "infra").rglob("*.py") if file.name != "__init__.py")


@pytest.mark.parametrize("program", [".".join(one.parts) for one in PROGRAMS if "peers" not in one.parts])
def test_a_program_for_developers_fits_what_it_imports(program: str):
    import_module(program)
