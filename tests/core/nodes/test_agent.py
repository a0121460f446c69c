"""An agent in its run: what it asks step by step, and that recorded steps are never asked for again."""

import json
from typing import Any

import pytest
from pydantic import JsonValue

from events.node import Problem as Said
from events.run import Usage
from events.topics import slot_of_id
from services.core.language.graph import compile_
from services.core.language.kind import Call
from services.core.problems import Problem
from services.core.running.children import ChildTold, Ending, wish_of
from services.core.running.effects import AgentCallRequest, AgentToolsRequest, Done, FunctionCall, KnowledgeRequest, ModelRequest, Pinned
from services.core.running.steps import ask
from services.core.running.turn import Limits
from tests.support.flows import Part, at, end, flow, retry, start
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


FLOW = FunctionCall("c1", "add", '{"q": "why"}')
PINNED = Pinned("77", "v1.0", "0" * 64, "owner")
PLACE = ("agent::it", ())
OK = Usage(input_tokens=2, output_tokens=3, total_tokens=5)


def calling(*more: FunctionCall, **changes: Any) -> Story:
    """An agent whose model calls a flow."""
    limits = changes.pop("limits", None)
    story = Story(document(**changes), limits).start(q="tea").tell("it", Done(outputs=OFFERED))
    return story.think("it", "ask it").tell("it", Done(calls=(FLOW, *more))).tell("it", PINNED)


def children(story: Story) -> list[str]:
    return [event.child for event in story.of("child.started", "it")]


def ended(story: Story, child: str, **end: Any) -> Story:
    story.take(ChildTold(PLACE, child, end=Ending(end.get("problem"), end.get("outputs"), OK, end.get("text", ""))))
    return story


def observation(story: Story) -> str:
    asked = story.asked("it")
    assert isinstance(asked, ModelRequest)
    return asked.messages[-1].content


def test_a_called_flow_is_a_run_of_its_own_whose_arguments_are_the_models():
    story = calling()
    (child,) = children(story)
    asked = ask(story.active, PLACE, story.graph, story.limits)
    assert isinstance(asked, Call)
    wish = wish_of(story.active, PLACE, asked)
    assert (wish.run, wish.flow, wish.flow_version, wish.definition, wish.keys_of) == (child, "77", "v1.0", "0" * 64, "owner")
    assert wish.parameters.words == {"q": "why"}
    assert wish.parent is not None
    assert (wish.parent.run, wish.parent.node, wish.parent.as_tool, wish.parent.depth) == ("1", "agent::it", True, 1)
    assert slot_of_id(child) == slot_of_id("1")


@pytest.mark.parametrize(
    ("end", "read"),
    [
        ({"outputs": {"n": 3}}, '{"n": 3}'),
        ({"text": "because"}, "because"),
        ({"problem": Said(code=22801, message="why not")}, '{"code": "workflow", "message": "why not"}'),
    ],
)
def test_its_end_is_the_observation_and_its_tokens_are_counted(end: dict[str, Any], read: str):
    story = calling()
    ended(story, children(story)[0], **end)
    assert json.loads(observation(story)) == json.loads(read) if read.startswith("{") else observation(story) == read
    assert story.active.children == {}
    story.say("it", "so it is").done("it")
    assert "**workflow**\n> ask it" in story.outputs("it")["REASONING_CONTENT"]
    assert story.outputs("it")["output"] == "so it is"
    assert story.of("run.completed")[0].usage == OK
    result = story.of("node.step_completed", "it")[3].result.words
    assert (result["type"], result["name"], result["arguments"], result["reason"]) == ("workflow", "add", FLOW.arguments, "ask it")


@pytest.mark.parametrize("policy", ["again", "tell"])
def test_a_crash_between_the_call_and_its_end_starts_no_second_child(policy: str):
    story = calling(onUnknown=policy)
    first = children(story)
    story.taken_over().taken_over()
    assert children(story) == first
    assert story.active.children == {first[0]: PLACE}
    ended(story, first[0], text="because").taken_over()
    assert children(story) == first
    assert observation(story) == "because"
    ended(story, first[0], text="late")
    assert observation(story) == "because"


def test_a_crash_while_a_flow_is_looked_up_looks_it_up_again():
    flow_target: dict[str, JsonValue] = {"kind": "workflow", "flow": "77"}
    tools: list[JsonValue] = [{"name": "add", "description": "", "parameters": {}, "target": flow_target}]
    story = told(document(onUnknown="tell"), q="tea").tell("it", Done(outputs={"tools": tools})).tell("it", Done(calls=(FLOW,)))
    story.taken_over()
    asked = story.asked("it")
    assert isinstance(asked, AgentCallRequest)
    assert not asked.is_unknown


def test_each_call_of_a_flow_is_another_child():
    story = calling(FLOW)
    ended(story, children(story)[0], text="one")
    assert isinstance(story.asked("it"), AgentCallRequest)
    story.tell("it", PINNED)
    assert len(set(children(story))) == 2
    ended(story, children(story)[0], text="not this one")
    ended(story, children(story)[1], text="two")
    asked = story.asked("it")
    assert isinstance(asked, ModelRequest)
    assert [one.content for one in asked.messages[-2:]] == ["one", "two"]


def test_a_flow_that_would_stand_too_deep_is_an_observation():
    story = calling(limits=Limits(depth=0))
    assert children(story) == []
    assert "nested 0 deep" in observation(story)


def test_the_nodes_time_limit_ends_the_wait_for_a_flow_and_the_model_is_told():
    model_document = document()
    part = model_document["data"]["nodes"][1]["data"]
    part["retryConfig"] = retry(timeout=2)
    story = Story(model_document).start(q="tea").tell("it", Done(outputs=OFFERED)).tell("it", Done(calls=(FLOW,))).tell("it", PINNED)
    story.wait(1_000)
    assert story.active.children
    story.wait(1_500)
    assert story.active.children == {}
    assert "took longer than 2 s" in observation(story)


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
