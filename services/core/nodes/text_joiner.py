"""`text-joiner`: joins inputs into one text, or splits one text into an array (astron.md 4.9.15)."""

from typing import Literal

from services.core.codes import Code
from services.core.language.kind import Finished, Inputs, Kind, Node, Params
from services.core.language.template import parse, render
from services.core.language.values import text_of
from services.core.problems import Problem


class TextJoinerParams(Params):
    """`mode` 0 joins by `prompt`, 1 splits the last input at `separator`."""

    mode: Literal[0, 1] = 0
    prompt: str = ""
    separator: str = ""


def work(node: Node, inputs: Inputs) -> Finished:
    """The first output: the text, or the array of parts."""
    param = node.param
    assert isinstance(param, TextJoinerParams)
    if param.mode == 0:
        result = render(parse(param.prompt, inputs.keys()), inputs.__getitem__)
        return Finished({node.outputs[0].name: result})
    text = text_of(list(inputs.values())[-1]) if inputs else ""
    parts = text.split(param.separator) if param.separator else [text]
    return Finished({node.outputs[0].name: [*parts]})


def check(node: Node) -> None:
    """It needs an output for its result, and an input to split."""
    param = node.param
    assert isinstance(param, TextJoinerParams)
    if not node.outputs:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: a text joiner needs one output")
    if param.mode == 1 and not node.inputs:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: a text joiner in split mode needs an input")


TEXT_JOINER = Kind(name="text-joiner", params=TextJoinerParams, work=work, check=check)
