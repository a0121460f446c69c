"""The effects: one file each, one line in the register.

An effect is an async generator of outcomes (`services.core.running.effects`) that ends with exactly one `Done` or `Broke`. Use
it inside `contextlib.aclosing`, so that leaving early ends what it does at once.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from services.core.running.effects import (
    AgentCallRequest,
    AgentToolsRequest,
    AuditRequest,
    CodeRequest,
    DatabaseRequest,
    DeepKnowledgeRequest,
    FilesRequest,
    KnowledgeRequest,
    McpRequest,
    ModelRequest,
    NoopRequest,
    Outcome,
    ReleaseRequest,
    RepositoryRequest,
    Request,
    ServiceRequest,
    ToolRequest,
    VariablesRequest,
)
from services.kit.audit.port import Judge
from services.kit.audit.provider import judge_of
from services.kit.clock import Clock
from services.kit.database import Database
from services.kit.files import Files
from services.kit.log import Log
from services.kit.models.provider import Models
from services.kit.models.register import Providers
from services.kit.retrieval.retrieval import Retrieval
from services.kit.sandbox.sandbox import Sandbox
from services.kit.secrets.port import Secrets
from services.kit.settings import Settings
from services.kit.telling.metrics import Metrics
from services.kit.variables import Variables
from services.processor.effects import (
    agent_call,
    agent_tools,
    audit,
    code,
    database,
    deep_knowledge,
    files,
    http_tool,
    knowledge,
    llm,
    mcp,
    noop,
    release,
    repository,
    service,
    variables,
)
from services.processor.tools.toolbox import Toolbox


@dataclass(frozen=True, slots=True)
class EffectWorld:
    """What effects may touch."""

    settings: Settings
    secrets: Secrets
    files: Files
    database: Database
    clock: Clock
    metrics: Metrics
    models: Models
    providers: Providers
    retrieval: Retrieval
    sandbox: Sandbox
    toolbox: Toolbox
    variables: Variables
    judge: Judge | None


class Outside(Protocol):
    """The part of the program's world that effects stand on; `services.kit.world.World` is one."""

    @property
    def settings(self) -> Settings: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def files(self) -> Files: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def log(self) -> Log: ...
    @property
    def database(self) -> Database: ...


Effect = Callable[[Any, EffectWorld], AsyncGenerator[Outcome, None]]

EFFECTS: dict[type[Request], Effect] = {
    ModelRequest: llm.perform,
    RepositoryRequest: repository.perform,
    CodeRequest: code.perform,
    ToolRequest: http_tool.perform,
    VariablesRequest: variables.perform,
    McpRequest: mcp.perform,
    KnowledgeRequest: knowledge.perform,
    DeepKnowledgeRequest: deep_knowledge.perform,
    DatabaseRequest: database.perform,
    ServiceRequest: service.perform,
    AgentToolsRequest: agent_tools.perform,
    AgentCallRequest: agent_call.perform,
    ReleaseRequest: release.perform,
    FilesRequest: files.perform,
    AuditRequest: audit.perform,
    NoopRequest: noop.perform,
}


@asynccontextmanager
async def effect_world(world: Outside) -> AsyncGenerator[EffectWorld, None]:
    """The effects' world for the life of a program; its connections are closed at the end. Raises `Refused` for bad settings."""
    judge = judge_of(world.settings, world.clock)
    models = Models(world.settings, world.clock)
    sandbox = Sandbox(world.settings)
    toolbox = Toolbox(world.settings, world.database, world.secrets)
    try:
        await sandbox.open()
        yield EffectWorld(
            settings=world.settings,
            secrets=world.secrets,
            files=world.files,
            database=world.database,
            clock=world.clock,
            metrics=world.metrics,
            models=models,
            providers=Providers(world.settings, world.database, world.secrets),
            retrieval=Retrieval(world.settings),
            sandbox=sandbox,
            toolbox=toolbox,
            variables=Variables(world.log, world.database),
            judge=judge,
        )
    finally:
        if judge is not None:
            await judge.aclose()
        await sandbox.close()
        await models.aclose()
        await toolbox.aclose()


def perform(request: Request, world: EffectWorld) -> AsyncGenerator[Outcome, None]:
    """Do what a started node asks."""
    return EFFECTS[type(request)](request, world)
