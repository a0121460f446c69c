"""What the ends of the bodies of iterations and loops have in common (astron.md 4.9.8, 4.4).

An end's inputs are the outputs of its round; a template, where there is one, gives
the output named `output`.
"""

from typing import Literal

from pydantic import Field

from services.core.language.kind import Finished, Inputs, Node, Params
from services.core.language.template import parse, render


class BodyEndParams(Params):
    """Mode 1 renders `template` beside the inputs."""

    output_mode: Literal[0, 1] = Field(default=0, alias="outputMode")
    template: str = ""


def work(node: Node, inputs: Inputs) -> Finished:
    """The inputs, and the rendered template."""
    param = node.param
    assert isinstance(param, BodyEndParams)
    rendered = {"output": render(parse(param.template, inputs.keys()), inputs.__getitem__)} if param.output_mode and param.template else {}
    return Finished({**rendered, **inputs})
