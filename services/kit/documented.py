"""The settings that documents 000 and 001 name: their values, their ranges, and which setting of ours each one is.

With `profile = documented` a setting that nobody gave has the document's value, and one that is given must lie in the
document's range. What a document names and we do not need has no setting but a reason. Pure data, and the check.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Documented:
    """One line of a document. `value` is what the profile sets (None: our default is the document's or does not differ)."""

    document: str
    name: str
    setting: str = ""
    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    instead: str = ""


_STALE = "caches are keyed by the content's hash or end with the event that changes it, so that nothing needs a time"
_NO_REDIS = "there is no Redis"
TABLE: tuple[Documented, ...] = (
    Documented("000", "workflow execution, 30 s, 10-300 s", "run_limit_s", 30.0, 10, 300),
    Documented("000", "node execution, 10 s, 5-60 s", "node_limit_s", 10.0, 5, 60),
    Documented("000", "audit, 5 s, 2-15 s", "audit_limit_s", 5.0, 2, 15),
    Documented("000", "heartbeat, 10 s, 5-30 s", "ping_s", 10.0, 5, 30),
    Documented("000", "cache expiry, 300 s, 60-1800 s", instead=_STALE),
    Documented("000", "connection close after 60 s", "idle_close_s", 60.0),
    Documented("001", "PING_INTERVAL, 30 s", "agent_ping_s", 30.0),
    Documented("001", "send timeout, 600 s, 300-1800 s (000: 60 s)", "idle_close_s", None, 60, 1800),
    Documented("001", "read timeout, 600 s, 300-1800 s", "request_read_s", 600.0, 300, 1800),
    Documented("001", "connection timeout, 600 s, 300-1800 s", instead="a connection that sends no request ends with `request_read_s`"),
    Documented("001", "POOL_SIZE, 100", "pool_size", 100),
    Documented("001", "MAX_CONNECTIONS, 1000", "max_connections", 1000),
    Documented("001", "KEEP_ALIVE_TIMEOUT, 30 s", "keep_alive_timeout_s", 30.0),
    Documented("001", "engine_cache_ttl, workflow_cache_ttl, history_cache_ttl, session_cache_ttl", instead=_STALE),
    Documented("001", "database min_size, 5", "database_min_size", 5),
    Documented("001", "database max_size, 20", "database_max_size", 20),
    Documented("001", "database max_queries, 50000", "database_max_queries", 50_000),
    Documented("001", "database max_inactive_connection_lifetime, 300 s", "database_idle_s", 300.0),
    Documented("001", "Redis max_connections, retry_on_timeout, socket_timeout, socket_connect_timeout", instead=_NO_REDIS),
    Documented("001", "max_concurrent_requests, 100", "max_concurrent_requests", 100),
    Documented("001", "max_streaming_connections, 50", "max_streaming_connections", 50),
    Documented("001", "max_workflow_executions, 20", "max_workflow_executions", 20),
    Documented("001", "max_history_fetches, 10", "max_history_fetches", 10),
    Documented("001", "log level, INFO", "log_level"),
    Documented("001", "log serialize, True", "log_format", "json"),
    Documented("001", "log rotation, 10 MB", "log_rotation_mb", 10),
    Documented("001", "log retention, 7 days", "log_retention_days", 7),
    Documented("001", "log enqueue, True", instead="one process writes a file, and a line is written at once"),
    Documented("001", "error codes", "error_codes", "documented"),
)

PROFILE: Mapping[str, Any] = {one.setting: one.value for one in TABLE if one.setting and one.value is not None}
"""What `profile = documented` sets."""
RANGES: Mapping[str, tuple[float, float]] = {
    one.setting: (one.low, one.high) for one in TABLE if one.low is not None and one.high is not None
}
"""And in which ranges a setting may be given with it."""


def outside(given: Mapping[str, Any], named: Collection[str]) -> tuple[str, str]:
    """The first of the settings that were given that is outside its document's range, and that range; empty for none."""
    for name, (low, high) in RANGES.items():
        if name in named and not low <= given[name] <= high:
            return name, f"from {low:g} to {high:g} with the documented profile"
    return "", ""
