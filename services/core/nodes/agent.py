"""`agent`: a model that uses tools until it can answer (astron.md 4.9.13, 2.3). Every turn and every tool call is a step of its own.

First the tools are asked for what they can do and knowledge is looked up; then model turns and tool calls follow each other,
at most `maxLoopCount` turns, after which the model must answer. A called flow is pinned first, then run as a child. All of it is
derived from the recorded steps, so that the next owner goes on after the last one. Outputs: `REASONING_CONTENT` holds thoughts
and tool calls, every other one the answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Asking, Call, Finished, Inputs, Kind, Node, Params
from services.core.language.model_params import caller_of, earlier, rendered
from services.core.language.values import read, text_of
from services.core.problems import Problem
from services.core.running.effects import (
    AgentCallRequest,
    AgentToolsRequest,
    ChatMessage,
    FunctionCall,
    KnowledgeRequest,
    ModelRequest,
    Tool,
)
from services.core.running.history import Budget, ChatHistory
from services.core.words import react
from services.core.words.agent_words import last_words, observed, system, used

THINKING = "REASONING_CONTENT"
_REACT = 1
_STOP = "Observation:"
Step = dict[str, JsonValue]


class AgentModel(Params):
    """`api` is the OpenAI address ("" = the process's own), `provider` names one; `agentStrategy` 1 is textual, 2 calls functions."""

    domain: str = ""
    api: str = ""
    provider: str = Field(default="", max_length=128)
    strategy: Literal[1, 2] = Field(default=1, alias="agentStrategy")


class Instruction(Params):
    """Templates: how to think, how to answer, what is asked."""

    reasoning: str = ""
    answer: str = ""
    query: str = ""


class Match(Params):
    """Where knowledge is looked up."""

    repositories: tuple[str, ...] = Field(default=(), alias="repoIds")
    documents: tuple[str, ...] = Field(default=(), alias="docIds")


class Knowledge(Params):
    """One knowledge base. `repoType` 2 needs documents."""

    name: str = Field(min_length=1, max_length=128)
    description: str = Field(default="", max_length=1024)
    top: int = Field(default=3, ge=1, le=5, alias="topK")
    kind: Literal[1, 2, 3] = Field(default=1, alias="repoType")
    match: Match = Match()


class ToolPart(Params):
    """A tool in a version."""

    tool: str = Field(min_length=1, alias="tool_id")
    version: str = ""


class Plugin(Params):
    """What the model may use."""

    servers: tuple[str, ...] = Field(default=(), alias="mcpServerIds")
    urls: tuple[str, ...] = Field(default=(), alias="mcpServerUrls")
    tools: tuple[str | ToolPart, ...] = ()
    flows: tuple[str, ...] = Field(default=(), alias="workflowIds")
    knowledge: tuple[Knowledge, ...] = ()


class AgentParams(Params):
    """`onUnknown` says what becomes of a tool call that was under way when its owner died: done `again`, or `tell` the model."""

    app_id: str = Field(alias="appId")
    api_key: str = Field(alias="apiKey")
    api_secret: str = Field(alias="apiSecret")
    model: AgentModel = Field(alias="modelConfig")
    instruction: Instruction
    plugin: Plugin
    turns: int = Field(ge=1, le=1000, alias="maxLoopCount")
    max_tokens: int = Field(default=10_240, gt=0, alias="maxTokens")
    source: str = ""
    temperature: float | None = Field(default=None, ge=0, le=2)
    extra: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], alias="extraParams")
    history: ChatHistory = Field(default_factory=ChatHistory, alias="enableChatHistoryV2")
    said: str = Field(default="", alias="messagesInput")
    shows_tools: bool = Field(default=True, alias="showTools")
    on_unknown: Literal["again", "tell"] = Field(default="again", alias="onUnknown")


def _param(node: Node) -> AgentParams:
    return cast("AgentParams", node.param)


Asked = ModelRequest | AgentToolsRequest | AgentCallRequest | KnowledgeRequest | Call | Finished


def ask(node: Node, inputs: Inputs, asking: Asking) -> Asked:
    """What comes after the recorded steps."""
    param = _param(node)
    steps = iter([dict(one) for one in asking.steps])
    plugin = param.plugin
    question = rendered(param.instruction.query, inputs) or _newest(param, inputs)
    offered: list[dict[str, Any]] = []
    if plugin.tools or plugin.servers or plugin.urls or plugin.flows:
        found = next(steps, None)
        if found is None:
            return _discovery(param, asking)
        offered = cast("list[dict[str, Any]]", found.get("tools") or [])
    passages: list[JsonValue] = []
    for one in plugin.knowledge:
        found = next(steps, None)
        if found is None:
            return _look_up(one, question, asking)
        results = found.get("results")
        passages += results if isinstance(results, list) else []
    tools = tuple(Tool(one["name"], one["description"], one["parameters"]) for one in offered)
    messages = _opening(param, inputs, asking, question, tools, passages)
    return _loop(node, asking, steps, offered, tools, messages)


def _loop(
    node: Node,
    asking: Asking,
    steps: Iterator[Step],
    offered: Sequence[dict[str, Any]],
    tools: tuple[Tool, ...],
    messages: list[ChatMessage],
) -> Asked:
    param = _param(node)
    turns, texts, thoughts = 0, "", ""
    while True:
        said = next(steps, None)
        if said is None:
            return _turn(param, asking, messages, tools, is_last=turns >= param.turns)
        turns += 1
        thought = text_of(said.get("reasoning"))
        texts, thoughts = texts + text_of(said.get("content")), thoughts + thought
        calls = _calls_of(said)
        if not calls or turns > param.turns:
            return Finished({one.name: thoughts if one.name == THINKING else texts for one in node.outputs}, raw_output=texts)
        is_react = param.model.strategy == _REACT
        messages.append(
            ChatMessage("assistant", react.written(thought, calls[0]))
            if is_react
            else ChatMessage("assistant", text_of(said.get("content")), tuple(calls))
        )
        for call in calls:
            result = next(steps, None)
            if result is None:
                return _call(param, asking, call, offered, thought)
            if "definition" in result:
                pinned, result = result, next(steps, None)
                if result is None:
                    return _child(pinned, call)
            thoughts += text_of(result.get("shown") or "")
            told = observed(result.get("response"))
            messages.append(ChatMessage("user", f"{_STOP} {told}") if is_react else ChatMessage("tool", told, answers=call.id))


def _calls_of(said: Mapping[str, JsonValue]) -> list[FunctionCall]:
    calls = cast("list[Step]", said.get("calls") or [])
    return [FunctionCall(str(one["id"]), str(one["name"]), str(one["arguments"])) for one in calls]


def observe(node: Node, steps: Sequence[Mapping[str, JsonValue]], response: JsonValue) -> tuple[Step, str]:
    """The end of a called flow, as the result of the call that is under way."""
    turn = max(number for number, one in enumerate(steps) if one.get("calls"))
    call = _calls_of(steps[turn])[sum("response" in one for one in steps[turn + 1 :])]
    told = used("workflow", call, text_of(steps[turn].get("reasoning")), response, shows=_param(node).shows_tools)
    return told, text_of(told["shown"])


def _newest(param: AgentParams, inputs: Inputs) -> str:
    said = inputs.get(param.said) if param.said else None
    texts = (
        [text_of(one.get("content")) for one in said if isinstance(one, dict) and one.get("role") == "user"]
        if isinstance(said, list)
        else []
    )
    return texts[-1] if texts else " "


def _opening(
    param: AgentParams, inputs: Inputs, asking: Asking, question: str, tools: Sequence[Tool], passages: Sequence[JsonValue]
) -> list[ChatMessage]:
    instruction = param.instruction
    told = system(
        rendered(instruction.reasoning, inputs),
        rendered(instruction.answer, inputs),
        tools,
        passages,
        is_react=param.model.strategy == _REACT,
    )
    opening = [ChatMessage("system", told)] if told else []
    said = inputs.get(param.said) if param.said else None
    if isinstance(said, list):
        return opening + [ChatMessage(str(one.get("role", "user")), text_of(one.get("content"))) for one in said if isinstance(one, dict)]
    return [*opening, *earlier(asking), ChatMessage("user", question)]


def _turn(param: AgentParams, asking: Asking, messages: list[ChatMessage], tools: tuple[Tool, ...], *, is_last: bool) -> ModelRequest:
    is_react = bool(tools) and param.model.strategy == _REACT
    if is_last:
        messages.append(ChatMessage("user", last_words()))
    stop: dict[str, JsonValue] = {"stop": [_STOP]} if is_react and not is_last else {}
    return ModelRequest(
        app=asking.app,
        url=param.model.api,
        key=param.api_key,
        provider=param.model.provider,
        caller=caller_of(asking, param.source),
        secret=param.api_secret if param.source == "xinghuo" else "",
        model=param.model.domain,
        messages=tuple(messages),
        temperature=param.temperature,
        max_tokens=param.max_tokens,
        extra={**param.extra, **stop},
        recorded=asking.recorded,
        recorded_reasoning=asking.recorded_reasoning,
        quiet_ms=asking.quiet_ms,
        tools=() if is_react or is_last else tools,
        is_react=is_react,
    )


def _discovery(param: AgentParams, asking: Asking) -> AgentToolsRequest:
    plugin = param.plugin
    tools = tuple((one, "") if isinstance(one, str) else (one.tool, one.version) for one in plugin.tools)
    return AgentToolsRequest(asking.app, tools, plugin.servers, plugin.urls, plugin.flows, asking.quiet_ms)


def _look_up(one: Knowledge, question: str, asking: Asking) -> KnowledgeRequest:
    rag = {1: "AIUI-RAG2", 2: "CBG-RAG", 3: "Ragflow-RAG"}[one.kind]
    match = one.match
    return KnowledgeRequest(asking.app, question, match.repositories, match.documents, one.top, 0.1, rag, "", (), asking.quiet_ms)


def _call(param: AgentParams, asking: Asking, call: FunctionCall, offered: Sequence[dict[str, Any]], reason: str) -> AgentCallRequest:
    found = next((one for one in offered if one["name"] == call.name), None)
    target = cast("dict[str, JsonValue]", found["target"]) if found else {}
    return AgentCallRequest(
        app=asking.app,
        call=call,
        target=target,
        reason=reason,
        is_unknown=asking.taken_over and param.on_unknown == "tell" and target.get("kind") != "workflow",
        shows=param.shows_tools,
        quiet_ms=asking.quiet_ms,
    )


def _child(pinned: Step, call: FunctionCall) -> Call:
    """The run of a flow that the model calls; the effect has seen that the arguments are an object."""
    flow, version, definition, owner = (str(pinned[name]) for name in ("flow", "version", "definition", "owner"))
    return Call(flow, version, definition, owner, cast("Step", read(call.arguments or "{}")), as_tool=True)


def check(node: Node) -> None:
    """A model is named, or a provider that has one; knowledge says where it is."""
    if not _param(node).model.domain and not _param(node).model.provider:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.modelConfig.domain: a model is needed, or a provider")
    for one in _param(node).plugin.knowledge:
        if not one.match.repositories:
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.plugin.knowledge: {one.name} needs match.repoIds")
        if one.kind == 2 and not one.match.documents:
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.plugin.knowledge: {one.name} needs match.docIds")


def budget(node: Node, inputs: Inputs) -> Budget:
    """The history shares `maxTokens` with what the model is asked."""
    param = _param(node)
    return Budget(
        param.model.domain, param.max_tokens, (rendered(param.instruction.query, inputs), rendered(param.instruction.answer, inputs))
    )


AGENT = Kind(
    name="agent",
    params=AgentParams,
    ask=ask,
    stepwise=True,
    observe=observe,
    streams=lambda _: True,
    retries=True,
    rounds=lambda node: _param(node).history.wanted,
    budget=budget,
    check=check,
)
