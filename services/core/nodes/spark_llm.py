"""`spark-llm`: asks a model (astron.md 4.9.4). Here only what is asked and what becomes of the answer; an effect does the asking."""

from typing import Literal

from pydantic import Field

from services.core.language.kind import Asking, Finished, Inputs, Kind, Node
from services.core.language.model_params import ModelParams, earlier, object_in, rendered
from services.core.language.patterns import pattern
from services.core.language.values import default_of
from services.core.running.effects import ChatMessage, ModelRequest
from services.core.running.history import Budget

THINKING = "REASONING_CONTENT"
_JSON = 2


class LlmParams(ModelParams):
    """The templates and the format of the answer; in JSON format `re_match_pattern` finds the object in it."""

    template: str = ""
    system_template: str = Field(default="", alias="systemTemplate")
    resp_format: Literal[0, 1, 2] = Field(default=0, alias="respFormat")
    match_pattern: str = Field(default="", alias="re_match_pattern")


def _param(node: Node) -> LlmParams:
    assert isinstance(node.param, LlmParams)
    return node.param


def ask(node: Node, inputs: Inputs, asking: Asking) -> ModelRequest:
    """System message (if any), what was said before, the user's; both rendered, an empty user message is one space (4.6)."""
    param = _param(node)
    messages = [ChatMessage("system", rendered(param.system_template, inputs))] if param.system_template else []
    messages += earlier(asking)
    messages.append(ChatMessage("user", rendered(param.template, inputs) or " "))
    return param.request(asking, tuple(messages))


def budget(node: Node, inputs: Inputs) -> Budget:
    """The history shares `maxTokens` with the node's own texts, as in the original (7)."""
    param = _param(node)
    return param.budget(rendered(param.system_template, inputs), rendered(param.template, inputs))


def conclude(node: Node, content: str, reasoning: str) -> Finished:
    """Thinking goes to `REASONING_CONTENT`, the answer to every other output; in JSON format each output takes its key."""
    param = _param(node)
    if param.resp_format == _JSON:
        answer = object_in(content, param.match_pattern) or {}
        return Finished({one.name: answer.get(one.name) or default_of(one.schema) for one in node.outputs}, raw_output=content)
    return Finished({one.name: reasoning if one.name == THINKING else content for one in node.outputs}, raw_output=content)


def check(node: Node) -> None:
    """Only what this build can do is accepted, and said so."""
    param = _param(node)
    if param.match_pattern:
        pattern(param.match_pattern, f"{node.id}: nodeParam.re_match_pattern")


SPARK_LLM = Kind(
    name="spark-llm",
    params=LlmParams,
    ask=ask,
    conclude=conclude,
    streams=lambda node: _param(node).resp_format != _JSON,
    retries=True,
    rounds=lambda node: _param(node).history.wanted,
    budget=budget,
    check=check,
)
