"""Running code: the effect of a started `ifly-code` node.

In comes a `CodeRequest`; out comes `Done` with what `main` returned, as JSON `text`, or `Broke`. A code can reach nothing
outside its sandbox, so an attempt that was cut off is simply made again by the next owner.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from events.node import Problem
from services.core.codes import Code
from services.core.language.values import encodable
from services.core.running.effects import Broke, CodeRequest, Done, Outcome
from services.kit.sandbox import port
from services.kit.sandbox.sandbox import Sandbox

_CODES: dict[port.Reason, Code] = {
    "failed": Code.CODE_EXECUTION_ERROR,
    "build": Code.CODE_BUILD_ERROR,
    "result": Code.CODE_NODE_RESULT_TYPE_ERROR,
    "timeout": Code.CODE_EXECUTION_TIMEOUT_ERROR,
}


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def sandbox(self) -> Sandbox: ...


async def perform(request: CodeRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Run it. Closing the generator ends the code's process."""
    wanted = port.Code(request.source, request.inputs, request.limit_ms / 1000, request.app)
    try:
        text = await world.sandbox.run(wanted)
    except port.CodeFailed as failure:
        problem = Problem(code=_CODES[failure.reason], message=encodable(failure.message))
        yield Broke(problem, temporary=failure.reason == "timeout")
        return
    yield Done(outputs={"text": text})
