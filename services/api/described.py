"""The OpenAPI document as it is true: what FastAPI derives from the routes, and what every surface says when it says no.

In comes the application; out goes its document. Surfaces that keep their codes in the body answer 200 to nearly everything; those
that speak HTTP have one list of statuses, of which a route may use some. Nothing else may ever be answered: a test of the
whole document against the service says so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast, get_type_hints

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from services.api.gate.identity import HEADER, Caller
from services.api.gate.surfaces import SPEAK_HTTP, Surface, surface_of

Schema = dict[str, Any]
_TEXT = {"type": "string"}
_CODES: Schema = {"code": {"type": "integer"}, "symbol": _TEXT, "doc_code": {"type": "integer"}}
_SCHEMAS: Mapping[str, Schema] = {
    "Problem": {"type": "object", "required": ["detail"], "properties": {"detail": _TEXT, **_CODES}},
    "Envelope": {"type": "object", "required": ["code", "message"], "properties": {**_CODES, "message": _TEXT, "sid": _TEXT}},
    "Frame": {"type": "object", "required": ["code", "message", "id"], "properties": {**_CODES, "message": _TEXT, "id": _TEXT}},
    "Faults": {"type": "object", "required": ["detail"], "properties": {"detail": {"type": ["string", "array"]}}},
    "OpenAIProblem": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "object", "required": ["message", "type", "param", "code"], "properties": {"message": _TEXT}}},
    },
}
_BODIES = {
    Surface.CHAT: "Frame",
    Surface.WORKFLOW: "Envelope",
    Surface.AGENT: "Frame",
    Surface.BOTS: "Envelope",
    Surface.OPENAI: "OpenAIProblem",
    Surface.ASSISTANT: "Faults",
    Surface.WIKI: "Faults",
    Surface.NATIVE: "Problem",
}
_SAID = {
    400: "The request contradicts itself or the facts",
    401: "The key is wrong, or there is none",
    403: "The key or the app is not for this",
    404: "There is no such thing, or not for this app",
    408: "The body did not arrive in time",
    409: "The facts do not allow it",
    410: "What was asked for is no longer kept",
    413: "The body is too large",
    422: "The request is not as it must be; the answer names the field",
    429: "Over a limit; `Retry-After` says when to try again",
    500: "Internal error",
    503: "Not now: the log or the rows do not answer in time",
}
_RATE = frozenset({429})
_KEYS = frozenset({401, 403})
_ARRIVING = frozenset({408, 413})
_PLAIN = frozenset({400, 404, 409, 410, 422, 500, 503})
_OF_MODELS = frozenset({502, 504})
_EVENTS = "text/event-stream"
_JSON, _WORDS = "application/json", "text/plain"
_PAGE = ("text/markdown",)
_BESIDE: Mapping[str, tuple[str, ...]] = {
    "/workflow/v1/chat/completions": (_EVENTS,),
    "/workflow/v1/debug/chat/completions": (_EVENTS,),
    "/workflow/v1/chat/completions/{event_id}": (_EVENTS,),
    "/workflow/v1/resume": (_EVENTS,),
    "/workflow/v1/debug/resume": (_EVENTS,),
    "/workflow/v1/protocol/build/{flow}": (_EVENTS,),
    "/agent/v1/chat/completions": (_EVENTS,),
    "/agent/v1/custom/chat/completions": (_EVENTS,),
    "/v1/chat/completions": (_EVENTS,),
    "/v1/runs/{event_id}/events": (_EVENTS,),
    "/api/v1/chat/stream": (_EVENTS, _WORDS),
    "/api/v1/chat": (_EVENTS, _WORDS),
    "/api/chat/stream": (_EVENTS, _WORDS),
    "/chat/completions/stream": (_EVENTS, _WORDS),
    "/docs/doors": (_WORDS,),
    "/docs/settings": ("text/markdown",),
    "/metrics": (_WORDS,),
    "/files/{token}/{name}": ("*/*",),
}
"""What a route answers beside JSON."""


def describe(app: FastAPI, routes: Iterable[object]) -> None:
    """Have the application tell this document instead of FastAPI's own."""
    derived: Callable[[], Schema] = app.openapi

    def whole() -> Schema:
        known = app.openapi_schema is not None
        document = derived()
        if not known:
            _complete(document, {route.path for route in routes if isinstance(route, APIRoute) and not is_public(route)})
        return document

    app.openapi = whole


def is_public(route: APIRoute) -> bool:
    """Whether nobody is asked who calls."""
    return not any(_hints(one).get("return") is Caller for one in _calls(route.dependant))


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for below in dependant.dependencies:
        if below.call is not None:
            yield below.call
        yield from _calls(below)


def _hints(call: Callable[..., Any]) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", get_type_hints(call))


def _complete(document: Schema, guarded: set[str]) -> None:
    parts = document.setdefault("components", {})
    parts.setdefault("schemas", {}).update(_SCHEMAS)
    parts["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "`key:secret`, or the token `key.secret`"},
        "name": {"type": "apiKey", "in": "header", "name": HEADER, "description": "The app's name, from a proxy that is trusted"},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _answers(operation, path, method, guarded=path in guarded)
            if path in guarded:
                operation["security"] = [{"key": []}, {"name": []}]


def _answers(operation: Schema, path: str, method: str, *, guarded: bool) -> None:
    surface = surface_of(path)
    problem = {"schema": {"$ref": f"#/components/schemas/{_BODIES[surface]}"}}
    answers: Schema = operation["responses"]
    for status in _statuses(surface, path, method, guarded=guarded):
        told = answers.setdefault(str(status), {"description": _SAID.get(status, "The model's service failed")})
        told["content"] = {_JSON: problem, **({_WORDS: {}} if surface is Surface.ASSISTANT else {})}
    if surface not in SPEAK_HTTP:
        for status in ("422", "500", "503"):
            answers.pop(status, None)
        answers["200"]["content"] = {_JSON: problem}
    for status in {"200", "201"} & answers.keys():
        answers[status].setdefault("content", {}).update(
            {kind: {} for kind in _BESIDE.get(path, _PAGE if path.startswith("/docs/") else ())}
        )


def _statuses(surface: Surface, path: str, method: str, *, guarded: bool) -> set[int]:
    if path.startswith("/health"):
        return {422}
    keys = _KEYS if guarded else frozenset[int]()
    if surface not in SPEAK_HTTP:
        return {*_RATE, *keys}
    arriving = _ARRIVING if method not in {"get", "options", "head"} else frozenset[int]()
    return {*_PLAIN, *_RATE, *keys, *arriving, *(_OF_MODELS if surface is Surface.OPENAI else ())}
