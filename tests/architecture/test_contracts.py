"""The import contracts of `pyproject.toml` hold, and each of them can break."""

import pkgutil
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import projections

TOP = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
VIOLATIONS = {
    "Programs stand on read models, read models stand on events": ("projections/runs.py", "import services.kit.errors"),
    "Services do not know each other; only dev knows them all": ("services/api/following/tail.py", "import services.processor.owner"),
    "The core and the catalogue do no IO and read no clock": ("events/run.py", "import time"),
    "Only the kit speaks Kafka": ("services/processor/owner.py", "import aiokafka"),
    "The projector never sees the core": ("services/projector/handler.py", "import services.core.running.run"),
    "Effects do not know each other": ("services/processor/effects/llm.py", "import services.processor.effects.noop"),
    "Dialects do not know each other": ("services/api/dialects/astron.py", "import services.api.dialects.native"),
    "Node kinds do not know each other": ("services/core/nodes/message.py", "import services.core.nodes.end"),
    "Read models do not know each other": ("projections/runs.py", "import projections.flows"),
}


def lint(folder: Path) -> str:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False).stdout


def test_every_contract_is_kept() -> None:
    told = lint(TOP)
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in told, told


def test_every_contract_has_a_violation_here() -> None:
    assert {contract["name"] for contract in CONTRACTS} == VIOLATIONS.keys()


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_contract_breaks_on_a_violation(name: str, tmp_path: Path) -> None:
    copy(tmp_path)
    file, line = VIOLATIONS[name]
    with (tmp_path / file).open("a") as module:
        module.write(f"\n{line}\n")
    assert f"{name} BROKEN" in lint(tmp_path)


def test_a_new_folder_of_services_must_say_where_it_belongs(tmp_path: Path) -> None:
    copy(tmp_path)
    (tmp_path / "services" / "stranger").mkdir()
    (tmp_path / "services" / "stranger" / "__init__.py").touch()
    assert "Services do not know each other; only dev knows them all BROKEN" in lint(tmp_path)


def test_every_read_model_is_listed() -> None:
    listed = {module for contract in CONTRACTS if contract["name"].startswith("Read models") for module in contract["modules"]}
    files = {f"projections.{module.name}" for module in pkgutil.iter_modules(projections.__path__)}
    assert files - {"projections.schema"} == listed


def copy(to: Path) -> None:
    shutil.copy(TOP / "pyproject.toml", to)
    for package in ("events", "projections", "services"):
        shutil.copytree(TOP / package, to / package, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
