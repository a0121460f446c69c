"""`mcp`: calls a tool of an MCP server, by the server's id in the app's register or by its address (R1).

Inputs are the tool's arguments by name. The first output is what the tool gave, others are keys of it where it is an object.
"""

from pydantic import Field

from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.received import fitting
from services.core.language.values import is_of, text_of
from services.core.problems import Problem
from services.core.running.effects import McpRequest


class McpParams(Params):
    """One of `mcpServerId` and `mcpServerUrl` says which server."""

    server: str = Field(default="", max_length=128, alias="mcpServerId")
    url: str = Field(default="", max_length=2048, alias="mcpServerUrl")
    tool: str = Field(min_length=1, max_length=256, alias="toolName")


def ask(node: Node, inputs: Inputs, asking: Asking) -> McpRequest:
    """The call."""
    param = node.param
    assert isinstance(param, McpParams)
    return McpRequest(asking.app, param.server, param.url, param.tool, dict(inputs), asking.quiet_ms)


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """The result as a whole for the first output, its keys for the others."""
    result = (answer.outputs or {}).get("result")
    first, *others = node.outputs
    if isinstance(result, dict) and first.name in result:
        whole = result[first.name]
    elif first.schema.get("type") == "string" and not is_of(result, "string"):
        whole = text_of(result)
    else:
        whole = result
    keys = result if isinstance(result, dict) else {}
    return Finished({first.name: fitting(first, {first.name: whole}), **{one.name: fitting(one, keys) for one in others}})


def check(node: Node) -> None:
    """It needs a server and an output."""
    param = node.param
    assert isinstance(param, McpParams)
    if not param.server and not param.url:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam: mcpServerId or mcpServerUrl is needed")
    if not node.outputs:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: outputs: an mcp node needs one output")


MCP = Kind(name="mcp", params=McpParams, ask=ask, receive=receive, retries=True, check=check)
