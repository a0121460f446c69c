"""What a bot's configuration means: which model is asked and how, and which plugins it would need (astron.md 2.4).

In comes the configuration as the app wrote it; out go the stored form, the form that is shown (defaults filled in), the
model of a chat, and the first plugin that is not there. A bot without plugins is a plain chat with the answer's instruction.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.api.agent_requests import CustomChat, Sampling
from services.api.model_chat import Model


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
    """One model: `api` is the base URL of the OpenAI protocol (empty: the process's own), `domain` the model, `sk` its key."""

    api: str = Field(max_length=2048)
    domain: str = Field(min_length=1, max_length=1024)
    sk: str = Field("", max_length=4096)
    parameter: Parameter = Field(default_factory=lambda: Parameter.model_validate({}))
    patch_id: list[str] = Field(default_factory=list[str])
    support_function_call: bool = False


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
    models = Configuration.model_validate(configuration).models
    own = models.plan.parameter.model_dump(exclude_unset=True, include={"max_tokens", "temperature", "top_k"})
    return _model(models.plan.domain, models.plan.api, models.plan.sk, _answer_tip(models.instruct), {**own, **_wished(sampling)})


def model_of_custom(chat: CustomChat, key: str) -> Model:
    """What a chat asks that brings its model along; `key` is the reference of its key."""
    return _model(chat.model.domain, chat.model.api, key, chat.instruction.answer, _wished(chat.sampling))


def missing_plugin(configuration: dict[str, Any]) -> tuple[int, str] | None:
    """The first plugin that the bot needs and that this version does not have: a code and a sentence."""
    bot = Configuration.model_validate(configuration)
    knowledge = [*bot.regular_config.match.repoId, *bot.regular_config.match.docId]
    return _missing(bot.tool_ids, [*bot.mcp_server_ids, *bot.mcp_server_urls], bot.flow_ids, knowledge)


def missing_custom_plugin(chat: CustomChat) -> tuple[int, str] | None:
    """The same for a chat that brings its plugins along."""
    plugin = chat.plugin
    return _missing(plugin.tools, [*plugin.mcp_server_ids, *plugin.mcp_server_urls], plugin.workflow_ids, plugin.knowledge)


def _missing(tools: list[Any], servers: list[str], flows: list[str], knowledge: list[Any]) -> tuple[int, str] | None:
    needs = (
        (tools, 40023, "tools (tool_ids, plugin.tools)"),
        (servers, 40026, "MCP servers (mcp_server_ids, mcp_server_urls)"),
        (flows, 40028, "flows as tools (flow_ids, plugin.workflow_ids)"),
        (knowledge, 40025, "knowledge (regular_config.match, plugin.knowledge)"),
    )
    return next(((code, f"{what} are not available yet") for wanted, code, what in needs if wanted), None)


def _wished(sampling: Sampling) -> dict[str, Any]:
    wished = sampling.model_dump(exclude_none=True)
    if "stop_sequences" in wished:
        wished["stop"] = wished.pop("stop_sequences")
    return wished


def _model(name: str, url: str, key: str, system: str, options: dict[str, Any]) -> Model:
    extra: dict[str, JsonValue] = {name: value for name, value in options.items() if name not in {"temperature", "max_tokens"}}
    return Model(
        name=name,
        url=url,
        key=key,
        system=system,
        temperature=options.get("temperature"),
        max_tokens=options.get("max_tokens"),
        extra=extra,
    )


def _answer_tip(instruct: str) -> str:
    try:
        found: Any = json.loads(instruct)
    except ValueError:
        return instruct
    return str(found.get("answer_tip") or "") if isinstance(found, dict) else instruct  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] (any JSON)
