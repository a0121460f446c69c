"""Three durable steps with Restate: its server, a Python service, and callers over its ingress.

`python restate_work.py RUNS SECONDS SERVER` starts all of it and prints figures; as `restate_work:app` it is the service.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any

restate: Any = import_module("restate")
bench: Any = restate.Service("bench")


def _nothing() -> int:
    return 1


@bench.handler()
async def work(ctx: Any, _: int) -> int:
    """Three of them."""
    return sum([await ctx.run_typed(f"step {number}", _nothing) for number in range(3)])


app: Any = restate.app([bench])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def _process(*command: str, **environment: str) -> Generator[None]:
    started = subprocess.Popen(
        command, cwd=Path(__file__).parent, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        started.terminate()
        started.wait(20)


async def _measure(runs: int, seconds: float, ingress: str, admin: str, uri: str) -> dict[str, Any]:
    httpx: Any = import_module("httpx")
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(timeout=30, limits=limits) as http:
        end = time.monotonic() + 60
        while True:
            try:
                answer = await http.post(f"{admin}/deployments", json={"uri": uri})
                if answer.status_code < 300:
                    break
                problem = answer.text
            except httpx.TransportError as wrong:
                problem = str(wrong)
            if time.monotonic() > end:
                raise SystemExit(f"restate: the service was not registered: {problem}")
            await asyncio.sleep(0.2)

        async def once() -> float:
            began = time.perf_counter()
            answer = await http.post(f"{ingress}/bench/work", json=1)
            if answer.text != "3":
                raise SystemExit(f"restate: {answer.status_code} {answer.text[:200]}")
            return (time.perf_counter() - began) * 1000

        alone = sorted([await once() for _ in range(runs + 20)][20:])
        done, begun = 0, time.perf_counter()

        async def caller() -> None:
            nonlocal done
            while time.perf_counter() < begun + seconds:
                await once()
                done += 1

        await asyncio.gather(*(caller() for _ in range(64)))
        rate = round(done / (time.perf_counter() - begun))
    p50, p99 = round(alone[len(alone) // 2], 2), round(alone[int(len(alone) * 0.99)], 2)
    return {"3 durable steps, p50 ms": p50, "3 durable steps, p99 ms": p99, "64 callers, runs/s": rate}


def main(runs: int, seconds: float, server: str) -> None:
    """Print the figures."""
    ports = [_free_port() for _ in range(4)]
    ingress, admin, node, service = (f"127.0.0.1:{port}" for port in ports)
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "RESTATE_BASE_DIR": folder,
            "RESTATE_INGRESS__BIND_ADDRESS": ingress,
            "RESTATE_ADMIN__BIND_ADDRESS": admin,
            "RESTATE_BIND_ADDRESS": node,
            "RESTATE_ADVERTISED_ADDRESS": f"http://{node}",
        }
        serving = [sys.executable, "-m", "hypercorn", "--bind", service, "restate_work:app"]
        with _process(server, **settings), _process(*serving):
            told = _measure(runs, seconds, f"http://{ingress}", f"http://{admin}", f"http://{service}")
            print(json.dumps(asyncio.run(told)))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
