"""`flow`: another flow as a part of this one (astron.md 4.9.14). Here what is asked for and what its end means.

First the release is looked up, as for any start; it is pinned in the step's result. Then a run of its own does the work.
What that shows is text of this node, its questions are questions of this node, its tokens are counted here.
"""

from typing import cast

from pydantic import Field, JsonValue

from events.question import Option
from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Call, Finished, Inputs, Kind, Node, Params, Query
from services.core.language.values import default_of
from services.core.problems import Problem
from services.core.running.effects import ReleaseRequest
from services.core.running.history import ChatHistory
from services.core.running.run_state import Step

CONTENT, REASONING = "content", "reasoning_content"


class FlowParams(Params):
    """`version` "" or absent is the newest release."""

    flow: str = Field(min_length=1, max_length=64, alias="flowId")
    app: str = Field(min_length=1, alias="appId")
    uid: str = Field(min_length=1)
    version: str | None = ""
    history: ChatHistory = Field(default_factory=ChatHistory, alias="enableChatHistoryV2")


def _param(node: Node) -> FlowParams:
    assert isinstance(node.param, FlowParams)
    return node.param


def ask(node: Node, inputs: Inputs, asking: Asking) -> ReleaseRequest | Call | Query:
    """The release, then the child; where the child has asked something, its question."""
    param = _param(node)
    if not asking.steps:
        assert asking.terms is not None, "a node that asks is in a run"
        return ReleaseRequest(asking.terms.app, param.flow, param.version or "")
    if "question" in asking.steps[-1]:
        return _query(dict(asking.steps[-1]))
    pinned = {name: str(value) for name, value in asking.steps[0].items()}
    return Call(pinned["flow"], pinned["version"], pinned["definition"], pinned["owner"], dict(inputs), asking.history)


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """The child's outputs by name where its end says outputs, else its text and its thinking."""
    if answer.outputs is None:
        texts: dict[str, JsonValue] = {CONTENT: answer.content, REASONING: answer.reasoning}
        return Finished({one.name: texts.get(one.name, default_of(one.schema)) for one in node.outputs})
    if node.outputs and not answer.outputs:
        raise Problem(Code.WORKFLOW_EXEC_RESP_FORMAT_ERROR, "the sub-flow ended without outputs")
    return Finished({one.name: answer.outputs.get(one.name, default_of(one.schema)) for one in node.outputs})


def _query(asked: Step) -> Query:
    return Query(
        kind="option" if asked["kind"] == "option" else "direct",
        text=str(asked["question"]),
        need_reply=bool(asked["need_reply"]),
        limit_ms=cast("int", asked["limit_ms"]),
        options=tuple(Option.model_validate(one) for one in cast("list[JsonValue]", asked["options"])),
        follow_up=cast("int", asked["follow_up"]),
    )


FLOW = Kind(
    name="flow",
    params=FlowParams,
    ask=ask,
    stepwise=True,
    receive=receive,
    streams=lambda _: True,
    stages={CONTENT: "content", REASONING: "reasoning"},
    rounds=lambda node: _param(node).history.wanted,
    retries=True,
)
