"""Knowledge: from repositories of the app's register, and from services in the original's words."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.core.running.effects import DeepKnowledgeRequest, Done, KnowledgeRequest, Retrieved, ServiceRequest, ToolSent
from services.kit.database import Database
from services.kit.models.register import Found, unknown
from services.processor.effects import EffectWorld
from tests.support.fixtures.effect_tools import REFERENCE, keep, secret, tool_rows, tool_world
from tests.support.fixtures.effects import effect_settings, effect_world, outcomes_of
from tests.support.fixtures.tool_server import tools
from tests.support.tool_server import Sse, ToolServer

__all__ = ["tool_rows", "tool_world", "tools"]


@pytest.fixture
async def served(tool_rows: Database, tools: ToolServer) -> AsyncIterator[EffectWorld]:
    """Services on this machine that the operator names, though its network is not to be called."""
    urls = {
        "KNOWLEDGE_URL": f"{tools.url}/know",
        "KNOWLEDGE_PRO_URL": f"{tools.url}/pro",
        "RPA_BASE_URL": tools.url,
        "MEMORY_URL": tools.url,
    }
    made = effect_world(effect_settings(**urls), database=tool_rows)
    yield made
    await made.toolbox.aclose()
    await made.models.aclose()


def look_up(*repositories: str, **changes: Any) -> KnowledgeRequest:
    fields = {"app": "demo", "query": "secret word", "repositories": repositories, "documents": (), "top": 3, "threshold": 0.1}
    return KnowledgeRequest(**{**fields, "rag": "AIUI-RAG2", "flow": "", "history": (), "quiet_ms": 5_000, **changes})


async def perform(asked: Any, world: EffectWorld) -> list[Any]:
    return (await outcomes_of(asked, world)).all


async def test_a_repository_of_the_register_is_searched(tool_world: EffectWorld, tool_rows: Database, tmp_path: Path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "tea.md").write_text("# Tea\nThe secret word is zanzibar.\n")
    await keep(tool_rows, "notes", "repository", {"source": "notes", "type": "", "token": "", "filters": {}})
    evidence, done = await perform(look_up("notes"), tool_world)
    assert isinstance(evidence, Retrieved)
    assert evidence.passages == (("tea.md", 1, 2),)
    (found,) = done.outputs["results"]
    assert (found["docId"], found["content"]) == ("tea.md", "# Tea\nThe secret word is zanzibar.")


async def test_the_service_is_asked_in_the_originals_words(served: EffectWorld, tools: ToolServer):
    tools.answers["/know"] = {"code": 0, "data": {"results": [{"score": 0.9, "content": "zanzibar"}]}}
    sent, _, done = await perform(look_up("r1", "r2", documents=("d",), flow="7"), served)
    assert done == Done(outputs={"results": [{"score": 0.9, "content": "zanzibar"}]})
    assert isinstance(sent, ToolSent)
    assert tools.asked[0].json == {
        "query": "secret word",
        "topN": "3",
        "ragType": "AIUI-RAG2",
        "match": {"repoId": ["r1", "r2"], "docIds": ["d"], "flowId": "7", "threshold": 0.1},
        "history": [],
    }


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"code": 9, "message": "words"}, "failed with its code 9"),
        ({"code": 0, "data": {}}, "without data.results"),
        ((500, "text/plain", b"words"), "answered 500"),
        ((200, "text/plain", b"words"), "no JSON"),
    ],
)
async def test_a_service_that_fails_is_20500(served: EffectWorld, tools: ToolServer, answer: Any, said: str):
    tools.answers["/know"] = answer
    *_, answered, broke = await perform(look_up("r1"), served)
    assert (broke.problem.code, said in broke.problem.message) == (20500, True)
    assert answered.problem == broke.problem


async def test_what_is_nowhere_is_said(tool_world: EffectWorld):
    (broke,) = await perform(look_up("r1"), tool_world)
    assert broke.problem.message == ("this app has no repository r1: store it with PUT /v1/tools/{id}, or the operator sets KNOWLEDGE_URL")


BODY = {"rag": {"llm": {"api_key": REFERENCE, "api_secret": ""}}, "messages": []}


async def test_a_deep_answer_is_streamed(served: EffectWorld, tools: ToolServer):
    secret(served, "sesame")
    one = '{"code": 0, "data": {"content_type": "answer", "content": "blue"}}'
    two = '{"code": 0, "data": {"content_type": "knowledge_metadata", "content": [{"id": 1}]}}'
    three = '{"code": 0, "data": {"content": " sky"}}'
    tools.answers["/pro"] = Sse([one, two, three, "[DONE]"])
    seen = await outcomes_of(DeepKnowledgeRequest("demo", BODY, "", 5_000), served)  # pyright: ignore[reportArgumentType]
    assert seen.text == "blue sky"
    assert seen.done.outputs == {"result": [{"id": 1}]}
    assert tools.asked[0].json["rag"]["llm"]["api_key"] == "sesame"


class Acme:
    """One provider."""

    async def ask(self, _app: str, provider: str, _model: str) -> Found:
        if provider != "acme":
            raise unknown(provider)
        return Found("acme", "app", "https://acme.example/v1", ("first",), key="sk-acme")


async def test_a_deep_answer_comes_from_the_provider_that_the_node_names(served: EffectWorld, tools: ToolServer):
    world = replace(served, providers=Acme())  # pyright: ignore[reportArgumentType]
    tools.answers["/pro"] = Sse(["[DONE]"])
    assert (await perform(DeepKnowledgeRequest("demo", BODY, "", 5_000, "acme"), world))[-1] == Done(outputs={"result": []})
    told = tools.asked[0].json["rag"]["llm"]
    assert (told["base_url"], told["api_key"], told["api_secret"]) == ("https://acme.example/v1", "sk-acme", "")
    (broke,) = await perform(DeepKnowledgeRequest("demo", BODY, "", 5_000, "nobody"), world)
    assert "there is no provider nobody" in broke.problem.message


async def test_a_deep_answer_that_fails_is_told(served: EffectWorld, tools: ToolServer):
    secret(served, "sesame")
    tools.answers["/pro"] = Sse(['{"code": 10, "message": "words"}'])
    broke = (await perform(DeepKnowledgeRequest("demo", BODY, "", 5_000), served))[-1]
    assert (broke.problem.code, broke.problem.message) == (20500, "the knowledge service failed with its code 10")
    (broke,) = await perform(DeepKnowledgeRequest("demo", BODY, "blu", 5_000), served)
    assert broke.problem.code == 20501


async def test_rpa_gives_what_its_last_event_holds(served: EffectWorld, tools: ToolServer):
    tools.answers["/rpa/v1/exec"] = Sse(['{"code": 0, "message": "", "data": {}}', '{"code": 0, "message": "", "data": {"n": 1}}'])
    key = secret(served, "sesame")
    *_, done = await perform(ServiceRequest("demo", "rpa", key, {"project_id": "p"}, 5_000), served)
    assert done == Done(outputs={"result": {"n": 1}})
    assert tools.asked[0].headers["authorization"] == "sesame"


@pytest.mark.parametrize(("service", "path"), [("memory-add", "/add"), ("memory-search", "/search")])
async def test_memory_is_one_object(served: EffectWorld, tools: ToolServer, service: Any, path: str):
    tools.answers[path] = {"code": 0, "data": {"memories": ["tea"]}}
    *_, done = await perform(ServiceRequest("demo", service, "", {"query": "x"}, 5_000), served)
    assert done == Done(outputs={"result": {"memories": ["tea"]}})


@pytest.mark.parametrize(("service", "setting"), [("rpa", "RPA_BASE_URL"), ("memory-add", "MEMORY_URL")])
async def test_a_service_that_is_not_there_names_its_setting(tool_world: EffectWorld, service: Any, setting: str):
    (broke,) = await perform(ServiceRequest("demo", service, "", {}, 5_000), tool_world)
    assert broke.problem.message == f"there is no {service} service here: the operator sets {setting}"
