"""What is counted and measured: Prometheus instruments of one program, on a registry of its own.

Labels are bounded: surfaces, route templates, statuses, command types, partitions. Ids, texts and addresses are never
labels. Programs that do not touch an instrument show it at zero or not at all.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
CACHES = ("definitions", "keys", "rows")
"""Compiled flows of the processor, verified keys of the api, and rows that every request asks for."""
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Tally:
    """A cache's own count: plain numbers, read when somebody asks for them. `size` says how many entries it has."""

    __slots__ = ("hits", "misses", "size")

    def __init__(self, size: Callable[[], int]) -> None:
        self.hits = 0
        self.misses = 0
        self.size = size


class Caches(Collector):
    """The caches of a program by name, several of one name added up. They cannot be stale; that they are used is a question of speed."""

    def __init__(self) -> None:
        self._tallies: dict[str, list[Tally]] = {name: [] for name in CACHES}

    def watch(self, name: str, tally: Tally) -> Tally:
        """Show this one as well; its name is one of `CACHES`."""
        self._tallies[name].append(tally)
        return tally

    def collect(self) -> Iterable[Metric]:
        """As Prometheus wants it."""
        lookups = CounterMetricFamily("prozess_cache_lookups", "Questions to a cache: hit or miss.", labels=("cache", "result"))
        entries = GaugeMetricFamily("prozess_cache_entries", "Entries of a cache now.", labels=("cache",))
        for name, tallies in self._tallies.items():
            lookups.add_metric((name, "hit"), sum(one.hits for one in tallies))
            lookups.add_metric((name, "miss"), sum(one.misses for one in tallies))
            entries.add_metric((name,), sum(one.size() for one in tallies))
        return lookups, entries


class Metrics:
    """All instruments, by area."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._http()
        self._runs()
        self._questions()
        self._owner()
        self._effects()
        self._audits()
        self._projector()
        self._log()
        self.caches = Caches()
        self.registry.register(self.caches)

    def render(self) -> bytes:
        """The text that Prometheus reads; its type is `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _http(self) -> None:
        """The api. `route` is the template (`/v1/runs/{event_id}`) or `unknown`; `status` a class (`2xx`)."""
        self.http_requests = self._counter("prozess_http_requests", "Requests answered.", "surface", "route", "status")
        self.requests = self._counter("prozess_requests", "Requests by how they ended: success or error.", "surface", "outcome")
        self.errors = self._counter(
            "prozess_errors", "Errors that requests ended with, by code of the table (/v1/errors).", "surface", "code"
        )
        self.http_seconds = self._histogram("prozess_http_seconds", "Time to the first byte of the answer.", _LATENCY, "surface")
        self.open_streams = self._gauge("prozess_open_streams", "Streams being followed now.", "surface")
        self.limited = self._counter("prozess_limited", "Requests refused because a limit was reached, by limit.", "limit")
        self.limit_used = self._gauge("prozess_limit_used", "How much of a limit is in use now.", "limit")
        self.limit_most = self._gauge("prozess_limit_most", "How much a limit allows.", "limit")
        self.commands_appended = self._counter("prozess_commands_appended", "Commands in the log, by type.", "type")
        self.app_lookups = self._counter(
            "prozess_app_lookups", "Apps that the tenant service was asked about: found, unknown, failed.", "outcome"
        )
        self.commands_refused = self._counter("prozess_commands_refused", "Commands that their stream refused, by type.", "type")

    def _runs(self) -> None:
        """The fate of runs that no other run started. `status` is completed, failed, timed_out or cancelled."""
        self.runs_started = self._counter("prozess_runs_started", "Runs accepted.", "surface")
        self.runs_finished = self._counter("prozess_runs_finished", "Runs ended.", "surface", "status")
        self.run_seconds = self._histogram(
            "prozess_run_seconds",
            "From a run's start to its end, without the time in which it waited for a person.",
            _WAITS,
            "surface",
            "status",
        )
        self.first_token_seconds = self._histogram(
            "prozess_first_token_seconds", "From the request to the first text shown.", _WAITS, "surface"
        )

    def _questions(self) -> None:
        """Questions to people. `event_type` is resume, ignore, abort or other."""
        self.questions_asked = self._counter("prozess_questions_asked", "Questions put to people.")
        self.questions_answered = self._counter("prozess_questions_answered", "Questions answered.", "event_type")
        self.questions_expired = self._counter("prozess_questions_expired", "Questions that nobody answered in time.")
        self.questions_open = self._gauge("prozess_questions_open", "Questions that wait for an answer.", "partition")

    def _owner(self) -> None:
        """Partitions and their owners."""
        self.partitions_owned = self._gauge("prozess_partitions_owned", "Partitions this program owns now.")
        self.takeovers = self._counter("prozess_takeovers", "Claims appended by this program.")
        self.takeover_events = self._gauge("prozess_takeover_events", "Events folded at the newest takeover.", "partition")
        self.takeover_seconds = self._histogram("prozess_takeover_seconds", "From the first question to the log to our claim.", _WAITS)
        self.snapshots = self._counter("prozess_snapshots", "Snapshots written.")
        self.snapshot_time = self._gauge(
            "prozess_snapshot_timestamp_seconds", "When the newest snapshot was written; its age is now minus this.", "partition"
        )
        self.runs_resting = self._gauge("prozess_runs_resting", "Open runs that only wait, and are not in memory.", "partition")
        self.batch_events = self._histogram("prozess_batch_events", "Events in one batch.", _SIZES)
        self.batch_seconds = self._histogram("prozess_batch_seconds", "From handing a batch to the log to its acknowledgement.", _LATENCY)
        self.events_appended = self._counter("prozess_events_appended", "Events acknowledged by the log.")

    def _effects(self) -> None:
        """What is done for nodes. `outcome` is completed, failed, timed_out or cancelled."""
        self.effects_running = self._gauge("prozess_effects_running", "Effects being performed now.", "kind")
        self.effect_seconds = self._histogram("prozess_effect_seconds", "How long effects took.", _WAITS, "kind")
        self.model_tokens = self._counter("prozess_model_tokens", "Tokens, as the providers counted them: input or output.", "direction")
        self.model_calls = self._counter("prozess_model_calls", "Calls of models ended.", "outcome")
        self.model_first_token_seconds = self._histogram("prozess_model_first_token_seconds", "A model's own first token.", _WAITS)

    def _audits(self) -> None:
        """Content audit. `of` is input, output, question or answer; `verdict` is pass, refuse or failed."""
        self.audits = self._counter("prozess_audits", "Verdicts of the content audit, and calls that gave none.", "of", "verdict")
        self.audit_seconds = self._histogram("prozess_audit_seconds", "From the words to their verdict.", _WAITS)

    def _projector(self) -> None:
        """How far the rows are behind the log."""
        self.projector_lag_events = self._gauge("prozess_projector_lag_events", "Records not yet in the rows.", "partition")
        self.projector_lag_seconds = self._gauge(
            "prozess_projector_lag_seconds", "Age of the oldest record not yet in the rows.", "partition"
        )
        self.projector_batch_seconds = self._histogram("prozess_projector_batch_seconds", "One transaction of the projector.", _LATENCY)

    def _log(self) -> None:
        """The log as this program sees it."""
        self.log_reachable = self._gauge("prozess_log_reachable", "1 while the log answers, else 0.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)
