"""`memory-add`: gives texts to the memory service (R1), which is the operator's. All inputs go along by name."""

from pydantic import Field, JsonValue

from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.received import by_name
from services.core.running.effects import ServiceRequest


class MemoryAddParams(Params):
    """`memoryId` names the memory, `uid` whose it is."""

    memory: str = Field(default="", alias="memoryId")
    uid: str = ""
    api_key: str = Field(default="", alias="apiKey")


def ask(node: Node, inputs: Inputs, asking: Asking) -> ServiceRequest:
    """What is remembered."""
    param = node.param
    assert isinstance(param, MemoryAddParams)
    body: dict[str, JsonValue] = {"app_id": asking.app, "memory_id": param.memory, "uid": param.uid, "content": dict(inputs)}
    return ServiceRequest(asking.app, "memory-add", param.api_key, body, asking.quiet_ms)


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """What the service said, as declared."""
    return Finished(by_name(node, (answer.outputs or {}).get("result")))


MEMORY_ADD = Kind(name="memory-add", params=MemoryAddParams, ask=ask, receive=receive, retries=True)
