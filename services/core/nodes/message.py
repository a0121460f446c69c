"""`message`: shows a rendered template while the run goes on (astron.md 4.9.3). It has no outputs."""

from pydantic import Field

from services.core.language.kind import Kind, Node, Params, Speech
from services.core.language.template import parse


class MessageParams(Params):
    """The template, and whether its units are shown one by one."""

    template: str
    stream_output: bool = Field(default=False, alias="streamOutput")


def speak(node: Node) -> Speech:
    """The template's units."""
    param = node.param
    assert isinstance(param, MessageParams)
    return Speech(content=parse(param.template, {one.name for one in node.inputs}), streamed=param.stream_output)


MESSAGE = Kind(name="message", params=MessageParams, speak=speak, gates=True)
