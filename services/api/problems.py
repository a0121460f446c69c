"""From an error to the answer of the surface that was asked. The only place where errors become bytes.

In come refusals, validation errors and what nobody foresaw; out go E1 to E4 at HTTP 200 on the workflow surfaces, HTTP
statuses with `{"detail"}` on the native ones. Never a stack trace, a secret, or an echo of the input.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.api.compact import compact
from services.api.dialects.astron import refused
from services.api.errors import named
from services.api.surfaces import CURRENT, Surface, surface_of
from services.kit.clock import Clock
from services.kit.database import is_gone
from services.kit.errors import AppendFailed, HistoryLost, NotReady, TooLarge, Unreachable
from services.kit.ids import new_id

PARAM_ERROR = 460
_GENERIC = (
    (r"/protocol/add", 20102),
    (r"/protocol/get", 20209),
    (r"/protocol/update/.*", 20104),
    (r"/protocol/delete", 20103),
    (r"/protocol/build/.*", 20101),
    (r"/protocol/compare/save", 20102),
    (r"/protocol/compare/delete", 20103),
    (r"/get_flow_info/.*", 20209),
    (r"/publish", 20206),
    (r"/auth", 20007),
    (r"(/debug)?/resume", 23900),
)
_NATIVE_STATUS = {460: 422, 20000: 401, 20001: 401, 20004: 403, 20201: 404, 23900: 409}
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
    """The code of a current workflow path for what has no code of its own."""
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
        match wrong:
            case Refusal():
                return self.refusal(path, wrong)
            case RequestValidationError():
                return self._invalid(path, [_line(error) for error in wrong.errors()])
            case Native():
                return Json({"detail": str(wrong)}, wrong.status)
            case TooLarge():
                return self._invalid(path, ["Parameter: body, Error: the request is larger than the log takes (too_large)"], 413)
            case NotReady():
                return self._not_now(path, str(wrong))
            case Unreachable() | AppendFailed():
                return self._not_now(path, _NOT_NOW)
            case HistoryLost():
                return self._native_or(path, 410, "the history that was asked for is no longer kept")
            case _ if is_gone(wrong):
                return self._not_now(path, _NOT_NOW)
            case _:
                raise wrong

    def _not_now(self, path: str, told: str) -> Response:
        return self._native_or(path, 503, told)

    def _native_or(self, path: str, status: int, told: str) -> Response:
        return self.refusal(path, Refusal(generic(path), told, status if surface_of(path) is Surface.NATIVE else None))

    def unforeseen(self, path: str) -> Response:
        """The answer to an error that nobody foresaw."""
        if surface_of(path) is Surface.NATIVE:
            return Json({"detail": "internal error"}, 500)
        return self.refusal(path, Refusal(generic(path), "internal error"))

    def too_large(self, path: str, limit: int) -> Response:
        """The answer to a body over the limit."""
        return self._invalid(path, [f"Parameter: body, Error: at most {limit} bytes are taken (too_large)"], 413)

    def too_slow(self, path: str, seconds: int) -> Response:
        """The answer to a body that did not arrive."""
        return self._invalid(path, [f"Parameter: body, Error: it did not arrive within {seconds} s (too_slow)"], 408)

    def refusal(self, path: str, no: Refusal) -> Response:
        """E4, E1 or a status."""
        surface = surface_of(path)
        if surface is Surface.NATIVE:
            body = {"detail": no.message, "code": no.code, **named(no.code)}
            return Json(body, no.status or _NATIVE_STATUS.get(no.code, 409), no.headers)
        if no.code == PARAM_ERROR:
            return self._invalid(path, [no.message])
        if surface is Surface.CHAT:
            body = refused(no.code, no.message, sid(), self._clock.now() // 1000, **named(no.code))
        else:
            body = {"code": no.code, "message": no.message, "sid": sid(), **named(no.code)}
        return Json(body, no.status or 200, no.headers)

    def _invalid(self, path: str, lines: Iterable[str], native: int = 422) -> Response:
        message = "\n".join(lines)
        match surface_of(path):
            case Surface.CHAT:
                return Json(
                    {"code": PARAM_ERROR, "message": message, "id": sid(), "created": float(self._clock.now()), **named(PARAM_ERROR)}
                )
            case Surface.WORKFLOW:
                return Json({"code": PARAM_ERROR, "message": message, "sid": sid(), **named(PARAM_ERROR)})
            case Surface.NATIVE:
                return Json({"detail": message}, native)


def _line(error: Mapping[str, Any]) -> str:
    where: Sequence[object] = error["loc"]
    said = "expected a JSON object, sent as application/json" if error["type"] == "model_attributes_type" else error["msg"]
    reason = error.get("ctx", {}).get("error")
    if error["type"] == "json_invalid" and isinstance(reason, str):
        said = f"{said}: {reason}"
    return f"Parameter: {'->'.join(map(str, where))}, Error: {said} ({error['type']})"


def path_of(request: Request) -> str:
    """The current path that was asked."""
    path: str = request.scope["path"]
    return path
