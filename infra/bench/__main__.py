"""`make bench`: figures of the whole line on both logs, each beside a raw baseline of the same run.

Prints a table, and JSON with `--json`. The numbers depend on the machine; the ratios say more.
"""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
from cyclopts import App
from rich.console import Console
from rich.progress import track
from rich.table import Table

from infra.bench import baseline, flows, load

KEY = "demo-key:demo-secret"
STEPS = 3
PACE = "tokens?n=50&first_ms=5&gap_ms=5"
app = App(help="Measure Prozess on this machine, beside raw baselines.")
console = Console(stderr=True)


@app.default
def bench(*, log: str = "both", runs: int = 300, seconds: float = 5.0, json_only: bool = False) -> None:
    """Measure.

    Args:
        log: `embedded`, `kafka` or `both`.
        runs: Runs in sequence for the latency figures.
        seconds: Length of the throughput measurement.
        json_only: Print JSON alone, no table.
    """
    names = ["embedded", "kafka"] if log == "both" else [log]
    results = {name: asyncio.run(_measure(name, runs, seconds)) for name in names}
    if not json_only:
        _table(results)
    print(json.dumps(results, indent=2))


async def _measure(name: str, runs: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="prozess-bench-") as folder, contextlib.ExitStack() as stack:
        data = Path(folder)
        kafka = stack.enter_context(_broker()) if name == "kafka" else ""
        model = _free_port()
        stack.enter_context(_process("infra.bench.model", str(model)))
        port = _free_port()
        options = ["dev", "--port", str(port), "--data", str(data), *(["--kafka", kafka] if kafka else [])]
        stack.enter_context(_process("infra.bench.server", *options))
        async with _service(port) as service:
            steps = await _deploy(service, flows.steps(STEPS))
            answer = await _deploy(service, flows.answer(f"http://127.0.0.1:{model}/v1/chat/completions", PACE))
            if kafka:
                raw = await baseline.kafka_hops(kafka, STEPS, runs)
            else:
                raw = await asyncio.to_thread(baseline.sqlite_commits, data, STEPS, runs)
            return {**_steps(raw, *await _run_steps(port, steps, runs, seconds)), **await _first_token(port, model, answer, runs // 6)}


async def _run_steps(port: int, flow: str, runs: int, seconds: float) -> tuple[list[float], float, list[float]]:
    def call() -> Any:
        return load.post(port, "/workflow/v1/chat/completions", {"flow_id": flow, "parameters": {"AGENT_USER_INPUT": "x"}}, KEY)

    await load.repeated(30, call)
    alone = [(await call()).whole for _ in track(range(runs), description=f"{STEPS} steps, one caller", console=console)]
    rate, together = await load.callers(64, seconds, call)
    return alone, rate, [one.whole for one in together]


def _steps(raw: list[float], alone: list[float], rate: float, together: list[float]) -> dict[str, Any]:
    p50 = load.percentile(alone, 0.5)
    base = load.percentile(raw, 0.5)
    return {
        f"run of {STEPS} effect steps p50 ms": p50,
        f"run of {STEPS} effect steps p99 ms": load.percentile(alone, 0.99),
        f"raw {STEPS} durable steps p50 ms": base,
        f"raw {STEPS} durable steps p99 ms": load.percentile(raw, 0.99),
        "ratio to raw, p50": round(p50 / base, 2),
        "64 callers runs/s": round(rate),
        "64 callers p50 ms": load.percentile(together, 0.5),
        "64 callers p99 ms": load.percentile(together, 0.99),
    }


async def _first_token(port: int, model: int, flow: str, runs: int) -> dict[str, Any]:
    asked = {"model": PACE, "stream": True}
    direct = await load.repeated(runs, lambda: load.post(model, "/v1/chat/completions", asked, KEY, b'"content": "t'))
    body = {"flow_id": flow, "parameters": {"AGENT_USER_INPUT": "x"}}
    ours = await load.repeated(runs, lambda: load.post(port, "/workflow/v1/chat/completions", body, KEY))
    there, here = [one.first for one in direct], [one.first for one in ours]
    return {
        "first token direct p50 ms": load.percentile(there, 0.5),
        "first token through us p50 ms": load.percentile(here, 0.5),
        "first token later p50 ms": round(load.percentile(here, 0.5) - load.percentile(there, 0.5), 2),
        "first token later p99 ms": round(load.percentile(here, 0.99) - load.percentile(there, 0.99), 2),
    }


async def _deploy(service: httpx.AsyncClient, document: dict[str, Any]) -> str:
    async def call(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = (await service.post(path, json=body)).json()
        if answer["code"]:
            raise RuntimeError(f"{path}: {answer['message']}")
        return answer

    added = await call("/workflow/v1/protocol/add", {"name": "bench", "app_id": "demo", "status": 0, "data": document})
    flow: str = added["data"]["flow_id"]
    await call("/workflow/v1/publish", {"flow_id": flow, "release_status": 1, "plat": 1})
    await call("/workflow/v1/auth", {"flow_id": flow, "app_id": "demo"})
    return flow


@contextlib.asynccontextmanager
async def _service(port: int) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as service:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                if (await service.get("/v1/runs")).status_code == httpx.codes.OK:
                    break
            await asyncio.sleep(0.1)
        else:
            raise RuntimeError("the service was not ready within 60 s")
        yield service


@contextlib.contextmanager
def _process(module: str, *arguments: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _broker() -> Iterator[str]:
    from infra.kafka.broker import running

    with running() as broker:
        yield broker.address


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _table(results: dict[str, dict[str, Any]]) -> None:
    table = Table("figure", *results)
    for figure in dict.fromkeys(figure for result in results.values() for figure in result):
        table.add_row(figure, *(str(result.get(figure, "")) for result in results.values()))
    console.print(table)


if __name__ == "__main__":
    app()
