"""`spark-llm`: asks a model (astron.md 4.9.4). Here only what is asked and what becomes of the answer; an effect does the asking."""

import re
from typing import Literal, cast

from pydantic import Field, JsonValue

from services.core.codes import Code
from services.core.effects import ChatMessage, ModelRequest
from services.core.kind import Asking, Finished, Inputs, Kind, Node, Params
from services.core.problems import Problem
from services.core.template import parse, render
from services.core.values import default_of, read

THINKING = "REASONING_CONTENT"
_FENCED = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_JSON = 2


class LlmParams(Params):
    """Parameters as the console writes them. `url` is the OpenAI address of the model, `apiKey` a secret reference."""

    model: str
    domain: str
    app_id: str = Field(alias="appId")
    api_key: str = Field(alias="apiKey")
    api_secret: str = Field(alias="apiSecret")
    url: str = ""
    source: Literal["xinghuo", "openai"] = "xinghuo"
    temperature: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=2048, gt=0, alias="maxTokens")
    template: str = ""
    system_template: str = Field(default="", alias="systemTemplate")
    resp_format: Literal[0, 1, 2] = Field(default=0, alias="respFormat")
    match_pattern: str = Field(default="", alias="re_match_pattern")
    extra: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], alias="extraParams")


def _param(node: Node) -> LlmParams:
    assert isinstance(node.param, LlmParams)
    return node.param


def ask(node: Node, inputs: Inputs, asking: Asking) -> ModelRequest:
    """System message (if any), then the user's, both rendered; an empty user message is one space (4.6)."""
    param = _param(node)
    messages = [ChatMessage("system", _rendered(param.system_template, inputs))] if param.system_template else []
    messages.append(ChatMessage("user", _rendered(param.template, inputs) or " "))
    return ModelRequest(
        app=asking.app,
        url=param.url,
        key=param.api_key,
        model=param.domain or param.model,
        messages=tuple(messages),
        temperature=param.temperature,
        max_tokens=param.max_tokens,
        extra=param.extra,
        recorded=asking.recorded,
        recorded_reasoning=asking.recorded_reasoning,
        quiet_ms=asking.quiet_ms,
    )


def _rendered(template: str, inputs: Inputs) -> str:
    return render(parse(template, inputs.keys()), inputs.__getitem__)


def conclude(node: Node, content: str, reasoning: str) -> Finished:
    """Thinking goes to `REASONING_CONTENT`, the answer to every other output; in JSON format each output takes its key."""
    param = _param(node)
    if param.resp_format == _JSON:
        answer = _read(content, param.match_pattern)
        return Finished({one.name: answer.get(one.name) or default_of(one.schema) for one in node.outputs}, raw_output=content)
    return Finished({one.name: reasoning if one.name == THINKING else content for one in node.outputs}, raw_output=content)


def _read(content: str, pattern: str) -> dict[str, JsonValue]:
    found = (re.search(pattern, content, re.DOTALL) if pattern else None) or _FENCED.search(content)
    text = content if found is None else found[1] if found.re.groups else found[0]
    try:
        answer = read(text or "")
    except ValueError:
        return {}
    return cast("dict[str, JsonValue]", answer) if isinstance(answer, dict) else {}


def check(node: Node) -> None:
    """Only what this build can do is accepted, and said so."""
    param = _param(node)
    if param.source != "openai":
        raise Problem(
            Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.source must be openai, other providers are not available"
        )
    if param.match_pattern:
        try:
            re.compile(param.match_pattern)
        except re.error:
            raise Problem(
                Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.re_match_pattern is not a regular expression"
            ) from None


SPARK_LLM = Kind(
    name="spark-llm",
    params=LlmParams,
    failure=Code.LLM_NODE_EXECUTION_ERROR,
    ask=ask,
    conclude=conclude,
    streams=lambda node: _param(node).resp_format != _JSON,
    retries=True,
    check=check,
)
