"""The service under the bench as processes: started, asked, watched from outside.

In goes a log; out comes a running `prozess dev` (with the bench's own node kind), or api, processor and projector as three
programs, and what the system says of their processor time and memory.
"""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx

from services.dev import demo
from services.kit.assemble import open_world
from services.kit.settings import LOOPBACK, PREFIX, Settings

PROGRAMS = ("api", "processor", "projector")
KEY = "demo-key:demo-secret"
CHAT = "/workflow/v1/chat/completions"
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_READY_S = 90
_LOOK_S = 0.4
_RESTING = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A process of ours, by its id, and others that belong to it."""

    pid: int
    others: tuple[int, ...] = ()

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, of them and of their children."""
        return sum(_cpu(pid) for pid in self._family())

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in self._family())

    def _family(self) -> list[int]:
        return [one for pid in (self.pid, *self.others) for one in (pid, *_children(pid))]


@dataclass(frozen=True, slots=True)
class Service:
    """What listens at a port, with HTTP at hand."""

    port: int
    running: Running
    http: httpx.AsyncClient

    async def deploy(self, document: dict[str, Any]) -> str:
        """Draft, publish and bind a flow; its id."""
        added = await self._call("/workflow/v1/protocol/add", {"name": "bench", "app_id": "demo", "status": 0, "data": document})
        flow: str = added["data"]["flow_id"]
        await self._call("/workflow/v1/publish", {"flow_id": flow, "release_status": 1, "plat": 1})
        await self._call("/workflow/v1/auth", {"flow_id": flow, "app_id": "demo"})
        return flow

    async def rest(self) -> None:
        """Until nothing is left to do of what was asked before, rows included: it uses less than a twentieth of a core."""
        with anyio.fail_after(_READY_S):
            used, before = 1.0, self.running.cpu
            while used > _RESTING:
                await anyio.sleep(_LOOK_S)
                used, before = (self.running.cpu - before) / _LOOK_S, self.running.cpu

    async def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = (await self.http.post(path, json=body)).json()
        if answer["code"]:
            raise RuntimeError(f"{path}: {answer['message']}")
        return answer


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


def _cpu(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / _TICK


def many_files() -> int:
    """As many open files as this user may have, for us and what we start; how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def process(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Generator[Running]:
    """A module of this environment as a process of its own, stopped at the end."""
    started = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.DEVNULL, env=env)
    try:
        yield Running(started.pid)
    finally:
        started.terminate()
        try:
            started.wait(40)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextlib.asynccontextmanager
async def service(data: Path, kafka: str) -> AsyncGenerator[Service]:
    """`prozess dev`, ready."""
    port = free_port()
    options = ["dev", "--port", str(port), "--data", str(data), *(["--kafka", kafka] if kafka else [])]
    with process("infra.bench.server", *options) as running:
        async with _ready(port, running) as ready:
            yield ready


@contextlib.asynccontextmanager
async def programs(data: Path, kafka: str) -> AsyncGenerator[Service]:
    """Api, processor and projector as they are meant to be run, one of each, ready. Rows are SQLite in the folder, as in `service`."""
    environment = {
        "PROZESS_KAFKA": kafka,
        "PROZESS_DATA": str(data),
        "PROZESS_DURABILITY": "single",
        "PROZESS_EGRESS_NETWORKS": ",".join(LOOPBACK),
        "PROZESS_LOG_LEVEL": "warning",
        "PROZESS_PORT": str(free_port()),
    }
    surrounding = {**os.environ, **environment}
    settings = Settings.model_validate({name.removeprefix(PREFIX).lower(): value for name, value in environment.items()})
    await anyio.run_process([sys.executable, "-m", "infra.bench.server", "migrate"], env=surrounding)
    with contextlib.ExitStack() as stack:
        api, *others = [stack.enter_context(process("infra.bench.server", name, env=surrounding)) for name in PROGRAMS]
        async with open_world(settings) as world:
            await demo.settle(world)
        async with _ready(settings.port, Running(api.pid, tuple(one.pid for one in others))) as ready:
            yield ready


@contextlib.asynccontextmanager
async def _ready(port: int, running: Running) -> AsyncGenerator[Service]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http:
        end = time.monotonic() + _READY_S
        while time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/v1/runs")).status_code == httpx.codes.OK:
                    break
            await anyio.sleep(0.1)
        else:
            raise RuntimeError(f"the service was not ready within {_READY_S} s")
        yield Service(port, running, http)
