"""What a bot's configuration means: which model is asked and how, and what it may use (astron.md 2.4).

In comes the configuration as the app wrote it; out go the stored form, the form that is shown (defaults filled in), and the
model of a chat. A bot without plugins is a plain chat with the answer's instruction, one with plugins an agent.
"""

import json
from dataclasses import replace
from typing import Annotated, Any, Self, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from services.api.asking.model_chat import Agent, Model
from services.api.requests.agent import CustomChat, ModelPart, Sampling, named

TURNS = 30
_TEXT, _CALLS = 1, 2


class _Open(BaseModel):
    """Keys that are not listed are kept."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class Parameter(_Open):
    """How the model is asked."""

    max_tokens: int = Field(2048, gt=0)
    question_type: str = "not_knowledge"
    temperature: float = Field(0.5, ge=0, le=2)
    top_k: int = Field(4, ge=1)


class BotModel(_Open):
    """One model: `api` is the base URL of the OpenAI protocol (empty: the process's own), `domain` the model, `sk` its key.

    `provider` names a provider of models instead of `api`; an empty `domain` is then its first model.
    """

    api: str = Field(max_length=2048)
    provider: str = Field("", max_length=128)
    domain: Annotated[str, Field(max_length=1024)]
    sk: str = Field("", max_length=4096)
    parameter: Parameter = Field(default_factory=lambda: Parameter.model_validate({}))
    patch_id: list[str] = Field(default_factory=list[str])
    support_function_call: bool = False

    @model_validator(mode="after")
    def _some_model(self) -> Self:
        named(self.domain, self.provider)
        return self


class Models(_Open):
    """The models, and what they are told: `instruct` is a JSON text with `think_tip` and `answer_tip`, or plain text."""

    instruct: str = ""
    plan: BotModel
    summary: BotModel | None = None


class Match(_Open):
    """Which knowledge a bot looks into."""

    repoId: list[str] = Field(default_factory=list[str])  # noqa: N815 (the wire's name)
    docId: list[str] = Field(default_factory=list[str])  # noqa: N815 (the wire's name)


class Rag(_Open):
    """How it is searched."""

    type: str = "AIUI-RAG2"


class Regular(_Open):
    """Knowledge as the running system has it."""

    match: Match = Field(default_factory=lambda: Match.model_validate({}))
    rag: Rag = Field(default_factory=lambda: Rag.model_validate({}))


class KnowledgeLimits(_Open):
    """How much of what was found is used."""

    score_threshold: float = Field(0.3, ge=0, le=1)
    top_k: int = Field(3, ge=1, le=50)


class Configuration(_Open):
    """A bot."""

    app_id: str = Field(min_length=1, max_length=64)
    bot_id: str = Field(min_length=1, max_length=64)
    knowledge_config: KnowledgeLimits = Field(default_factory=lambda: KnowledgeLimits.model_validate({}))
    models: Models = Field(alias="model_config")
    regular_config: Regular
    tool_ids: list[str] = Field(default_factory=list[str])
    mcp_server_ids: list[str] = Field(default_factory=list[str])
    mcp_server_urls: list[str] = Field(default_factory=list[str])
    flow_ids: list[str] = Field(default_factory=list[str])


def stored(configuration: Configuration) -> dict[str, JsonValue]:
    """What the app sent, and no more: defaults are not written down."""
    return configuration.model_dump(mode="json", by_alias=True, exclude_unset=True)


def shown(configuration: dict[str, Any]) -> dict[str, JsonValue]:
    """A stored configuration as clients read it: with the defaults."""
    return Configuration.model_validate(configuration).model_dump(mode="json", by_alias=True, exclude_none=True)


def model_of_bot(configuration: dict[str, Any], sampling: Sampling) -> Model:
    """What a chat with the bot asks. Options of the request win over those that the configuration names."""
    bot = Configuration.model_validate(configuration)
    models = bot.models
    own = models.plan.parameter.model_dump(exclude_unset=True, include={"max_tokens", "temperature", "top_k"})
    plan = models.plan
    made = _model(plan, plan.sk, _tip(models.instruct, "answer_tip"), {**own, **_wished(sampling)})
    plugin = _plugin(bot.tool_ids, bot.mcp_server_ids, bot.mcp_server_urls, bot.flow_ids, _knowledge_of(bot))
    strategy = _CALLS if models.plan.support_function_call else _TEXT
    return replace(made, agent=Agent(plugin, strategy, TURNS, _tip(models.instruct, "think_tip"))) if any(plugin.values()) else made


def model_of_custom(chat: CustomChat, key: str) -> Model:
    """What a chat asks that brings its model along; `key` is the reference of its key."""
    made = _model(chat.model, key, chat.instruction.answer, _wished(chat.sampling))
    wanted = chat.plugin
    knowledge: list[JsonValue] = [
        {
            "name": one.name,
            "description": one.description,
            "topK": one.top_k,
            "repoType": one.repo_type,
            "match": {"repoIds": one.match.get("repo_ids") or [], "docIds": one.match.get("doc_ids") or []},
        }
        for one in wanted.knowledge
    ]
    plugin = _plugin(wanted.tools, wanted.mcp_server_ids, wanted.mcp_server_urls, wanted.workflow_ids, knowledge)
    return replace(made, agent=Agent(plugin, _TEXT, chat.max_loop_count, chat.instruction.reasoning)) if any(plugin.values()) else made


def _plugin(tools: list[Any], servers: list[str], urls: list[str], flows: list[str], knowledge: list[JsonValue]) -> dict[str, JsonValue]:
    return {"tools": [*tools], "mcpServerIds": [*servers], "mcpServerUrls": [*urls], "workflowIds": [*flows], "knowledge": knowledge}


def _knowledge_of(bot: Configuration) -> list[JsonValue]:
    match = bot.regular_config.match
    if not match.repoId:
        return []
    found: dict[str, JsonValue] = {"repoIds": [*match.repoId], "docIds": [*match.docId]}
    return [{"name": "knowledge", "topK": min(bot.knowledge_config.top_k, 5), "repoType": 2 if match.docId else 1, "match": found}]


def _wished(sampling: Sampling) -> dict[str, Any]:
    wished = sampling.model_dump(exclude_none=True)
    if "stop_sequences" in wished:
        wished["stop"] = wished.pop("stop_sequences")
    return wished


def _model(model: BotModel | ModelPart, key: str, system: str, options: dict[str, Any]) -> Model:
    extra: dict[str, JsonValue] = {name: value for name, value in options.items() if name not in {"temperature", "max_tokens"}}
    return Model(
        name=model.domain,
        url=model.api,
        provider=model.provider,
        key=key,
        system=system,
        temperature=options.get("temperature"),
        max_tokens=options.get("max_tokens"),
        extra=extra,
    )


def _tip(instruct: str, name: str) -> str:
    try:
        found: Any = json.loads(instruct)
    except ValueError:
        return instruct if name == "answer_tip" else ""
    if not isinstance(found, dict):
        return instruct if name == "answer_tip" else ""
    return str(cast("dict[str, Any]", found).get(name) or "")
