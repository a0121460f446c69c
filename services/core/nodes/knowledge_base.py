"""`knowledge-base`: looks up passages about its first input (astron.md 4.9.10). The first output is the list of what was found."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.model_params import earlier
from services.core.language.received import by_name
from services.core.language.values import text_of
from services.core.problems import Problem
from services.core.running.effects import KnowledgeRequest
from services.core.running.history import ChatHistory


def _whole(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


class KnowledgeParams(Params):
    """`repoId` are knowledge bases of the service, or repositories of the app's register; `topN` may be written as a text."""

    repositories: tuple[str, ...] = Field(min_length=1, alias="repoId")
    top: Annotated[int, BeforeValidator(_whole)] = Field(default=5, ge=1, le=100, alias="topN")
    rag: str = Field(default="AIUI-RAG2", alias="ragType")
    documents: tuple[str, ...] = Field(default=(), alias="docIds")
    flow: str = Field(default="", alias="flowId")
    score: float = Field(default=0.1, ge=0)
    history: ChatHistory = Field(default_factory=ChatHistory, alias="enableChatHistoryV2")


def _param(node: Node) -> KnowledgeParams:
    assert isinstance(node.param, KnowledgeParams)
    return node.param


def ask(node: Node, inputs: Inputs, asking: Asking) -> KnowledgeRequest:
    """The look-up."""
    param = _param(node)
    return KnowledgeRequest(
        app=asking.app,
        query=text_of(next(iter(inputs.values()))),
        repositories=param.repositories,
        documents=param.documents,
        top=param.top,
        threshold=param.score,
        rag=param.rag,
        flow=param.flow,
        history=tuple(earlier(asking)),
        quiet_ms=asking.quiet_ms,
    )


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """The results."""
    return Finished(by_name(node, (answer.outputs or {}).get("results")))


def check(node: Node) -> None:
    """It needs a question and an output."""
    if not node.inputs or not node.outputs:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: a knowledge base needs one input and one output")


KNOWLEDGE_BASE = Kind(
    name="knowledge-base",
    params=KnowledgeParams,
    ask=ask,
    receive=receive,
    retries=True,
    rounds=lambda node: _param(node).history.wanted,
    check=check,
)
