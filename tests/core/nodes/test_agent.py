"""An agent in its run: what it asks step by step, and that recorded steps are never asked for again."""

from typing import Any

import pytest
from pydantic import JsonValue

from services.core.effects import AgentCallRequest, AgentToolsRequest, Done, FunctionCall, KnowledgeRequest, ModelRequest
from services.core.graph import compile_
from services.core.problems import Problem
from tests.support.flows import Part, at, end, flow, start
from tests.support.spec import Story, told

TARGET: dict[str, JsonValue] = {"kind": "mcp", "server": "house", "url": "", "tool": "add"}
OFFERED: dict[str, JsonValue] = {"tools": [{"name": "add", "description": "Adds.", "parameters": {"type": "object"}, "target": TARGET}]}
CALL = FunctionCall("c1", "add", '{"a": 1}')
KNOWLEDGE = {"name": "k", "description": "d", "topK": 2, "repoType": 1, "match": {"repoIds": ["r"], "docIds": []}}


def document(strategy: int = 2, turns: int = 3, *, knowledge: Any = (), servers: Any = ("house",), **param: Any) -> dict[str, Any]:
    own = {
        "appId": "a", "apiKey": "key", "apiSecret": "s", "maxLoopCount": turns, "maxTokens": 99,
        "modelConfig": {"domain": "m", "api": "https://m.example.org/v1", "agentStrategy": strategy},
        "instruction": {"reasoning": "slowly", "answer": "briefly", "query": "Q: {{q}}"},
        "plugin": {"mcpServerIds": list(servers), "mcpServerUrls": [], "tools": [], "workflowIds": [], "knowledge": list(knowledge)},
        **param,
    }  # fmt: skip
    part = Part("it", "agent", {"q": at("start.q")}, {"output": "string", "REASONING_CONTENT": "string"}, own)
    return flow(
        start(q="string"), part, end("{{x}}", reasoning="{{r}}", x=at("it.output"), r=at("it.REASONING_CONTENT")), edges="start > it > end"
    )


def begun(strategy: int = 2, **changes: Any) -> Story:
    return told(document(strategy, **changes), q="tea").tell("it", Done(outputs=OFFERED))


def used(response: Any = 3) -> Done:
    told_: dict[str, JsonValue] = {
        "type": "tool",
        "name": "add",
        "arguments": CALL.arguments,
        "reason": "",
        "response": response,
        "shown": "[tool]",
    }
    return Done(outputs=told_)


def test_without_plugins_it_is_a_plain_answer():
    story = told(document(servers=()), q="tea")
    asked = story.asked("it")
    assert isinstance(asked, ModelRequest)
    assert [(one.role, one.content) for one in asked.messages] == [("system", "briefly"), ("user", "Q: tea")]
    assert (asked.model, asked.url, asked.key, asked.max_tokens, asked.is_react, asked.tools) == (
        "m",
        "https://m.example.org/v1",
        "key",
        99,
        False,
        (),
    )
    story.think("it", "hm").say("it", "blue").done("it")
    assert (story.text, story.reasoning) == ("blue", "hm")
    assert story.outputs("it") == {"output": "blue", "REASONING_CONTENT": "hm"}


def test_tools_are_asked_for_once_and_called_one_by_one():
    story = told(document(), q="tea")
    assert isinstance(story.asked("it"), AgentToolsRequest)
    story.tell("it", Done(outputs=OFFERED))
    asked = story.asked("it")
    assert isinstance(asked, ModelRequest)
    assert [one.name for one in asked.tools] == ["add"]
    story.tell("it", Done(calls=(CALL, FunctionCall("c2", "nobody", "{}"))))
    call = story.asked("it")
    assert isinstance(call, AgentCallRequest)
    assert (call.call, call.target) == (CALL, TARGET)
    story.tell("it", used())
    second = story.asked("it")
    assert isinstance(second, AgentCallRequest)
    assert (second.call.name, second.target) == ("nobody", {})
    story.tell("it", used("none"))
    asked = story.asked("it")
    assert isinstance(asked, ModelRequest)
    assert [(one.role, one.content, one.answers) for one in asked.messages[-2:]] == [("tool", "3", "c1"), ("tool", "none", "c2")]
    story.say("it", "done").done("it")
    assert story.outputs("it") == {"output": "done", "REASONING_CONTENT": "[tool][tool]"}


def test_the_textual_way_reads_observations():
    story = begun(1)
    asked = story.asked("it")
    assert isinstance(asked, ModelRequest)
    assert (asked.is_react, asked.tools, asked.extra) == (True, (), {"stop": ["Observation:"]})
    assert "- add: Adds." in asked.messages[0].content
    story.think("it", "add them").tell("it", Done(calls=(CALL,))).tell("it", used())
    asked = story.asked("it")
    assert isinstance(asked, ModelRequest)
    assert [one.content for one in asked.messages[-2:]] == [
        'Thought: add them\nAction: add\nAction Input: {"a": 1}', "Observation: 3",
    ]  # fmt: skip


@pytest.mark.parametrize("strategy", [1, 2])
def test_after_the_last_turn_it_must_answer(strategy: int):
    story = begun(strategy, turns=1).tell("it", Done(calls=(CALL,))).tell("it", used())
    asked = story.asked("it")
    assert isinstance(asked, ModelRequest)
    assert (asked.tools, "No more tools" in asked.messages[-1].content) == ((), True)
    story.say("it", "so be it").tell("it", Done(calls=(CALL,)))
    assert story.outputs("it")["output"] == "so be it"


def test_knowledge_is_looked_up_before_the_first_turn():
    story = told(document(servers=(), knowledge=[KNOWLEDGE]), q="tea")
    asked = story.asked("it")
    assert isinstance(asked, KnowledgeRequest)
    assert (asked.query, asked.repositories, asked.top) == ("Q: tea", ("r",), 2)
    story.tell("it", Done(outputs={"results": [{"content": "zanzibar"}]}))
    asked_model = story.asked("it")
    assert isinstance(asked_model, ModelRequest)
    assert "zanzibar" in asked_model.messages[0].content


@pytest.mark.parametrize(("policy", "is_unknown"), [("again", False), ("tell", True)])
def test_after_a_crash_recorded_steps_are_not_asked_for_again(policy: str, is_unknown: bool):
    story = begun(onUnknown=policy).tell("it", Done(calls=(CALL, FunctionCall("c2", "add", "{}")))).tell("it", used())
    story.taken_over()
    call = story.asked("it")
    assert isinstance(call, AgentCallRequest)
    assert (call.call.id, call.is_unknown) == ("c2", is_unknown)
    story.tell("it", used()).taken_over()
    assert isinstance(story.asked("it"), ModelRequest)
    assert len(story.of("node.step_completed", "it")) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"turns": 0}, "maxLoopCount"),
        ({"strategy": 7}, "agentStrategy"),
        ({"knowledge": [{**KNOWLEDGE, "match": {}}]}, "k needs match.repoIds"),
        ({"knowledge": [{**KNOWLEDGE, "repoType": 2}]}, "k needs match.docIds"),
        ({"knowledge": [{**KNOWLEDGE, "topK": 6}]}, "topK"),
    ],
)
def test_what_an_agent_needs_is_said_when_it_is_saved(changes: dict[str, Any], said: str):
    with pytest.raises(Problem) as wrong:
        compile_(document(**changes))
    assert said in wrong.value.message


CALLS = [FunctionCall(f"c{number}", "add", f'{{"a": {number}}}') for number in range(4)]


def four_calls(die_at: int) -> tuple[list[str], list[tuple[str, str]], Story]:
    """An agent with four calls whose owner dies before the step `die_at` is done; the calls that were made, and the last prompt."""
    story, called = told(document(turns=9), q="tea"), list[str]()
    prompt: list[tuple[str, str]] = []
    for step in range(10):
        if step == die_at:
            story.asked("it")
            story.taken_over()
        asked = story.asked("it")
        if isinstance(asked, AgentToolsRequest):
            story.tell("it", Done(outputs=OFFERED))
        elif isinstance(asked, AgentCallRequest):
            called.append(asked.call.id)
            story.tell("it", used())
        else:
            assert isinstance(asked, ModelRequest)
            prompt = [(one.role, one.content) for one in asked.messages]
            if len(called) == 4:
                story.say("it", "done").done("it")
            else:
                story.tell("it", Done(calls=(CALLS[len(called)],)))
    return called, prompt, story


@pytest.mark.parametrize("die_at", range(10))
def test_wherever_its_owner_dies_no_recorded_call_is_made_again_and_the_transcript_is_the_same(die_at: int):
    called, prompt, story = four_calls(die_at)
    assert called == ["c0", "c1", "c2", "c3"]
    assert prompt == four_calls(-1)[1]
    assert story.outputs("it") == {"output": "done", "REASONING_CONTENT": "[tool]" * 4}
    assert story.over
