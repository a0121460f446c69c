"""`plugin`: calls an operation of a tool (astron.md 4.9.12). The tool is an OpenAPI document of the flow's app, or of the platform.

Inputs are the operation's values by name; those that `businessInput` names may fill what a model must not give. Outputs are
keys of the answer; missing or mistyped ones become their type's default. All errors are 23400.
"""

from pydantic import Field

from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.received import by_name
from services.core.running.effects import ToolRequest


class PluginParams(Params):
    """`pluginId` is the tool's id, `operationId` one of its operations."""

    plugin_id: str = Field(min_length=1, max_length=128, alias="pluginId")
    operation_id: str = Field(max_length=256, alias="operationId")
    app_id: str = Field(alias="appId")
    business_input: tuple[str, ...] = Field(default=(), alias="businessInput")
    version: str = Field(default="V1.0", max_length=64)


def ask(node: Node, inputs: Inputs, asking: Asking) -> ToolRequest:
    """The call."""
    param = node.param
    assert isinstance(param, PluginParams)
    return ToolRequest(
        app=asking.app,
        tool=param.plugin_id,
        operation=param.operation_id,
        version=param.version,
        arguments=dict(inputs),
        business=param.business_input,
        quiet_ms=asking.quiet_ms,
    )


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """The answer's values as declared."""
    return Finished(by_name(node, (answer.outputs or {}).get("result")))


PLUGIN = Kind(name="plugin", params=PluginParams, ask=ask, receive=receive, retries=True)
