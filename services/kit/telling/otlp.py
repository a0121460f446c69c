"""Spans to whoever collects them, as OTLP over HTTP, with OpenTelemetry's own SDK (the extra `prozess[otel]`).

In come spans that are over, with their ids; out go batches, from a thread of the SDK. Its queue is bounded: where the
collector is slow or gone, spans are lost and nothing waits. Attributes are few and short; what people said is in none.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from services.kit.errors import Refused
from services.kit.settings import Settings
from services.kit.telling.logs import logger
from services.kit.telling.traces import OFF, Attribute, Span, Traces, below, fresh, sampled, span_id, trace_id

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

_LONGEST = 256
_MOST = 32
_CLOSE_S = 5.0
_EXPORT_S = 3.0
_EVERY_MS = 1_000
_QUEUE = 8_192
_BATCH = 512


def traces(settings: Settings, program: str) -> Traces:
    """The collector of the settings, else nobody. Raises `Refused` where the SDK is not installed."""
    if not settings.otlp_endpoint:
        return OFF
    try:
        return _Otlp(settings, program)
    except ImportError:
        raise Refused("OTEL_EXPORTER_OTLP_ENDPOINT is set and OpenTelemetry is not installed: pip install 'prozess[otel]'.") from None


class _Otlp:
    """See `Traces`."""

    on = True

    def __init__(self, settings: Settings, program: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
        exporter = OTLPSpanExporter(endpoint, headers=_headers(settings.otlp_headers), timeout=_EXPORT_S)
        self._batches = BatchSpanProcessor(exporter, _QUEUE, _EVERY_MS, _BATCH)
        self._resource = Resource({"service.name": f"prozess-{program}", "service.namespace": "prozess"})
        self._ratio = settings.trace_ratio

    def begin(self, parent: str, *about: object) -> str:
        return below(parent, *about) if parent else fresh(self._ratio, *about)

    def tell(self, span: Span) -> None:
        if not sampled(span.traceparent):
            return
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import Link, SpanKind
        from opentelemetry.trace.status import Status, StatusCode

        told = ReadableSpan(
            span.name[:_LONGEST],
            context=_context(span.traceparent),
            parent=_context(span.parent, remote=True) if span.parent else None,
            resource=self._resource,
            attributes=_short(span.attributes),
            links=[Link(_context(one)) for one in span.links[:_MOST]],
            kind=SpanKind[span.kind.upper()],
            status=Status(StatusCode.ERROR, span.failed[:_LONGEST]) if span.failed else Status(StatusCode.UNSET),
            start_time=int(span.begin * 1_000_000),
            end_time=int(max(span.begin, span.end) * 1_000_000),
        )
        self._batches.on_end(told)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.to_thread(self._batches.shutdown)
        except TimeoutError:
            logger(__name__).warning("traces were dropped: the collector did not take them in time", seconds=_CLOSE_S)


def _context(traceparent: str, *, remote: bool = False) -> "SpanContext":
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(trace_id(traceparent), 16), int(span_id(traceparent), 16), remote, TraceFlags(int(traceparent[53:], 16)))


def _short(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    few = list(attributes.items())[:_MOST]
    return {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in few}


def _headers(text: str) -> dict[str, str]:
    """`name=value,…`, as the variable of OpenTelemetry has it."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip(): value.strip() for name, _, value in pairs}
