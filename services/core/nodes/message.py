"""`message`: shows a rendered template while the run goes on (astron.md 4.9.3). It has no outputs."""

from pydantic import Field

from services.core.codes import Code
from services.core.kind import Kind, Node, Params, Speech
from services.core.template import parse


class MessageParams(Params):
    """The template, and whether its units are shown one by one."""

    template: str
    stream_output: bool = Field(default=False, alias="streamOutput")


def speak(node: Node) -> Speech:
    """The template's units."""
    param = node.param
    assert isinstance(param, MessageParams)
    return Speech(content=parse(param.template, {one.name for one in node.inputs}), streamed=param.stream_output)


MESSAGE = Kind(name="message", params=MessageParams, failure=Code.MESSAGE_NODE_EXECUTION_ERROR, speak=speak, gates=True)
