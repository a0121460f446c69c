"""What nodes that use tools ask of their effects, and what becomes of the answers."""

from typing import Any

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.effects import (
    Condition,
    DatabaseRequest,
    DeepKnowledgeRequest,
    Done,
    KnowledgeRequest,
    McpRequest,
    ServiceRequest,
    ToolRequest,
)
from tests.support.flows import Part, at, end, flow, start
from tests.support.spec import Story, told

PARAMS: dict[str, dict[str, Any]] = {
    "plugin": {"pluginId": "weather", "operationId": "forecast", "appId": "a", "businessInput": ["b"], "version": "V2"},
    "mcp": {"mcpServerUrl": "https://mcp.example.org/mcp", "toolName": "add"},
    "rpa": {"projectId": "p", "header": {"apiKey": "k"}, "rpaParams": {"execPosition": "CLOUD"}, "version": 3},
    "memory-add": {"memoryId": "m", "uid": "u"},
    "memory-search": {"memoryId": "m", "uid": "u", "topK": 7},
    "knowledge-base": {"repoId": ["r1", "r2"], "topN": "4", "docIds": ["d"], "score": 0.2, "flowId": "9"},
    "knowledge-pro-base": {
        "model": "m", "url": "https://m.example.org", "domain": "d", "appId": "a", "apiKey": "k", "apiSecret": "s", "temperature": 0.5,
        "maxTokens": 9, "topK": 2, "ragType": 2, "repoIds": ["r"], "repoType": 2, "repoTopK": 3, "docIds": ["x"], "answerRole": "kind",
    },
    "database": {"appId": "a", "dbId": 77, "uid": "u", "mode": 3, "tableName": "people"},
}  # fmt: skip


def document(kind: str, outputs: dict[str, Any] | None = None, inputs: dict[str, Any] | None = None, **param: Any) -> dict[str, Any]:
    given = inputs if inputs is not None else {"a": at("start.q"), "b": ("string", "business")}
    part = Part("it", kind, given, outputs or {"out": "string"}, {**PARAMS[kind], **param})
    return flow(start(q="string"), part, end(), edges="start > it > end")


def asked(kind: str, **changes: Any) -> Any:
    return told(document(kind, **changes), q="tea").asked("it")


def answered(kind: str, outputs: dict[str, Any], **given: Any) -> Any:
    story: Story = told(document(kind, outputs), q="tea").tell("it", Done(outputs=given))
    return story.outputs("it")


def test_a_plugin_calls_its_operation():
    call = asked("plugin")
    assert isinstance(call, ToolRequest)
    assert (call.tool, call.operation, call.version, call.app) == ("weather", "forecast", "V2", "demo")
    assert (call.arguments, call.business) == ({"a": "tea", "b": "business"}, ("b",))


OUTPUTS = {
    "n": "integer",
    "text": "string",
    "list": {"type": "array", "items": {"type": "integer"}},
    "o": {"type": "string", "default": "d"},
}


@pytest.mark.parametrize("kind", ["plugin", "rpa", "memory-add", "memory-search"])
def test_missing_or_mistyped_outputs_become_their_types_defaults(kind: str):
    assert answered(kind, OUTPUTS, result={"n": "x", "text": "y", "list": ["z"]}) == {"n": 0, "text": "y", "list": [], "o": "d"}
    assert answered(kind, OUTPUTS, result={"n": 1, "list": [1], "o": "p", "more": 1}) == {"n": 1, "text": "", "list": [1], "o": "p"}
    assert answered(kind, {"text": "string", "n": "integer"}, result="plain") == {"text": "plain", "n": 0}


def test_an_mcp_node_gives_the_whole_to_its_first_output():
    call = asked("mcp")
    assert isinstance(call, McpRequest)
    assert (call.url, call.tool, call.arguments) == ("https://mcp.example.org/mcp", "add", {"a": "tea", "b": "business"})
    assert answered("mcp", {"out": "integer"}, result=5) == {"out": 5}
    assert answered("mcp", {"out": "string"}, result={"a": 1}) == {"out": '{"a": 1}'}
    assert answered("mcp", {"out": "object", "sky": "string"}, result={"sky": "blue"}) == {"out": {"sky": "blue"}, "sky": "blue"}


def test_services_are_asked_in_their_own_words():
    call = asked("rpa")
    assert isinstance(call, ServiceRequest)
    assert (call.service, call.key) == ("rpa", "k")
    assert call.body == {
        "project_id": "p", "sid": "rpa::it", "exec_position": "CLOUD", "params": {"a": "tea", "b": "business"}, "version": 3,
    }  # fmt: skip
    assert asked("memory-add").body == {"app_id": "demo", "memory_id": "m", "uid": "u", "content": {"a": "tea", "b": "business"}}
    assert asked("memory-search").body == {"app_id": "demo", "memory_id": "m", "uid": "u", "query": "tea", "top_k": 7}


def test_a_knowledge_base_is_asked_for_the_first_input():
    call = asked("knowledge-base")
    assert isinstance(call, KnowledgeRequest)
    assert (call.query, call.repositories, call.documents, call.top, call.threshold) == ("tea", ("r1", "r2"), ("d",), 4, 0.2)
    results = [{"content": "x"}]
    assert answered("knowledge-base", {"out": {"type": "array"}}, results=results) == {"out": results}


def test_a_deep_answer_is_streamed_and_says_what_it_stands_on():
    call = asked("knowledge-pro-base")
    assert isinstance(call, DeepKnowledgeRequest)
    rag: Any = call.body["rag"]
    assert (rag["type"], rag["mode"], rag["llm"]["model"], call.body["prompt"]) == ("CBG-RAG", "long_rag", "d", "kind")
    outputs = {"output": "string", "result": {"type": "array"}}
    begin, part = start(q="string"), Part("it", "knowledge-pro-base", {"a": at("start.q")}, outputs, PARAMS["knowledge-pro-base"])
    story = told(flow(begin, part, end("{{x}}", x=at("it.output")), edges="start > it > end"), q="tea").say("it", "blue", " sky")
    assert story.text == "blue sky"
    story.tell("it", Done(outputs={"result": [1]}))
    assert story.outputs("it") == {"output": "blue sky", "result": [1]}


def test_conditions_of_a_database_take_variables():
    inputs = {"a": at("start.q"), "b": ("string", "business")}
    conditions = [
        {"fieldName": "name", "varIndex": "in-a", "selectCondition": "="},
        {"fieldName": "kind", "varIndex": "b", "selectCondition": "like"},
        {"fieldName": "born", "varIndex": "2001", "selectCondition": ">"},
        {"fieldName": "gone", "selectCondition": "null"},
    ]
    cases = [{"logicalOperator": "or", "conditions": conditions}]
    order = [{"fieldName": "name", "order": "desc"}]
    call = asked("database", inputs=inputs, cases=cases, orderData=order, assignmentList=["name"])
    assert isinstance(call, DatabaseRequest)
    assert (call.database, call.mode, call.table, call.every, call.order) == ("77", 3, "people", False, (("name", True),))
    assert call.conditions == (
        Condition("name", "=", "tea"),
        Condition("kind", "like", "business"),
        Condition("born", ">", "2001"),
        Condition("gone", "null", None),
    )  # fmt: skip


def test_only_assigned_values_are_written():
    call = asked("database", mode=1, assignmentList=["a"])
    assert call.values == {"a": "tea"}
    assert asked("database", mode=0, sql="SELECT {{a}}").values == {"a": "tea", "b": "business"}


def test_the_outputs_of_a_database_are_those_declared():
    outputs = {"isSuccess": "boolean", "outputList": {"type": "array"}}
    assert answered("database", outputs, isSuccess=True, message="1 rows", outputList=[{"a": 1}]) == {
        "isSuccess": True,
        "outputList": [{"a": 1}],
    }


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("database", {"mode": 0}, "nodeParam.sql: mode 0 needs a statement"),
        ("database", {"mode": 3, "tableName": ""}, "nodeParam.tableName: mode 3 needs a table"),
        ("database", {"mode": 4}, "nodeParam.cases: mode 4 needs a condition"),
        ("database", {"mode": 2, "cases": []}, "nodeParam.cases: mode 2 needs a condition"),
        ("database", {"mode": 1, "assignmentList": ["nobody"]}, "nodeParam.assignmentList: there is no input nobody"),
        ("database", {"mode": 9}, "nodeParam.mode"),
        ("database", {"uid": "a b"}, "nodeParam.uid"),
        ("mcp", {"mcpServerUrl": ""}, "mcpServerId or mcpServerUrl is needed"),
        ("mcp", {"toolName": ""}, "nodeParam.toolName"),
        ("plugin", {"pluginId": ""}, "nodeParam.pluginId"),
        ("rpa", {"projectId": ""}, "nodeParam.projectId"),
        ("knowledge-base", {"repoId": []}, "nodeParam.repoId"),
        ("knowledge-base", {"inputs": {}}, "needs one input and one output"),
        ("knowledge-pro-base", {"docIds": []}, "nodeParam.docIds: repoType 2 needs documents"),
        ("knowledge-pro-base", {"repoTopK": 6}, "nodeParam.repoTopK"),
        ("memory-search", {"inputs": {}}, "needs an input to look for"),
    ],
)
def test_what_a_node_needs_is_said_when_it_is_saved(kind: str, changes: dict[str, Any], said: str):
    with pytest.raises(Problem) as wrong:
        compile_(document(kind, **changes))
    assert "it" in wrong.value.message
    assert said in wrong.value.message


def test_documents_that_are_missing_are_20502():
    with pytest.raises(Problem) as wrong:
        compile_(document("knowledge-pro-base", docIds=[]))
    assert wrong.value.code == 20502
