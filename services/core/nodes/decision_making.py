"""`decision-making`: a model says which of several intents is meant, and the run takes that branch (astron.md 4.9.5).

With function calling the intents are functions; in the two prompt modes the model names one in JSON. An answer that names
no known intent takes the default branch. A model that fails, fails the node: that is never a silent default (weak point 31).
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node
from services.core.language.model_params import ModelParams, earlier, object_in, rendered
from services.core.language.values import text_of
from services.core.problems import Problem
from services.core.running.effects import ChatMessage, ModelRequest, Tool
from services.core.running.history import Budget

DEFAULT = "DEFAULT"
_DEFAULT_TYPE = 1
_PROMPT = 1
_CALLABLE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NEXT: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"next_inputs": {"type": "string", "description": "The user's input, revised where that makes it clearer."}},
}


class IntentPart(BaseModel):
    """One branch. `intentType` 1 is the default one."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str = Field(pattern=r"^intent-one-of::[0-9a-zA-Z-]+")
    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    type: Literal[1, 2] = Field(alias="intentType")

    @property
    def is_default(self) -> bool:
        """Whether it is taken when no other is meant."""
        return self.type == _DEFAULT_TYPE


class DecisionParams(ModelParams):
    """`reasonMode` 1 asks for a category; 0 lets the model call a function, or name a destination where it should not."""

    prefix: str = Field(default="", alias="promptPrefix")
    mode: Literal[0, 1] = Field(default=1, alias="reasonMode")
    calls: bool = Field(default=True, alias="useFunctionCall")
    intents: tuple[IntentPart, ...] = Field(default=(), alias="intentChains")


def _param(node: Node) -> DecisionParams:
    assert isinstance(node.param, DecisionParams)
    return node.param


def ask(node: Node, inputs: Inputs, asking: Asking) -> ModelRequest:
    """The question in the way of the node's mode."""
    param = _param(node)
    given = "\n".join(text_of(value) for value in inputs.values())
    said = rendered(param.prefix, inputs)
    if param.mode != _PROMPT and param.calls:
        tools = tuple(Tool(name, one.description, _NEXT) for name, one in _functions(param).items())
        return param.request(asking, (*earlier(asking), ChatMessage("user", said or given or " ")), tools, "auto")
    told = _category(param) if param.mode == _PROMPT else _destination(param)
    system = f"{told}\n\n{said}" if said else told
    return param.request(asking, (ChatMessage("system", system), *earlier(asking), ChatMessage("user", given or " ")))


def budget(node: Node, inputs: Inputs) -> Budget:
    """The history shares `maxTokens` with what the model is asked."""
    param = _param(node)
    return param.budget(rendered(param.prefix, inputs), *(text_of(value) for value in inputs.values()))


def _functions(param: DecisionParams) -> Mapping[str, IntentPart]:
    """The intents by the name of their function: their own where a function may have that name."""
    return {
        one.name if _CALLABLE.fullmatch(one.name) else f"intent_{number}": one
        for number, one in enumerate(param.intents)
        if not one.is_default
    }


def _listed(param: DecisionParams) -> str:
    return "\n".join(f"- {json.dumps(one.name, ensure_ascii=False)}: {one.description}" for one in param.intents if not one.is_default)


def _category(param: DecisionParams) -> str:
    return (
        "Decide which category the user's input belongs to. The categories:\n"
        f"{_listed(param)}\n"
        f'Answer with JSON and nothing else: {{"category_name": "<name of the category>"}}. If none fits, the name is "{DEFAULT}".'
    )


def _destination(param: DecisionParams) -> str:
    return (
        "Decide where the user's input has to go. The destinations:\n"
        f"{_listed(param)}\n"
        'Answer with JSON and nothing else: {"destination": "<name of the destination>", "next_inputs": "<the input, revised where that '
        f'makes it clearer>"}}. If none fits, the destination is "{DEFAULT}".'
    )


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """The branch of the intent that the model named, else the default one."""
    param = _param(node)
    named = _chosen(param, answer)
    chosen = named or _default(param)
    if chosen is None:
        raise Problem(Code.ENG_RUN_ERROR, f"Branch not found: the model named no intent of {node.alias}, and there is no default one")
    name = DEFAULT if named is None or named.is_default else named.name
    said = json.dumps([call.words for call in answer.calls], ensure_ascii=False) if answer.calls else answer.content
    return Finished({one.name: name for one in node.outputs[:1]}, raw_output=said, handle=chosen.id)


def _default(param: DecisionParams) -> IntentPart | None:
    """The default intent; the original also knows one by its name."""
    by_type = next((one for one in param.intents if one.is_default), None)
    return by_type or next((one for one in param.intents if one.name.lower() == "default"), None)


def _chosen(param: DecisionParams, answer: Answer) -> IntentPart | None:
    if param.mode != _PROMPT and param.calls:
        functions = _functions(param)
        return next((functions[call.name] for call in answer.calls if call.name in functions), None)
    found = object_in(answer.content) or {}
    name = found.get("category_name" if param.mode == _PROMPT else "destination")
    return next((one for one in param.intents if one.name == name), None)


def preset_handle(node: Node, outputs: Inputs) -> str | None:
    """The branch of the intent that the preset output names, else the default one."""
    param = _param(node)
    named = next(iter(outputs.values()), None)
    chosen = next((one for one in param.intents if one.name == named), None) or _default(param)
    return chosen.id if chosen else None


def handles(node: Node) -> Collection[str]:
    """A branch for each intent."""
    return [one.id for one in _param(node).intents]


def check(node: Node) -> None:
    """It needs intents with different ids and names, one default at most, and a model that is available."""
    param = _param(node)
    where = f"{node.id}: nodeParam.intentChains"
    if not param.intents:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{where}: a decision needs intents")
    for what in ("id", "name"):
        values = [getattr(one, what) for one in param.intents]
        if len(set(values)) < len(values):
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{where}: two intents have the same {what}")
    if sum(one.is_default for one in param.intents) > 1:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{where}: one default intent (intentType 1) at most")


DECISION_MAKING = Kind(
    name="decision-making",
    params=DecisionParams,
    ask=ask,
    receive=receive,
    gates=True,
    retries=True,
    limits_attempt=True,
    handles=handles,
    rounds=lambda node: _param(node).history.wanted,
    budget=budget,
    preset_handle=preset_handle,
    check=check,
)
