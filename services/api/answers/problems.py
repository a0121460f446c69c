"""From an error to the answer of the surface that was asked. The only place where errors become bytes.

In come refusals, validation errors and what nobody foresaw; each becomes one `Wrong`, and the dialect of the surface says
it in its own words. Never a stack trace, a secret, or an echo of the input.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fastapi.exceptions import RequestValidationError
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from services.api.answers import workflow_problems
from services.api.answers.compact import compact
from services.api.answers.wrong import PARAM_ERROR, Fault, Voice, Wrong
from services.api.dialects import agent, assistant, deepwiki, native, openai
from services.api.gate import outcome
from services.api.gate.surfaces import CURRENT, SPEAK_HTTP, Surface, surface_of
from services.kit.clock import Clock
from services.kit.database import is_gone
from services.kit.errors import AppendFailed, FileGone, HistoryLost, NotReady, TooLarge, Unreachable
from services.kit.ids import new_id

_GENERIC = (
    (r"/protocol/add", 20102),
    (r"/protocol/get", 20209),
    (r"/protocol/update/.*", 20104),
    (r"/protocol/delete", 20103),
    (r"/protocol/build/.*", 20101),
    (r"/protocol/compare/save", 20102),
    (r"/protocol/compare/get", 20209),
    (r"/protocol/compare/delete", 20103),
    (r"/get_flow_info/.*", 20209),
    (r"/node/debug(/.*)?", 21700),
    (r"(/code)?/run", 21600),
    (r"/publish", 20206),
    (r"/auth", 20007),
    (r"(/debug)?/resume", 23900),
)
_NATIVE_STATUS = {460: 422, 20000: 401, 20001: 401, 20002: 403, 20003: 403, 20004: 403, 20201: 404, 23900: 409}
_VOICES: Mapping[Surface, Voice] = {
    Surface.CHAT: workflow_problems.problem,
    Surface.WORKFLOW: workflow_problems.envelope_problem,
    Surface.AGENT: agent.problem,
    Surface.BOTS: agent.envelope_problem,
    Surface.OPENAI: openai.problem,
    Surface.ASSISTANT: assistant.problem,
    Surface.WIKI: deepwiki.problem,
    Surface.NATIVE: native.problem,
}
_TOLD = 20
"""So many mistakes of one request are told."""
_UNREADABLE = 400
_NOT_NOW = "the service cannot do this now; try again"


class Refusal(Exception):
    """The answer is no. `status` is the HTTP status where it is not the surface's usual one."""

    def __init__(self, code: int, message: str, status: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = dict(headers or {})


class Native(Exception):
    """What a native route answers with `status` and its words."""

    status: ClassVar[int]


class Missing(Native):
    """The thing does not exist, or not for this caller."""

    status = 404


class BadRequest(Native):
    """The request contradicts itself or the facts."""

    status = 400


class Gone(Native):
    """A cursor that can no longer be served."""

    status = 410


def generic(path: str) -> int:
    """The code of a current path for what has no code of its own."""
    if surface_of(path) in {Surface.AGENT, Surface.BOTS}:
        return agent.INTERNAL
    rest = path.removeprefix(CURRENT)
    return next((code for pattern, code in _GENERIC if re.fullmatch(pattern, rest)), 20805)


def sid() -> str:
    """A new id for one answer."""
    return f"spf{new_id()}@hf"


class Json(JSONResponse):
    """Compact JSON that survives any text."""

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return compact(content)


class Problems:
    """Renders errors; the clock only dates the answers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def render(self, path: str, wrong: Exception) -> Response:
        """The answer of the path's surface to an error that is known here. Raises it again if it is not."""
        return self.say(path, wrong_of(path, wrong))

    def say(self, path: str, wrong: Wrong) -> Response:
        """The same for one that is already understood."""
        outcome.fails(wrong.number)
        body, status = _VOICES[surface_of(path)](wrong, self._clock.now(), new_id())
        if isinstance(body, bytes):
            return Response(body, status, dict(wrong.headers), "text/plain; charset=utf-8")
        return Json(body, status, dict(wrong.headers))

    def refuse(self, path: str, status: int, words: str, headers: Mapping[str, str]) -> Response:
        """The answer to what the framework refuses: a path or a method that there is not, a body that cannot be taken apart."""
        if status == _UNREADABLE:
            return self.say(path, _unfit(Fault(("body",), words, "unreadable"), status))
        if surface_of(path) in SPEAK_HTTP:
            return self.say(path, Wrong(0, words, generic(path), native=status, headers=headers))
        return Json({"detail": words}, status, dict(headers))

    def unforeseen(self, path: str) -> Response:
        """The answer to an error that nobody foresaw."""
        return self.say(path, Wrong(0, "internal error", generic(path), native=500))

    def too_large(self, path: str, limit: int) -> Response:
        """The answer to a body over the limit."""
        return self.say(path, _unfit(Fault(("body",), f"at most {limit} bytes are taken", "too_large"), 413))

    def too_slow(self, path: str, seconds: float) -> Response:
        """The answer to a body that did not arrive."""
        return self.say(path, _unfit(Fault(("body",), f"it did not arrive within {seconds:g} s", "too_slow"), 408))


def wrong_of(path: str, wrong: Exception) -> Wrong:
    """What there is to say about an error that is known here. Raises it again if it is not."""
    usual = generic(path)
    match wrong:
        case Refusal():
            status = wrong.status or _NATIVE_STATUS.get(wrong.code, 409)
            return Wrong(wrong.code, wrong.message, usual, wrong.status, status, wrong.headers)
        case RequestValidationError():
            faults = tuple(_fault(error) for error in wrong.errors()[:_TOLD])
            more = len(wrong.errors()) - len(faults)
            lines = [*map(str, faults), *([f"and {more} more"] if more else [])]
            return Wrong(PARAM_ERROR, "\n".join(lines), usual, native=422, faults=faults)
        case Native():
            return Wrong(0, str(wrong), usual, native=wrong.status)
        case FileGone():
            return Wrong(0, str(wrong), usual, native=404)
        case TooLarge():
            return _unfit(Fault(("body",), "the request is larger than the log takes", "too_large"), 413)
        case NotReady():
            return Wrong(usual, str(wrong), usual, native=503)
        case HistoryLost():
            return Wrong(usual, "the history that was asked for is no longer kept", usual, native=410)
        case _ if isinstance(wrong, Unreachable | AppendFailed) or is_gone(wrong):
            return Wrong(usual, _NOT_NOW, usual, native=503)
        case _:
            raise wrong


def _unfit(fault: Fault, native: int) -> Wrong:
    return Wrong(PARAM_ERROR, str(fault), native=native, faults=(fault,))


def _fault(error: Mapping[str, Any]) -> Fault:
    where: Sequence[object] = error["loc"]
    said = "expected a JSON object, sent as application/json" if error["type"] == "model_attributes_type" else error["msg"]
    reason = error.get("ctx", {}).get("error")
    if error["type"] == "json_invalid" and isinstance(reason, str):
        said = f"{said}: {reason}"
    return Fault(tuple(str(part)[:100] for part in where), said, error["type"])


def path_of(request: HTTPConnection) -> str:
    """The current path that was asked."""
    path: str = request.scope["path"]
    return path
