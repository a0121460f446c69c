"""Each program as a process of its own: it refuses a schema that does not fit, tells its health, drains, and can be hurried."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from services.cli import main
from services.kit.program.serving import listen
from services.kit.settings import Settings, variable

PATIENCE_S = 50
STUBBORN = """
import asyncio
from services.kit.program.frame import stoppable
async def run():
    async with stoppable() as stop:
        print("running", flush=True)
        await stop.wait()
        print("draining", flush=True)
        await asyncio.Event().wait()
asyncio.run(run())
"""


@asynccontextmanager
async def started(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    ours = {"PORT", *map(variable, Settings.model_fields)}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**clean, **environment}
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()


@pytest.mark.parametrize("program", ["api", "processor", "projector"])
async def test_an_older_schema_stops_it_with_a_sentence(tmp_path: Path, program: str):
    async with started("-m", f"services.{program}", PROZESS_DATA=str(tmp_path)) as process:
        printed = (await process.communicate())[0].decode()

    assert process.returncode == 2
    assert "run `prozess migrate`" in printed
    assert printed.count("\n") == 1


async def test_a_program_tells_its_health_while_it_runs_and_exits_0_when_asked_to_stop(tmp_path: Path):
    assert await asyncio.to_thread(main, ["migrate", "--data", str(tmp_path)]) == 0
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    again = AsyncRetrying(retry=retry_if_exception_type(httpx.TransportError), wait=wait_fixed(0.02), stop=stop_after_delay(PATIENCE_S))

    async with started("-m", "services.cli", "projector", "--data", str(tmp_path), "--metrics-port", str(port)) as process:
        assert '"event": "running"' in await line(process)
        async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
            ready = await again(client.get, "/health/ready")
            measured = await client.get("/metrics")
        process.send_signal(signal.SIGTERM)
        printed = (await process.communicate())[0].decode()

    assert ready.json() == {"status": "UP", "service": "projector", "missing": []}
    assert "prozess_projector_lag_events" in measured.text
    assert '"event": "stopped"' in printed
    assert process.returncode == 0


async def test_a_second_signal_ends_it_at_once():
    async with started("-c", STUBBORN) as process:
        assert await line(process) == "running\n"
        process.send_signal(signal.SIGINT)
        assert await line(process) == "draining\n"
        process.send_signal(signal.SIGINT)
        await process.wait()

    assert process.returncode == 128 + signal.SIGINT
