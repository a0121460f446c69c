"""What is known of a request when its answer is over: counted, logged, and told as a span. Plain ASGI, outside of everything that answers.

In comes a request with or without a `traceparent`; commands and log lines below belong to its trace. Labels are surfaces,
templates of routes and codes of the table of errors, never what a caller wrote.
"""

import logging
import time
from functools import lru_cache
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.answers.errors import TABLE
from services.api.gate.identity import TICKET
from services.api.gate.outcome import AT_HAND, Outcome
from services.api.gate.surfaces import surface_of
from services.kit.telling import logs
from services.kit.telling.metrics import Metrics
from services.kit.telling.traces import RUN, TRACE, Span, Traces, named

_ACCESS = "prozess.access"
_KNOWN = 1_000
"""Combinations of labels whose counters are at hand."""
_CLASSES = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")
_UNCOUNTED = ("/health", "/metrics")
"""Who watches is no caller."""


class Measured:
    """Counts, times, logs and traces requests; of WebSockets it only takes the trace."""

    def __init__(self, app: ASGIApp, metrics: Metrics, traces: Traces, *, access_log: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._answered = lru_cache(_KNOWN)(metrics.http_requests.labels)
        self._seconds = lru_cache(_KNOWN)(metrics.http_seconds.labels)
        self._ended = lru_cache(_KNOWN)(metrics.requests.labels)
        self._traces = traces
        self._log = logs.logger(_ACCESS) if access_log else None
        self._level = logging.getLogger(_ACCESS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parent = named(scope.get("headers", ()))
        if parent or self._traces.on:
            TRACE.set(self._traces.begin(parent))
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        outcome = Outcome()
        AT_HAND.set(outcome)
        RUN.set("")
        began, since = time.perf_counter(), time.time() if self._traces.on else 0.0
        surface, status = surface_of(scope["path"]).value, 0

        async def count(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                self._answered(surface, _route(scope), _CLASSES[status // 100]).inc()
                self._seconds(surface).observe(time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, count)
        finally:
            self._over(scope, surface, status, outcome, time.perf_counter() - began)
            if self._traces.on:
                self._traced(scope, parent, status, outcome, since)

    def _over(self, scope: Scope, surface: str, status: int, outcome: Outcome, seconds: float) -> None:
        if scope["path"].startswith(_UNCOUNTED):
            return
        failed = outcome.failed or not 0 < status < 400
        self._ended(surface, "error" if failed else "success").inc()
        if failed:
            self._metrics.errors.labels(surface, str(outcome.code) if outcome.code in TABLE else "none").inc()
        if self._log is not None and self._level.isEnabledFor(logging.INFO):
            ticket = scope.get(TICKET)
            said: dict[str, Any] = {"app": ticket.app} if ticket is not None and ticket.app else {}
            if failed:
                said["code"] = outcome.code
            self._log.info(
                "request",
                method=scope["method"] if scope["method"] in _METHODS else "other",
                route=_route(scope),
                surface=surface,
                status=status,
                duration_ms=round(seconds * 1000, 1),
                **said,
            )

    def _traced(self, scope: Scope, parent: str, status: int, outcome: Outcome, since: float) -> None:
        method, route = scope["method"] if scope["method"] in _METHODS else "other", _route(scope)
        told: dict[str, str | int] = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        if run := RUN.get():
            told["prozess.run"] = run
        failed = str(outcome.code or status) if outcome.failed or not 0 < status < 500 else ""
        name = f"{method} {route}"
        self._traces.tell(Span(TRACE.get(), name, since * 1000, time.time() * 1000, parent, "server", told, failed))


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "unknown")
