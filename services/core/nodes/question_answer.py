"""`question-answer`: asks the person and waits (astron.md 4.9.9, 5). Here what is asked and what an answer means, no waiting.

A direct question takes free text, an option question the name of one of its options: "A", "B", never its text or id.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from events.question import Option
from services.core.codes import Code
from services.core.kind import Finished, Inputs, Kind, Node, Params, Query, Reply
from services.core.problems import Problem
from services.core.template import parse, render
from services.core.values import default_of

MINUTE_MS = 60_000
MAX_MINUTES = 30 * 24 * 60
_DEFAULT = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class OptionPart(_Part):
    """One option. `type` 1 is the default one; answers name it by `name`, a capital letter."""

    id: str = Field(min_length=1)
    name: str = Field(min_length=1, max_length=64)
    type: Literal[1, 2]
    content_type: str = Field(default="string", max_length=64)
    content: str = ""


class DirectPart(_Part):
    """How a direct answer is handled: as it is, or by filling the node's outputs, with so many further questions at most."""

    handle: bool = Field(default=False, alias="handleResponse")
    max_retries: int = Field(default=2, ge=1, le=5, alias="maxRetryCounts")


class QuestionParams(Params):
    """`timeout` is in minutes. The model is only asked where answers are handled."""

    model: str = ""
    domain: str = ""
    api_key: str = Field(default="", alias="apiKey")
    url: str = ""
    source: str = "xinghuo"
    question: str
    kind: Literal["direct", "option"] = Field(alias="answerType")
    timeout: float = Field(default=5, gt=0, le=MAX_MINUTES)
    need_reply: bool = Field(default=False, alias="needReply")
    direct: DirectPart = Field(default_factory=DirectPart, alias="directAnswer")
    options: tuple[OptionPart, ...] = Field(default=(), alias="optionAnswer")
    instruction: str = ""


def _param(node: Node) -> QuestionParams:
    assert isinstance(node.param, QuestionParams)
    return node.param


def query(node: Node, inputs: Inputs) -> Query:
    """The question and its options, rendered."""
    param = _param(node)

    def rendered(template: str) -> str:
        return render(parse(template, inputs.keys()), inputs.__getitem__)

    parts = param.options if param.kind == "option" else ()
    options = tuple(
        Option(name=one.name, text=rendered(one.content), handle=one.id, content_type=one.content_type, is_default=one.type == _DEFAULT)
        for one in parts
    )
    return Query(param.kind, rendered(param.question), param.need_reply, round(param.timeout * MINUTE_MS), options)


def answered(node: Node, reply: Reply) -> Finished:
    """What an answer leads to (5.4). Raises 23802 for one that cannot be taken, 23800 where no option fits."""
    if reply.event_type == "abort":
        raise _refused("Received abort instruction")
    if reply.event_type == "other":
        raise _refused("Abnormal event type: expected resume, ignore or abort")
    if reply.event_type == "ignore" and reply.need_reply:
        raise _refused("Received ignore instruction, but workflow does not support ignore")
    if _param(node).kind == "option":
        return _chosen(node, reply)
    if reply.event_type == "ignore":
        return Finished(_outputs(node, content=reply.content))
    return Finished(_outputs(node, query=reply.text, content=reply.content))


def _chosen(node: Node, reply: Reply) -> Finished:
    """The first option whose name was said or that is the default: a default one that is not the last always wins."""
    ignored = reply.event_type == "ignore"
    option = next((one for one in reply.options if one.is_default or (not ignored and one.name == reply.content)), None)
    if option is None:
        what = "there is no default option" if ignored else "no option has this name, and there is no default one"
        raise Problem(Code.QUESTION_ANSWER_NODE_EXECUTION_ERROR, f"The question node failed ({what})")
    name = "default" if ignored else option.name
    return Finished(_outputs(node, query=reply.text, content=option.text, id=name), handle=option.handle)


def _outputs(node: Node, **known: JsonValue) -> dict[str, JsonValue]:
    return {one.name: known.get(one.name, default_of(one.schema)) for one in node.outputs}


def _refused(why: str) -> Problem:
    return Problem(Code.QUESTION_ANSWER_RESUME_DATA_ERROR, f"The answer cannot be used ({why})")


def check(node: Node) -> None:
    """An option question needs options with different names, one default at most; handling needs a model that is available."""
    param = _param(node)
    if param.kind == "direct" and param.direct.handle and param.source != "openai":
        what = "nodeParam.source must be openai where directAnswer.handleResponse is true, other providers are not available"
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: {what}")
    if param.kind == "direct":
        return
    if not param.options:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.optionAnswer: an option question needs options")
    for what in ("id", "name"):
        values = [getattr(one, what) for one in param.options]
        if len(set(values)) < len(values):
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.optionAnswer: two options have the same {what}")
    if sum(one.type == _DEFAULT for one in param.options) > 1:
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.optionAnswer: one default option (type 1) at most")


QUESTION_ANSWER = Kind(
    name="question-answer",
    params=QuestionParams,
    failure=Code.QUESTION_ANSWER_NODE_EXECUTION_ERROR,
    query=query,
    answered=answered,
    gates=True,
    check=check,
)
