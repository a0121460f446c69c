"""What a started node asks of the world; what comes back is in `outcomes` beside it. The doing is in `services.processor.effects`.

A request is derived from the run's state, so that the next owner asks the same.
"""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from events.audit import Judged
from events.envelope import Stage
from services.core.running.outcomes import (
    Broke,
    Called,
    Done,
    Judgement,
    Outcome,
    Piece,
    Pinned,
    Responded,
    Retrieved,
    ToolAnswered,
    ToolSent,
)
from services.core.words.prompts import ChatMessage, FunctionCall, Tool

__all__ = [
    "AgentCallRequest",
    "AgentToolsRequest",
    "AuditRequest",
    "Broke",
    "Called",
    "ChatMessage",
    "CodeRequest",
    "Condition",
    "DatabaseRequest",
    "DeepKnowledgeRequest",
    "Done",
    "FilesRequest",
    "FunctionCall",
    "Judgement",
    "KnowledgeRequest",
    "McpRequest",
    "ModelRequest",
    "NoopRequest",
    "Outcome",
    "Piece",
    "Pinned",
    "ReleaseRequest",
    "RepositoryRequest",
    "Request",
    "Responded",
    "Retrieved",
    "ServiceRequest",
    "Tool",
    "ToolAnswered",
    "ToolRequest",
    "ToolSent",
    "VariablesRequest",
]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """Ask a model for text. `url` is the OpenAI base URL ("" = the process's own), `key` a secret reference, a value, or "".

    `provider` names one instead: a registered one, or one of the environment. `caller` is the app whose credentials take the
    place of the node's ("" = nobody's); `secret` is the second half of a key pair.

    `recorded` and `recorded_reasoning` are what an earlier attempt of this node already has on the record.
    `quiet_ms` is how long the model may stay silent before the first and between two pieces.
    """

    app: str
    url: str
    key: str
    model: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    extra: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    recorded: str = ""
    recorded_reasoning: str = ""
    quiet_ms: int = 60_000
    tools: tuple[Tool, ...] = ()
    tool_choice: str = ""
    """`auto`, `required`, `none`, or the name of the one function that must be called; "" = the provider's own."""
    provider: str = ""
    caller: str = ""
    secret: str = ""
    is_react: bool = False
    """The answer is in the textual form of `services.core.words.react`."""


@dataclass(frozen=True, slots=True)
class RepositoryRequest:
    """Look up passages of a repository. `source` is an address or a folder, `token` a secret reference or "".

    `filters` are the lists `excluded_dirs`, `excluded_files`, `included_dirs`, `included_files`; `file` is one file to hand
    over whole ("" = none); `passages` is how many are wanted at most; `provider` and `model` say
    who will be asked afterwards, so that a missing account is told before the work.
    """

    app: str
    source: str
    token: str
    kind: str
    query: str
    file: str
    filters: dict[str, tuple[str, ...]]
    passages: int
    provider: str
    model: str
    quiet_ms: int


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """Run a code: its function `main` with `inputs` by name. It may take `limit_ms`. The output `text` is what it returned, as JSON."""

    app: str
    source: str
    inputs: dict[str, JsonValue]
    limit_ms: int


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """Call an operation of a tool (an OpenAPI document of the app's register, or of the tool platform).

    `version` "" = the newest. `business` names the arguments that may fill values a model must not give.
    """

    app: str
    tool: str
    operation: str
    version: str
    arguments: dict[str, JsonValue]
    business: tuple[str, ...]
    quiet_ms: int


@dataclass(frozen=True, slots=True)
class VariablesRequest:
    """Read the variables of a pool, as of everything that is in the log of the run's partition. They come as the output `values`."""

    app: str
    run: str
    pool: str


@dataclass(frozen=True, slots=True)
class McpRequest:
    """Call a tool of an MCP server: `server` is an id of the app's register, else `url` is its address."""

    app: str
    server: str
    url: str
    tool: str
    arguments: dict[str, JsonValue]
    quiet_ms: int


@dataclass(frozen=True, slots=True)
class KnowledgeRequest:
    """Look up what a knowledge base says. `repositories` are ids, of the service or of the app's register."""

    app: str
    query: str
    repositories: tuple[str, ...]
    documents: tuple[str, ...]
    top: int
    threshold: float
    rag: str
    flow: str
    history: tuple[ChatMessage, ...]
    quiet_ms: int


@dataclass(frozen=True, slots=True)
class DeepKnowledgeRequest:
    """Have a knowledge service answer with a model. `body` is what it is sent; the keys in it are references.

    `provider` names where the model is, in place of the address and keys in there. `recorded` is what an earlier attempt already
    said: such a service cannot continue it.
    """

    app: str
    body: dict[str, JsonValue]
    recorded: str
    quiet_ms: int
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """`field` `operator` `value` in a WHERE: operators as the database node has them."""

    field: str
    operator: str
    value: JsonValue


@dataclass(frozen=True, slots=True)
class DatabaseRequest:
    """Do one statement in a database of the app's register, or of `caller`'s where its credentials take the node's place.

    `sql` only in mode 0; its placeholders are bound to `values`.
    """

    app: str
    database: str
    mode: Literal[0, 1, 2, 3, 4]
    sql: str
    table: str
    values: dict[str, JsonValue]
    conditions: tuple[Condition, ...]
    every: bool
    fields: tuple[str, ...]
    order: tuple[tuple[str, bool], ...]
    limit: int
    quiet_ms: int
    caller: str = ""


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """Post a JSON body to a service that the operator names: `rpa`, `memory-add` or `memory-search`. `key` is a reference or ""."""

    app: str
    service: Literal["rpa", "memory-add", "memory-search"]
    key: str
    body: dict[str, JsonValue]
    quiet_ms: int


@dataclass(frozen=True, slots=True)
class AgentToolsRequest:
    """Ask what an agent's tools can do. `tools` are (id, version); the output `tools` lists functions with the `target` each calls."""

    app: str
    tools: tuple[tuple[str, str], ...]
    servers: tuple[str, ...]
    urls: tuple[str, ...]
    flows: tuple[str, ...]
    quiet_ms: int


@dataclass(frozen=True, slots=True)
class AgentCallRequest:
    """Do a tool call of an agent's model. A tool's failure is a result too: the model reads it. For a flow, pin what a run would do.

    `target` is empty for a tool that there is none of; `is_unknown` says that an earlier owner may have done it, so that it is
    not done again. `shows` puts it into the node's reasoning, for which `reason` is the model's thought.
    """

    app: str
    call: FunctionCall
    target: dict[str, JsonValue]
    reason: str
    is_unknown: bool
    shows: bool
    quiet_ms: int


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Find what a start of this flow runs, and whether this app may start it. `version` "" = the newest."""

    app: str
    flow: str
    version: str


@dataclass(frozen=True, slots=True)
class FilesRequest:
    """Ask whether files are there and how large they are. `links` are (parameter, address)."""

    app: str
    links: tuple[tuple[str, str], ...]
    quiet_ms: int


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """Judge words of a run. `history` is what was said before, as (role, words); the rest as in `events.audit`."""

    app: str
    run: str
    of: Judged
    stage: Stage
    text: str
    history: tuple[tuple[str, str], ...] = ()
    piece: int = 0
    pending: bool = False
    ends_stage: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class NoopRequest:
    """Ask for nothing: an effect that exists for `make bench` only."""


Request = (
    ModelRequest
    | RepositoryRequest
    | CodeRequest
    | ToolRequest
    | McpRequest
    | KnowledgeRequest
    | DeepKnowledgeRequest
    | DatabaseRequest
    | ServiceRequest
    | AgentToolsRequest
    | AgentCallRequest
    | VariablesRequest
    | ReleaseRequest
    | FilesRequest
    | AuditRequest
    | NoopRequest
)
