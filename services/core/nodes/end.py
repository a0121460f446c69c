"""`node-end`: what a run answers (astron.md 4.9.2). Its inputs are the outputs of the run."""

from typing import Literal

from pydantic import Field

from services.core.language.kind import Kind, Node, Params, Speech
from services.core.language.template import parse


class EndParams(Params):
    """Mode 0 answers the inputs as JSON, mode 1 the rendered templates, thinking first."""

    output_mode: Literal[0, 1] = Field(alias="outputMode")
    template: str = ""
    reasoning_template: str = Field(default="", alias="reasoningTemplate")
    stream_output: bool = Field(default=False, alias="streamOutput")


def speak(node: Node) -> Speech:
    """The units of both templates, or JSON."""
    param = node.param
    assert isinstance(param, EndParams)
    if param.output_mode == 0:
        return Speech(outputs_as_json=True)
    names = {one.name for one in node.inputs}
    reasoning = parse(param.reasoning_template, names) if param.reasoning_template else ()
    return Speech(reasoning=reasoning, content=parse(param.template, names), streamed=param.stream_output)


END = Kind(name="node-end", params=EndParams, speak=speak, gates=True)
