"""A collector of traces on a real socket: what OTLP brings is kept, and can be waited for."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typing_extensions import override

PATIENCE_S = 30.0


@dataclass(frozen=True)
class Seen:
    """One span as it arrived; ids are hexadecimal."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    failed: str
    attributes: dict[str, Any]
    duration_ns: int


class Collector:
    """`url` is the endpoint, `spans` what came so far, `headers` those of the newest request."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.headers: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self._news = threading.Condition()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner._take(self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            @override
            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, true: Callable[[list[Seen]], bool]) -> list[Seen]:
        """All spans, as soon as they are as they should be."""
        with self._news:
            assert self._news.wait_for(lambda: true(self.spans), PATIENCE_S), [(one.service, one.name) for one in self.spans]
            return list(self.spans)

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        assert path == "/v1/traces"
        with self._news:
            self.headers = headers
            self.bodies.append(body)
            for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = next(one.value.string_value for one in of.resource.attributes if one.key == "service.name")
                self.spans += [_seen(service, span) for scope in of.scope_spans for span in scope.spans]
            self._news.notify_all()


def _seen(service: str, span: Any) -> Seen:
    attributes = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
    failed = span.status.message if span.status.code == 2 else ""
    duration = span.end_time_unix_nano - span.start_time_unix_nano
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    return Seen(service, span.name, *ids, failed, attributes, duration)
