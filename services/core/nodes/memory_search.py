"""`memory-search`: asks the memory service (R1), which is the operator's, for what fits the first input."""

from pydantic import Field, JsonValue

from services.core.codes import Code
from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.received import by_name
from services.core.language.values import text_of
from services.core.problems import Problem
from services.core.running.effects import ServiceRequest


class MemorySearchParams(Params):
    """`memoryId` names the memory, `uid` whose it is, `topK` how much is wanted at most."""

    memory: str = Field(default="", alias="memoryId")
    uid: str = ""
    top: int = Field(default=5, ge=1, le=100, alias="topK")
    api_key: str = Field(default="", alias="apiKey")


def ask(node: Node, inputs: Inputs, asking: Asking) -> ServiceRequest:
    """What is looked for."""
    param = node.param
    assert isinstance(param, MemorySearchParams)
    query = text_of(next(iter(inputs.values())))
    body: dict[str, JsonValue] = {
        "app_id": asking.app,
        "memory_id": param.memory,
        "uid": param.uid,
        "query": query,
        "top_k": param.top,
    }
    return ServiceRequest(asking.app, "memory-search", param.api_key, body, asking.quiet_ms)


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """What was found, as declared."""
    return Finished(by_name(node, (answer.outputs or {}).get("result")))


def check(node: Node) -> None:
    """It needs something to look for."""
    if not node.inputs:
        raise Problem(Code.ENG_NODE_PROTOCOL_VALIDATE_ERROR, f"{node.id}: inputs: a memory search needs an input to look for")


MEMORY_SEARCH = Kind(name="memory-search", params=MemorySearchParams, ask=ask, receive=receive, retries=True, check=check)
