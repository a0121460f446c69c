"""Every metric as a line of a page: its name, kind, labels and meaning, and what documents 000 and 001 call it.

In comes a program's instruments; out goes Markdown, for `/docs/metrics`.
"""

from prometheus_client import Counter, Gauge, Histogram

from services.kit.telling.metrics import Metrics

_KINDS = {Counter: ("counter", "_total"), Gauge: ("gauge", ""), Histogram: ("histogram", "")}
DOCUMENTED = (
    ("000", "request_count", "prozess_requests_total"),
    ("000", "success_count", 'prozess_requests_total{outcome="success"}'),
    ("000", "error_count", 'prozess_requests_total{outcome="error"}'),
    ("000", "response_time", "prozess_http_seconds"),
    ("000", "active_connections", "prozess_open_streams"),
    ("000", "cache_hit_rate", 'prozess_cache_lookups_total{result="hit"} / prozess_cache_lookups_total'),
    ("001", "request response time, below 2 s, alert over 5 s", "prozess_http_seconds, alert ResponsesSlow"),
    ("001", "error rate, below 1 %, alert over 5 %", "prozess_requests_total, alert ErrorsMany"),
    ("001", "concurrent connections, below 80 %, alert over 90 %", "prozess_limit_used / prozess_limit_most, alert NearlyFull"),
    ("001", "cache hit rate, over 80 %, alert below 60 %", "prozess_cache_lookups_total, alert CacheCold"),
    ("001", "workflow execution time, below 10 s, alert over 30 s", "prozess_run_seconds, alert RunsSlow"),
)
"""What the documents name, and where it is."""


def page(metrics: Metrics) -> str:
    """All of it. Labels are bounded: none is an id or a word of a caller."""
    lines = ["# Metrics", "", "At `GET /metrics`, for Prometheus. The alert rules are in `infra/prometheus/alerts.yml`.", ""]
    lines += ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for instrument in vars(metrics).values():
        for kind, (word, ending) in _KINDS.items():
            if type(instrument) is kind:
                (family,) = instrument.describe()
                labels = ", ".join(f"`{one}`" for one in instrument._labelnames)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportUnknownVariableType] (no other way)
                lines.append(f"| `{family.name}{ending}` | {word} | {labels} | {family.documentation} |")
    lines += [f"| `{name}` | {kind} | {labels} | {said} |" for name, kind, labels, said in _OF_CACHES]
    lines += ["", "| document | its name | here |", "|---|---|---|", *(f"| {one} | {name} | `{here}` |" for one, name, here in DOCUMENTED)]
    return "\n".join(lines) + "\n"


_OF_CACHES = (
    ("prozess_cache_lookups_total", "counter", "`cache`, `result`", "Questions to a cache: hit or miss."),
    ("prozess_cache_entries", "gauge", "`cache`", "Entries of a cache now."),
)
