"""`knowledge-pro-base`: a knowledge service answers the first input with a model (astron.md 4.9.11), streamed.

The output `output` is the text, `result` what it stands on.
"""

from typing import Literal

from pydantic import Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.received import by_name
from services.core.language.values import text_of
from services.core.problems import Problem
from services.core.running.effects import DeepKnowledgeRequest

_TYPES = {1: "AIUI-RAG2", 2: "CBG-RAG"}
_MODES = {1: "deep_search", 2: "long_rag"}


class KnowledgeProParams(Params):
    """The model and the knowledge bases. `repoType` 2 needs `docIds`; `provider` names where the model is, in place of url and keys."""

    model: str
    url: str
    domain: str
    app_id: str = Field(alias="appId")
    api_key: str = Field(alias="apiKey")
    api_secret: str = Field(alias="apiSecret")
    temperature: float = Field(gt=0, le=1)
    max_tokens: int = Field(ge=1, alias="maxTokens")
    top_k: int = Field(ge=1, le=6, alias="topK")
    rag: Literal[1, 2] = Field(alias="ragType")
    repositories: tuple[str, ...] = Field(min_length=1, alias="repoIds")
    repository_type: Literal[1, 2] = Field(alias="repoType")
    repository_top: int = Field(ge=1, le=5, alias="repoTopK")
    documents: tuple[str, ...] = Field(default=(), alias="docIds")
    role: str = Field(default="", alias="answerRole")
    score: float = 0.1
    provider: str = Field(default="", max_length=128)


def ask(node: Node, inputs: Inputs, asking: Asking) -> DeepKnowledgeRequest:
    """The question as the service wants it; its keys are references still."""
    param = node.param
    assert isinstance(param, KnowledgeProParams)
    model: dict[str, JsonValue] = {
        "app_id": param.app_id,
        "api_key": param.api_key,
        "api_secret": param.api_secret,
        "base_url": param.url,
        "model": param.domain,
        "max_token": param.max_tokens,
        "top_k": param.top_k,
        "temperature": param.temperature,
    }
    rag: dict[str, JsonValue] = {
        "type": _TYPES[param.repository_type],
        "repo_id": [*param.repositories],
        "doc_id": [*param.documents],
        "topN": param.repository_top,
        "mode": _MODES[param.rag],
        "threshold": param.score,
        "llm": model,
    }
    question = text_of(next(iter(inputs.values())))
    body: dict[str, JsonValue] = {
        "prompt": param.role,
        "rag": rag,
        "messages": [{"role": "user", "content": question}],
        "meta_data": {"caller": "workflow", "caller_sid": node.id},
    }
    return DeepKnowledgeRequest(asking.app, body, asking.recorded, asking.quiet_ms, param.provider)


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """The text that was streamed, and what it stands on."""
    return Finished(by_name(node, {"output": answer.content, "result": (answer.outputs or {}).get("result")}), raw_output=answer.content)


def check(node: Node) -> None:
    """It needs a question, and documents where its kind of knowledge has them."""
    param = node.param
    assert isinstance(param, KnowledgeProParams)
    if not node.inputs:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: inputs: a knowledge base needs an input to look for")
    if param.repository_type == 2 and not param.documents:
        raise Problem(Code.KNOWLEDGE_PARAM_ERROR, f"{node.id}: nodeParam.docIds: repoType 2 needs documents")


KNOWLEDGE_PRO_BASE = Kind(
    name="knowledge-pro-base",
    params=KnowledgeProParams,
    ask=ask,
    receive=receive,
    streams=lambda _: True,
    retries=True,
    check=check,
)
