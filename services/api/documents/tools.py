"""Tools as apps send them: checked, their keys taken out, named by what is in them; and as they are shown.

In comes a body; out go the terms of a `tool.store`. Every value that could be a key is kept as a secret: what a header of
an MCP server says, the address of a database, the key of a security scheme.
"""

import asyncio
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from events.json_text import read_json
from events.tool import ToolTerms
from projections.tools import Tool
from services.api.answers.problems import BadRequest
from services.core.language.definition import digest
from services.kit.errors import SecretMissing
from services.kit.outside import openapi
from services.kit.outside.databases import BadDatabase, dialect_of
from services.kit.secrets.port import Secrets, is_reference

Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Versions are never overwritten.")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s]*)?$", max_length=2048)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field("", max_length=128, description="What people call it.")
    description: str = Field("", max_length=4096, description="What a model is told about it.")
    version: Version = "V1.0"


class OpenApiTool(_Part):
    """HTTP operations. `auth` gives the keys of the document's security schemes by their names."""

    kind: Literal["openapi"]
    document: dict[str, JsonValue] | str
    auth: dict[str, Annotated[str, Field(max_length=8192)]] = Field(default_factory=dict[str, str], max_length=32)


class McpTool(_Part):
    """An MCP server."""

    kind: Literal["mcp"]
    url: Url
    transport: Literal["streamable-http", "sse"] = "streamable-http"
    headers: dict[str, Annotated[str, Field(max_length=8192)]] = Field(default_factory=dict[str, str], max_length=32)


class DatabaseTool(_Part):
    """A database of database nodes: `postgresql://…`, or `sqlite:///file` below the folder that the setting names."""

    kind: Literal["database"]
    dsn: str = Field(min_length=1, max_length=2048)
    read_only: bool = Field(False, description="Whether statements that write are refused.")


class RepositoryTool(_Part):
    """A repository or folder that knowledge nodes look into."""

    kind: Literal["repository"]
    source: str = Field(min_length=1, max_length=2048)
    type: Literal["", "github", "gitlab", "bitbucket", "local"] = ""
    token: str = Field("", max_length=4096)
    filters: dict[Literal["excluded_dirs", "excluded_files", "included_dirs", "included_files"], list[str]] = Field(
        default_factory=dict[Any, list[str]]
    )


ToolBody = Annotated[OpenApiTool | McpTool | DatabaseTool | RepositoryTool, Field(discriminator="kind")]


async def terms_of(secrets: Secrets, app: str, tool: str, body: ToolBody) -> ToolTerms:
    """What is stored. Raises `BadRequest`."""
    content: dict[str, JsonValue]
    match body:
        case OpenApiTool():
            content = await _openapi(secrets, app, body)
        case McpTool():
            content = {"url": body.url, "transport": body.transport, "headers": await _kept(secrets, app, body.headers)}
        case DatabaseTool():
            try:
                dialect = dialect_of(body.dsn)
            except BadDatabase as wrong:
                raise BadRequest(f"dsn: {wrong}") from None
            content = {"dialect": dialect, "dsn": await _reference(secrets, app, body.dsn), "read_only": body.read_only}
        case RepositoryTool():
            content = {**body.model_dump(include={"source", "type", "filters"}), "token": await _reference(secrets, app, body.token)}
    return ToolTerms(
        tool=tool,
        app=app,
        kind=body.kind,
        name=body.name or tool,
        description=body.description,
        tool_version=body.version,
        definition=digest(content),
        content=content,
    )


async def _openapi(secrets: Secrets, app: str, body: OpenApiTool) -> dict[str, JsonValue]:
    document: Any = body.document
    if isinstance(document, str):
        try:
            document = await asyncio.to_thread(_read, document)
        except ValueError:
            raise BadRequest("document: expected an OpenAPI document as JSON (or its text)") from None
    try:
        found = await asyncio.to_thread(openapi.check, document)
    except openapi.BadTool as wrong:
        raise BadRequest(str(wrong)) from None
    schemes = document.get("components", {}).get("securitySchemes", {})
    for name in body.auth:
        if name not in schemes:
            raise BadRequest(f"auth.{name}: the document has no such security scheme")
    document = json.loads(json.dumps(document))
    for scheme in document.get("components", {}).get("securitySchemes", {}).values():
        if isinstance(scheme, dict) and isinstance(scheme.get("x-value"), str):  # pyright: ignore[reportUnknownMemberType] (any JSON)
            scheme["x-value"] = await _reference(secrets, app, scheme["x-value"])  # pyright: ignore[reportUnknownArgumentType] (the same)
    return {"document": document, "auth": await _kept(secrets, app, body.auth), "operations": [*sorted(found)]}


def _read(text: str) -> dict[str, Any]:
    found = read_json(text)
    if not isinstance(found, dict):
        raise ValueError  # noqa: TRY004 (one error for whatever the text is)
    return found  # pyright: ignore[reportUnknownVariableType] (any JSON)


async def _kept(secrets: Secrets, app: str, values: dict[str, str]) -> dict[str, JsonValue]:
    return {name: await _reference(secrets, app, value) for name, value in values.items()}


async def _reference(secrets: Secrets, app: str, value: str) -> str:
    if not value:
        return value
    if not is_reference(value):
        return await secrets.put(app, value)
    try:
        await secrets.resolve(app, value)
    except SecretMissing:
        raise BadRequest("a secret reference in the tool is not known to this app; send the key itself") from None
    return value


def shown(tool: Tool) -> dict[str, JsonValue]:
    """A version of a tool as its app reads it; keys stand as references."""
    return {
        "id": tool.tool,
        "kind": tool.kind,
        "name": tool.name,
        "description": tool.description,
        "version": tool.version,
        "definition": tool.definition,
        "updated": tool.updated,
        **tool.content,
    }
