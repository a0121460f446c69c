"""`rpa`: has a robot of the RPA service do a project (R1). The service is the operator's; inputs are the project's parameters.

Outputs are keys of what the robot gave; missing or mistyped ones become their type's default.
"""

from pydantic import Field, JsonValue

from services.core.language.kind import Answer, Asking, Finished, Inputs, Kind, Node, Params
from services.core.language.received import by_name
from services.core.running.effects import ServiceRequest


class RpaHeader(Params):
    """`apiKey` is the key of the robot's owner."""

    api_key: str = Field(default="", alias="apiKey")


class RpaOptions(Params):
    """Where the project runs."""

    position: str = Field(default="EXECUTOR", alias="execPosition")


class RpaParams(Params):
    """`projectId` names what is done."""

    project: str = Field(min_length=1, alias="projectId")
    header: RpaHeader = RpaHeader()
    version: int | None = None
    options: RpaOptions = Field(default=RpaOptions(), alias="rpaParams")


def ask(node: Node, inputs: Inputs, asking: Asking) -> ServiceRequest:
    """The wish as the service wants it."""
    param = node.param
    assert isinstance(param, RpaParams)
    body: dict[str, JsonValue] = {
        "project_id": param.project,
        "sid": node.id,
        "exec_position": param.options.position,
        "params": dict(inputs),
    }
    if param.version is not None:
        body["version"] = param.version
    return ServiceRequest(asking.app, "rpa", param.header.api_key, body, asking.quiet_ms)


def receive(node: Node, _inputs: Inputs, answer: Answer) -> Finished:
    """What the robot gave, as declared."""
    return Finished(by_name(node, (answer.outputs or {}).get("result")))


RPA = Kind(name="rpa", params=RpaParams, ask=ask, receive=receive, retries=True)
