"""How much at once, and how often: for this instance, and for each app.

Requests and streams are counted while they last, runs until they end or ask a person; how often an app may call is a moving
window of the `limits` library. What is over a limit is refused at once with 429 and the second at which to try again: nothing
waits in a queue.
"""

import math
import resource
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from services.api.answers.problems import Refusal
from services.kit.clock import Clock
from services.kit.errors import Refused
from services.kit.settings import Settings
from services.kit.telling.metrics import Metrics

_TOO_OFTEN, TOO_MANY = 20902, 20903
SOON_S = 1
_OTHER_HANDLES = 256
"""File handles that are not streams: the log, the rows, models."""


class Ticket:
    """One request while it lasts: whose it is, and whether it became a stream."""

    __slots__ = ("app", "streams")

    def __init__(self) -> None:
        self.app = ""
        self.streams = False


class Limits:
    """What is going on at this instance, and how much of it may."""

    def __init__(self, settings: Settings, metrics: Metrics, clock: Clock, goes_on: Callable[[str], bool]) -> None:
        """`goes_on` says of a run whether it is still at work. Raises `Refused` for a rate that cannot be read."""
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._goes_on = goes_on
        self._rate = _rate(settings.app_rate)
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._most_streams = settings.max_streaming_connections or _handles()
        self.requests = 0
        self.streams = 0
        self._fetches = 0
        self._of_apps: Counter[str] = Counter()
        self._runs: dict[str, tuple[str, int]] = {}
        self._show()

    def enter(self) -> Ticket:
        """A request begins. Raises `Refusal` over the instance's limit."""
        if self.requests >= self._settings.max_concurrent_requests:
            raise self._over("instance_requests", TOO_MANY, "too many requests at once", SOON_S)
        self.requests += 1
        return Ticket()

    def streams_now(self, ticket: Ticket) -> None:
        """The request became a stream."""
        ticket.streams = True
        self.requests -= 1
        self.streams += 1

    def leave(self, ticket: Ticket) -> None:
        """The request ended."""
        if ticket.streams:
            self.streams -= 1
        else:
            self.requests -= 1
        if ticket.app:
            self._of_apps[ticket.app] -= 1
            if not self._of_apps[ticket.app]:
                del self._of_apps[ticket.app]

    def of_app(self, app: str, ticket: Ticket | None) -> None:
        """The request is this app's. Raises `Refusal` where it calls too often or has too many requests open."""
        if self._rate is not None and not self._windows.hit(self._rate, app):
            reset = self._windows.get_window_stats(self._rate, app).reset_time
            wait = max(SOON_S, math.ceil(reset - self._clock.now() / 1000))
            raise self._over("app_rate", _TOO_OFTEN, f"the app may call {self._rate}", wait)
        if ticket is None or ticket.app:
            return
        most = self._settings.app_requests
        if most and self._of_apps[app] >= most:
            raise self._over("app_requests", TOO_MANY, f"the app may have {most} requests open at once", SOON_S)
        ticket.app = app
        self._of_apps[app] += 1

    def follow(self) -> None:
        """Whether one more stream may be followed now. Raises `Refusal`."""
        if self.streams >= self._most_streams:
            raise self._over("instance_streams", TOO_MANY, "too many streams at once", SOON_S)

    def start(self, app: str) -> None:
        """Whether one more run may start now. Raises `Refusal`."""
        self.follow()
        settings = self._settings
        if settings.max_workflow_executions and len(self._runs) >= settings.max_workflow_executions:
            self._sweep()
            if len(self._runs) >= settings.max_workflow_executions:
                raise self._over("instance_executions", TOO_MANY, "too many runs at once", SOON_S)
        if settings.app_executions and self._of(app) >= settings.app_executions:
            self._sweep()
            if self._of(app) >= settings.app_executions:
                raise self._over("app_executions", TOO_MANY, f"the app may have {settings.app_executions} runs at once", SOON_S)

    def started(self, run: str, app: str) -> None:
        """A run of this app started."""
        if self._settings.max_workflow_executions or self._settings.app_executions:
            self._runs[run] = (app, self._clock.now())

    @contextmanager
    def reading(self) -> Generator[None]:
        """A past run is read. Raises `Refusal` over the limit."""
        if self._fetches >= self._settings.max_history_fetches:
            raise self._over("instance_history", TOO_MANY, "too many past runs are read at once", SOON_S)
        self._fetches += 1
        try:
            yield
        finally:
            self._fetches -= 1

    def _show(self) -> None:
        settings = self._settings
        for limit, most, used in (
            ("instance_requests", settings.max_concurrent_requests, lambda: self.requests),
            ("instance_streams", self._most_streams, lambda: self.streams),
            ("instance_executions", settings.max_workflow_executions, self._at_work),
            ("instance_history", settings.max_history_fetches, lambda: self._fetches),
        ):
            if most:
                self._metrics.limit_most.labels(limit).set(most)
                self._metrics.limit_used.labels(limit).set_function(used)

    def _at_work(self) -> int:
        self._sweep()
        return len(self._runs)

    def _of(self, app: str) -> int:
        return sum(owner == app for owner, _ in self._runs.values())

    def _sweep(self) -> None:
        """Forget the runs that are no longer at work."""
        oldest = self._clock.now() - int(self._settings.run_limit_s * 1000)
        self._runs = {run: known for run, known in self._runs.items() if known[1] > oldest and self._goes_on(run)}

    def _over(self, limit: str, code: int, words: str, wait_s: int) -> Refusal:
        return over(self._metrics, limit, code, words, wait_s)


def over(metrics: Metrics, limit: str, code: int, words: str, wait_s: int) -> Refusal:
    """The refusal of who is over a limit, counted."""
    metrics.limited.labels(limit).inc()
    return Refusal(code, f"{words}; try again in {wait_s} s", 429, {"Retry-After": str(wait_s)})


def _rate(text: str) -> RateLimitItem | None:
    if not text:
        return None
    try:
        return parse(text)
    except ValueError:
        raise Refused("PROZESS_APP_RATE is not right: expected something like 600/minute.") from None


def _handles() -> int:
    """As many streams as there are file handles, but for some."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_OTHER_HANDLES, soft - _OTHER_HANDLES)
