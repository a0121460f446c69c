"""Every sample on the pages about the doors, run as a reader would run it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.doors import BEARER, dev
from tests.support.npm import Modules
from tests.support.programs import Programs

PAGES = Path(__file__).parents[2] / "services" / "api" / "docs"
HOST = "127.0.0.1:8080"
_BLOCK = re.compile(r"^```(sh|python|javascript)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXPECTED = {
    "agent": ('"bot_id":"guide"', "data: [DONE]", "id: 21"),
    "websocket": ("No model is connected.", "closed with 1000"),
    "openai": ("offline-demo", "tokens", "No model is connected."),
}
OURS = sorted(EXPECTED)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    with dev(tmp_path_factory.mktemp("pages")) as programs:
        yield programs


def samples(page: str) -> list[tuple[str, str]]:
    return _BLOCK.findall((PAGES / f"{page}.md").read_text())


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", ["agent", "websocket", "openai"])
def test_the_samples_of_a_page_do_what_it_says(service: Programs, tmp_path: Path, page: str) -> None:
    told = ""
    httpx.delete(f"{service.url}/agent/v1/bot-config", params={"app_id": "demo", "bot_id": "guide"}, headers=BEARER).raise_for_status()
    wanted = [("agent", "sh")] if page == "websocket" else []
    blocks = [block for name, kind in wanted for block in samples(name) if block[0] == kind] + samples(page)
    for kind, text in blocks:
        code = text.replace(HOST, service.url.removeprefix("http://"))
        match kind:
            case "sh":
                told += run([shutil.which("sh") or "sh", "-c", code], tmp_path)
            case "python":
                told += run([sys.executable, "-c", code], tmp_path)
            case _:
                continue
    assert [expected for expected in EXPECTED[page] if expected not in told] == []


@pytest.mark.npm
@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", ["openai"])
def test_the_javascript_of_a_page_does_what_it_says(service: Programs, node_modules: Modules, page: str) -> None:
    scripts = [text for kind, text in samples(page) if kind == "javascript"]
    assert scripts
    for script in scripts:
        told = node_modules.run(script.replace(HOST, service.url.removeprefix("http://")))
        assert "No model is connected." in told


def test_the_pages_are_served_as_text_and_listed(service: Programs) -> None:
    listed = httpx.get(f"{service.url}/docs/doors").text.split()
    assert {f"/docs/doors/{page}" for page in OURS} <= set(listed)
    for path in listed:
        page = httpx.get(service.url + path)
        assert page.headers["content-type"].startswith("text/markdown")
        assert page.text == (PAGES / f"{path.rpartition('/')[2]}.md").read_text()
    for nothing in ("nothing", "..%2Fapp", "agent.md"):
        assert httpx.get(f"{service.url}/docs/doors/{nothing}").status_code == httpx.codes.NOT_FOUND
