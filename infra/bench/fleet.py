"""The programs as processes of one machine: started, killed, paused, asked to end, and asked whether they are ready.

In come an environment, a folder and names such as `api-1` or `processor-2`; out go processes of our own, told things by
their pid only. For the stories of `tests/faults` and for the soak: whoever kills a program starts it again, as a supervisor would.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from infra.kafka.broker import free_port
from services.kit.settings import LOOPBACK

READY_S = 120.0
END_S = 60.0


class NotWell(Exception):
    """A program ended, or did not become what it should; the message has its last words."""


class Fleet:
    """Programs that share an environment; each has a port for its health."""

    def __init__(self, environment: Mapping[str, str], folder: Path, names: Sequence[str], module: str = "services.cli") -> None:
        self.names = tuple(names)
        self.ports = {name: free_port() for name in names}
        self.folder = folder
        self._module = module
        self.environment = dict(environment)
        self._environment = {**os.environ, **environment}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in list(self._running):
            self.kill(name)

    @property
    def urls(self) -> list[str]:
        """Of those that serve clients."""
        return [self.url(name) for name in self.names if name.startswith(("api", "dev"))]

    def url(self, name: str) -> str:
        """Where a program answers."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def of(self, kind: str) -> list[str]:
        """The names of one kind."""
        return [name for name in self.names if name.partition("-")[0] == kind]

    def start(self, *names: str) -> None:
        """Start these, or all."""
        for name in names or self.names:
            kind, port = name.partition("-")[0], str(self.ports[name])
            environment = {**self._environment, "PROZESS_PORT" if kind in {"api", "dev"} else "PROZESS_METRICS_PORT": port}
            with (self.folder / f"{name}.log").open("ab") as log:
                command = [sys.executable, "-m", self._module, kind]
                self._running[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def run(self, *arguments: str) -> None:
        """A command that ends by itself. Raises `NotWell`."""
        ended = subprocess.run(
            [sys.executable, "-m", self._module, *arguments], env=self._environment, capture_output=True, timeout=READY_S, check=False
        )
        if ended.returncode:
            raise NotWell(f"{' '.join(arguments)} ended with {ended.returncode}: {ended.stderr.decode(errors='replace')[-500:]}")

    def pid(self, name: str) -> int:
        """Its process id."""
        return self._running[name].pid

    def runs(self, name: str) -> bool:
        """Whether it is there."""
        return name in self._running and self._running[name].poll() is None

    def by_pid(self, pid: int) -> str:
        """The name of a process; "" where it is gone, or a stranger."""
        return next((name for name, process in self._running.items() if process.pid == pid), "")

    def kill(self, name: str) -> None:
        """As a power cut would."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def tell(self, name: str, which: signal.Signals) -> None:
        """To halt, to go on."""
        self._running[name].send_signal(which)

    def stop(self, name: str) -> int:
        """As an operator would; the exit code."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(END_S)

    def said(self, name: str) -> str:
        """Its log so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def last_words(self, name: str) -> str:
        """The end of its log, in one line: a program that ends by itself says why in its last sentence."""
        return " ".join(self.said(name)[-300:].split())

    def health(self, name: str) -> tuple[int, list[str]]:
        """The status of `/health/ready` and what is missing; 0 where nobody answers."""
        try:
            answer = httpx.get(f"{self.url(name)}/health/ready", timeout=15)
        except httpx.TransportError:
            return 0, []
        missing: list[str] = answer.json()["missing"]
        return answer.status_code, missing

    def wait_ready(self, *names: str) -> None:
        """Until these, or all, are ready. Raises `NotWell`."""
        self.wait_health(200, *names)

    def wait_health(self, status: int, *names: str) -> None:
        """Until these, or all, answer so. Raises `NotWell`, also where one has ended."""
        for name in names or self.names:
            end = time.monotonic() + READY_S
            while (found := self.health(name))[0] != status:
                if not self.runs(name) or time.monotonic() > end:
                    raise NotWell(f"{name} is {found} and should be {status}; its last words: {self.said(name)[-1500:]}")
                time.sleep(0.1)

    def measured(self, name: str, metric: str) -> dict[str, float]:
        """The lines of a metric: its labels as they stand there, and its value."""
        with contextlib.suppress(httpx.TransportError):
            lines = httpx.get(f"{self.url(name)}/metrics", timeout=15).text.splitlines()
            found = (line.removeprefix(metric).rpartition(" ") for line in lines if line.startswith(metric))
            return {labels: float(value) for labels, _, value in found}
        return {}

    def resident_mb(self, names: Iterable[str]) -> dict[str, float]:
        """Memory that the processes hold now."""
        found: dict[str, float] = {}
        for name in names:
            with contextlib.suppress(KeyError, OSError):
                pages = int(Path(f"/proc/{self.pid(name)}/statm").read_text().split()[1])
                found[name] = round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
        return found


def environment(kafka: str, database: str, data: Path, prefix: str, **more: Any) -> dict[str, str]:
    """What programs on these need; models may be on this machine, and be continued by prefill."""
    chosen = {"kafka": kafka, "database": database, "data": data, "topic_prefix": prefix, "durability": "single", **more}
    return {
        "PROZESS_MODEL_CONTINUES": '{"*": "prefill"}',
        "PROZESS_EGRESS_NETWORKS": ",".join(LOOPBACK),
        **{f"PROZESS_{name.upper()}": str(value) for name, value in chosen.items()},
    }
