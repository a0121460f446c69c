"""Three durable steps with DBOS, in process: `python dbos_work.py RUNS SECONDS [POSTGRES_URL]` (SQLite without one)."""

import asyncio
import json
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

dbos: Any = import_module("dbos")
DBOS: Any = dbos.DBOS


@DBOS.step()
async def nothing(number: int) -> int:
    """An effect that does nothing."""
    return number


@DBOS.workflow()
async def work() -> int:
    """Three of them."""
    return await nothing(1) + await nothing(2) + await nothing(3)


async def _measure(runs: int, seconds: float) -> dict[str, Any]:
    alone: list[float] = []
    for number in range(runs + 20):
        began = time.perf_counter()
        await work()
        if number >= 20:
            alone.append((time.perf_counter() - began) * 1000)
    alone.sort()
    done, begun = 0, time.perf_counter()

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < begun + seconds:
            await work()
            done += 1

    await asyncio.gather(*(caller() for _ in range(64)))
    rate = round(done / (time.perf_counter() - begun))
    p50, p99 = round(alone[len(alone) // 2], 2), round(alone[int(len(alone) * 0.99)], 2)
    return {"3 durable steps, p50 ms": p50, "3 durable steps, p99 ms": p99, "64 callers, runs/s": rate}


def main(runs: int, seconds: float, url: str) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        where = url or f"sqlite:///{Path(folder) / 'dbos.sqlite'}"
        DBOS(config={"name": "bench", "system_database_url": where, "log_level": "ERROR", "run_admin_server": False})
        DBOS.launch()
        print(json.dumps(asyncio.run(_measure(runs, seconds))))
        DBOS.destroy()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
