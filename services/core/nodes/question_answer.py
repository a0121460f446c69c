"""`question-answer`: asks the person and waits (astron.md 4.9.9, 5). Here what is asked and what an answer means, no waiting.

A direct question takes free text, an option question the name of one of its options: "A", "B", never its text or id.
"""

from collections.abc import Collection, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from events.question import Option
from services.core.codes import Code
from services.core.language.kind import Asking, Finished, Inputs, Kind, Node, Params, Query
from services.core.language.model_params import OPENAI
from services.core.language.template import parse, render
from services.core.language.values import default_of
from services.core.problems import Problem
from services.core.running.effects import ModelRequest
from services.core.words import slots
from services.core.words.slots import Step

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
    api_secret: str = Field(default="", alias="apiSecret")
    url: str = ""
    source: Literal["xinghuo", "openai"] = "xinghuo"
    provider: str = Field(default="", max_length=128)
    temperature: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=2048, gt=0, alias="maxTokens")
    extra: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], alias="extraParams")
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


def ask(node: Node, inputs: Inputs, asking: Asking) -> ModelRequest | Query | Finished:
    """The question, then what its answer leads to; where answers are handled, a model reads each of them before.

    The steps are a person's and a model's in turn.
    """
    param = _param(node)
    if not asking.steps:
        return query(node, inputs)
    replies, read = asking.steps[0::2], asking.steps[1::2]
    if len(replies) == len(read):
        return _understood(node, inputs, replies, read)
    reply = replies[-1]
    finished = _refused_or_ignored(node, inputs, reply)
    if finished is not None:
        return finished
    content = str(reply.get("content", ""))
    if param.kind == "option":
        return _chosen(node, inputs, content)
    if not (param.direct.handle and slots.of(node.outputs)):
        return Finished(_outputs(node, query=_rendered(param.question, inputs), content=content))
    return ModelRequest(
        app=asking.app,
        url=param.url if param.source == OPENAI else "",
        key=param.api_key,
        provider=param.provider or ("" if param.source == OPENAI else param.source),
        secret="" if param.source == OPENAI else param.api_secret,
        model=param.domain or param.model,
        messages=slots.prompt(slots.of(node.outputs), param.instruction, _conversation(node, inputs, replies, read)),
        temperature=param.temperature,
        max_tokens=param.max_tokens,
        extra=param.extra,
        recorded=asking.recorded,
        recorded_reasoning=asking.recorded_reasoning,
        quiet_ms=asking.quiet_ms,
    )


def query(node: Node, inputs: Inputs) -> Query:
    """The question and its options, rendered."""
    param = _param(node)
    parts = param.options if param.kind == "option" else ()
    options = tuple(
        Option(
            name=one.name,
            text=_rendered(one.content, inputs),
            handle=one.id,
            content_type=one.content_type,
            is_default=one.type == _DEFAULT,
        )
        for one in parts
    )
    return Query(param.kind, _rendered(param.question, inputs), param.need_reply, round(param.timeout * MINUTE_MS), options)


def _rendered(template: str, inputs: Inputs) -> str:
    return render(parse(template, inputs.keys()), inputs.__getitem__)


def _refused_or_ignored(node: Node, inputs: Inputs, reply: Step) -> Finished | None:
    """What an answer leads to that is none (5.4). Raises 23802 for one that cannot be taken."""
    param, event_type = _param(node), reply.get("event_type")
    if event_type == "abort":
        raise _refused("Received abort instruction")
    if event_type not in {"resume", "ignore"}:
        raise _refused("Abnormal event type: expected resume, ignore or abort")
    if event_type == "resume":
        return None
    if param.need_reply:
        raise _refused("Received ignore instruction, but workflow does not support ignore")
    return _chosen(node, inputs, None) if param.kind == "option" else Finished(_outputs(node, content=reply.get("content", "")))


def _chosen(node: Node, inputs: Inputs, said: str | None) -> Finished:
    """The first option whose name was said or that is the default: a default one that is not the last always wins. Raises 23800."""
    asked = query(node, inputs)
    option = next((one for one in asked.options if one.is_default or one.name == said), None)
    if option is None:
        what = "there is no default option" if said is None else "no option has this name, and there is no default one"
        raise Problem(Code.QUESTION_ANSWER_NODE_EXECUTION_ERROR, f"The question node failed ({what})")
    name = "default" if said is None else option.name
    return Finished(_outputs(node, query=asked.text, content=option.text, id=name), handle=option.handle)


def _understood(node: Node, inputs: Inputs, replies: Sequence[Step], read: Sequence[Step]) -> Query | Finished:
    """The node's outputs as the model read them, or a further question. Raises 23803 where enough were asked."""
    param, wanted = _param(node), slots.of(node.outputs)
    texts = [str(one.get("content", "")) for one in read]
    found = slots.found(wanted, texts)
    missing = [one for one in wanted if one.required and one.name not in found]
    if not missing:
        outputs = _outputs(node, query=_rendered(param.question, inputs), content=replies[-1].get("content", ""), **found)
        return Finished(outputs, raw_output=texts[-1])
    if len(read) > param.direct.max_retries:
        names = ", ".join(one.name for one in missing)
        what = f"after {param.direct.max_retries} further questions these are still missing: {names}"
        raise Problem(Code.QUESTION_ANSWER_HANDLER_RESPONSE_ERROR, f"The answer could not be understood ({what})")
    text = slots.follow_up(missing, texts[-1])
    return Query("direct", text, param.need_reply, round(param.timeout * MINUTE_MS), follow_up=len(read))


def _conversation(node: Node, inputs: Inputs, replies: Sequence[Step], read: Sequence[Step]) -> list[tuple[str, str]]:
    """Each question with its answer, in order."""
    wanted = slots.of(node.outputs)
    questions = [_rendered(_param(node).question, inputs)]
    for number in range(len(read)):
        texts = [str(one.get("content", "")) for one in read[: number + 1]]
        known = slots.found(wanted, texts)
        questions.append(slots.follow_up([one for one in wanted if one.required and one.name not in known], texts[-1]))
    return [(asked, str(reply.get("content", ""))) for asked, reply in zip(questions, replies, strict=True)]


def _outputs(node: Node, **known: JsonValue) -> dict[str, JsonValue]:
    return {one.name: known.get(one.name, default_of(one.schema)) for one in node.outputs}


def _refused(why: str) -> Problem:
    return Problem(Code.QUESTION_ANSWER_RESUME_DATA_ERROR, f"The answer cannot be used ({why})")


def check(node: Node) -> None:
    """An option question needs options with different names, one default at most; handling needs a model that is available."""
    param = _param(node)
    if param.kind == "direct":
        if param.direct.handle and not (param.domain or param.model or param.provider):
            what = "nodeParam.model must be named, or nodeParam.provider"
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: {what}, where directAnswer.handleResponse is true")
        return
    if not param.options:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.optionAnswer: an option question needs options")
    for what in ("id", "name"):
        values = [getattr(one, what) for one in param.options]
        if len(set(values)) < len(values):
            raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.optionAnswer: two options have the same {what}")
    if sum(one.type == _DEFAULT for one in param.options) > 1:
        raise Problem(Code.ENG_PROTOCOL_VALIDATE_ERROR, f"{node.id}: nodeParam.optionAnswer: one default option (type 1) at most")


def handles(node: Node) -> Collection[str] | None:
    """A branch for each option; a direct question has none."""
    param = _param(node)
    return [one.id for one in param.options] if param.kind == "option" else None


QUESTION_ANSWER = Kind(
    name="question-answer",
    params=QuestionParams,
    ask=ask,
    stepwise=True,
    gates=True,
    handles=handles,
    check=check,
)
