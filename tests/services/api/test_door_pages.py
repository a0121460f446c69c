"""The pages of the assistant's and the wiki's doors: their samples are pasted into a shell, their words are true."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.api import docs
from services.kit.settings import Settings, variable
from tests.services.api.conftest import House, running, serving
from tests.support.fixtures.doors import teapot

FOLDER = Path(docs.__path__[0])
PAGES = ["assistant", "audit", "nodes", "tools", "wiki"]


def sample(page: str) -> str:
    (code,) = re.findall(r"```sh\n(.*?)```", (FOLDER / f"{page}.md").read_text(), re.DOTALL)
    return code


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[House]:
    """As `prozess dev` without a model."""
    folder = tmp_path_factory.mktemp("pages")
    teapot(folder)
    nothing = {"OPENAI_BASE_URL": "", "OPENAI_API_KEY": "", "demo": True, "wiki_root": folder, "anonymous_app": "demo"}
    async with running(folder / "house", **nothing) as world:
        async for house in serving(world):
            yield house


@pytest.mark.parametrize(
    ("page", "marks"),
    [
        ("assistant", ("No model is connected", "data: [DONE]")),
        ("tools", ("forecast", '"versions":["V1.0"]', '"tools":[{')),
        ("wiki", ("No model is connected",)),
    ],
)
async def test_the_sample_of_a_page_works_as_it_is(demo: House, page: str, marks: tuple[str, ...]):
    lines = sample(page).replace("http://127.0.0.1:8080", str(demo.http.base_url).rstrip("/"))
    process = await asyncio.create_subprocess_shell(lines, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    text = "".join(re.findall(r'"content":"([^"]*)"', said.decode())) if page == "assistant" else said.decode()
    assert marks[0] in text
    assert all(mark in said.decode() for mark in marks[1:])


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_of_a_page_is_a_setting(page: str):
    known = {variable(name) for name in Settings.model_fields}
    named = set(
        re.findall(r"\b(?:PROZESS_[A-Z_]+|[A-Z]+_API_KEY|OLLAMA_HOST|OPENAI_[A-Z_]+|AZURE_[A-Z_]+)\b", (FOLDER / f"{page}.md").read_text())
    )
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES)
async def test_every_path_of_a_page_is_there(demo: House, page: str):
    described = (await demo.http.get("/openapi.json")).json()["paths"]
    served = {re.sub(r"\{\w+\}", "{id}", path) for path in described} | {"/ws/chat"}
    named = re.findall(r"`(?:GET|POST|PUT|DELETE) (/[^`?]*)", (FOLDER / f"{page}.md").read_text())
    assert {re.sub(r"\{\w+\}", "{id}", path) for path in named} - served == set()
