"""What happens to a tool: what an app's flows and bots may use beside models, named by its id.

A tool is an OpenAPI document, an MCP server, a database or a repository. Its content is named by the SHA-256 of its
canonical JSON, secrets taken out. These names are the storage format.
"""

from typing import ClassVar, Literal

from pydantic import JsonValue

from events.envelope import Event, Fact

ToolKind = Literal["openapi", "mcp", "database", "repository"]


class ToolTerms(Fact):
    """One version of a tool. `content` depends on the kind; keys in it are references."""

    tool: str
    app: str
    kind: ToolKind
    name: str
    description: str = ""
    tool_version: str
    definition: str
    content: dict[str, JsonValue]


class ToolStored(ToolTerms, Event):
    """This version of the tool exists. It never gets another content."""

    type: ClassVar[str] = "tool.stored"


class ToolRemoved(Event):
    """The tool can no longer be found. Its history stays, and its id may be used anew."""

    type: ClassVar[str] = "tool.removed"
    by: str
