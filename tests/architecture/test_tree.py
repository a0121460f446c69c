"""What must be true of the tree as files: no library is hidden, nothing speaks of one machine, the words match the code."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import alembic
import pytest
from fastapi.routing import APIRoute

import events
from services.api.app import PARTS
from services.cli import build
from services.dev.welcome import lines
from services.kit.settings import Settings
from services.kit.telling.metrics import Metrics

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text()
RECIPES = set(re.findall(r"^([a-z]+):.*##", (TOP / "Makefile").read_text(), re.MULTILINE))
REQUIREMENTS = sorted((TOP / "requirements").glob("*.txt"))
MACHINES = re.compile(
    "|".join(["/" + "work/", "/" + "root/", "/" + r"home/\w", r"\.\./" + "shared", r"\.\./\." + "library", "/" + "Users/"])
)
DOCUMENTS = [pytest.param(path, id=str(path.relative_to(TOP))) for path in [*TOP.glob("*.md"), *TOP.glob("[a-z]*/README.md")]]


def tracked() -> list[Path]:
    """The files that are or could be committed."""
    git = shutil.which("git") or "git"
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=30, check=True).stdout
    return [TOP / name for name in listed.split("\0") if name and (TOP / name).is_file()]


def test_our_packages_are_the_ones_in_the_repository() -> None:
    assert Path(events.__file__ or "").parent == TOP / "events"


def test_the_folder_of_migrations_does_not_hide_the_library() -> None:
    assert not (TOP / "alembic" / "__init__.py").exists()
    assert TOP / "alembic" not in Path(alembic.__file__ or "").parents


def test_no_file_speaks_of_one_machine() -> None:
    texts = [path for path in tracked() if path.suffix not in {".png", ".ico", ".gz"}]
    told = [f"{path.relative_to(TOP)}: {found[0]}" for path in texts if (found := MACHINES.search(path.read_text()))]
    assert told == []


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_locked_versions_have_hashes_and_no_addresses(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-(?!-hash=)|file:|git\+)", text, re.MULTILINE)
    for entry in re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", text, flags=re.MULTILINE).strip()):
        assert re.match(r"[a-z0-9._\[\],-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    locked = {path.stem: set(re.findall(r"^([a-z0-9._-]+)", path.read_text(), re.MULTILINE)) for path in REQUIREMENTS}

    def names(wanted: list[str]) -> set[str]:
        return {re.split(r"[^a-z0-9._-]", one, maxsplit=1)[0] for one in wanted}

    groups = project["dependency-groups"]
    assert names(project["project"]["dependencies"]) - locked["runtime"] == set(), "run make lock"
    assert names([one for group in groups.values() for one in group]) - locked["dev"] == set(), "run make lock"
    assert locked["runtime"] <= locked["dev"]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_recipe_and_command_in_a_document_exists(path: Path) -> None:
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", path.read_text(), re.DOTALL))
    recipes = {name for line in re.findall(r"\bmake((?: [a-z]+)+)", code) for name in line.split()[:1]}
    assert recipes - RECIPES == set()
    known = {name for command in build() for name in (command if isinstance(command, tuple) else (command,))}
    assert set(re.findall(r"\bprozess ([a-z][a-z-]+)", code)) - known == set()


def test_every_door_of_the_readme_is_there() -> None:
    routes = [route for part in PARTS for route in part.router.routes if isinstance(route, APIRoute)]
    doors = {(method, route.path.replace(":path", "")) for route in routes for method in route.methods}
    named = set(re.findall(r"`(GET|POST) (/[^`?]*)", README))
    assert named - doors == set()
    assert len(named) > 10


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_path_in_a_document_exists(path: Path) -> None:
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert [link for link in linked if not (path.parent / link).exists()] == []


def test_the_readmes_curl_lines_are_those_that_dev_prints_and_the_tests_paste() -> None:
    joined = re.sub(r"\s*\\\n\s*", " ", README)
    assert [line for line in lines(Settings()).values() if line not in joined] == []


@pytest.mark.parametrize("name", ["prometheus/alerts.yml", "grafana/dashboards/prozess.json"])
def test_dashboards_and_alerts_ask_for_metrics_that_exist(name: str) -> None:
    exposed = set(re.findall(r"^# TYPE (\w+)", Metrics().render().decode(), re.MULTILINE))
    asked = set(re.findall(r"\bprozess_\w+", (TOP / "infra" / name).read_text()))
    assert {re.sub(r"_(bucket|sum|count)$", "", one) for one in asked} - exposed == set()
    assert asked
