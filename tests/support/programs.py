"""The programs as processes: started, killed, started again, and asked whether they are ready.

In comes an environment; out go processes of our own, ended by their pid. Waiting is bounded and asks the program itself.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from tenacity import retry, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

READY_S = 60.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Programs:
    """Programs that share an environment. `port` is the api's."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**os.environ, **environment, "PROZESS_PORT": str(self.port)}
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in list(self._running):
            self.kill(name)

    def start(self, *names: str, options: tuple[str, ...] = ()) -> None:
        for name in names:
            with (self._folder / f"{name}.log").open("ab") as log:
                command = [sys.executable, "-m", "services.cli", name, *options]
                self._running[name] = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        """As a power cut would."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> int:
        """As an operator would; the exit code."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(30)

    def wait_ended(self, name: str) -> None:
        """Until a program that ends by itself has ended well."""
        code = self._running.pop(name).wait(60)
        assert code == 0, self.said(name)

    def said(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def wait_ready(self) -> None:
        """Until the api says that it is ready."""
        _until_ready(self.url, self._running)


@retry(
    stop=stop_after_delay(READY_S),
    wait=wait_fixed(0.05),
    retry=retry_if_result(lambda status: status != httpx.codes.OK) | retry_if_exception_type(httpx.TransportError),
    reraise=True,
)
def _until_ready(url: str, running: Mapping[str, subprocess.Popen[bytes]]) -> int:
    for name, process in running.items():
        assert process.poll() is None, f"{name} ended with {process.returncode}"
    return httpx.get(f"{url}/health/ready", timeout=5).status_code
