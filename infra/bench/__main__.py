"""`make bench`: figures of the whole line on both logs, each beside a raw baseline of the same run.

On Apache Kafka twice: all by one command (`prozess dev`), and the three programs as processes of their own.
Prints a table and JSON; `--write` puts the table into `infra/bench/RESULTS.md`. The numbers depend on the machine; the
ratios say more. `--peers dbos,restate` does the same work with those in the same run.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console

from infra.bench import baseline, figures, flows, report
from infra.bench.figures import Figures, answer_flow
from infra.bench.peers import PEERS, measured
from infra.bench.service import Service, free_port, many_files, process, programs, service

PARTS = ("steps", "first", "tokens", "idle", "reading")
QUICK, LONG = "tokens?n=10&first_ms=5&gap_ms=5", "tokens?n=600&first_ms=5&gap_ms=5"
SILENT = "tokens?n=1&first_ms=55000&gap_ms=0"
app = App(help="Measure Prozess on this machine, beside raw baselines.")
console = Console(stderr=True)
_TITLES = {"embedded": "embedded", "kafka": "kafka", "programs": "kafka, 3 programs"}


@app.default
def bench(
    *,
    log: Literal["all", "embedded", "kafka", "programs"] = "all",
    runs: int = 300,
    seconds: float = 8.0,
    idle: int = 5_000,
    only: str = ",".join(PARTS),
    peers: Annotated[str, Parameter(env_var="PEERS")] = "",
    write: bool = False,
    json_only: bool = False,
) -> int:
    """Measure.

    Args:
        log: Which log; `programs`: Kafka with api, processor and projector as three processes.
        runs: Runs in sequence for the latency figures.
        seconds: Length of the throughput measurement.
        idle: Streams to open for the figure of idle ones.
        only: Parts, comma separated: steps, first, tokens, idle, reading.
        peers: Others to measure as well, comma separated: dbos, restate.
        write: Put the figures into `infra/bench/RESULTS.md`.
        json_only: Print JSON alone, no table.
    """
    wrong = [part for part in only.split(",") if part not in PARTS] + [peer for peer in peers.split(",") if peer and peer not in PEERS]
    if wrong:
        console.print(f"There is no {', '.join(wrong)}: the parts are {', '.join(PARTS)}, the peers {', '.join(PEERS)}.")
        return 2
    names = ["embedded", "kafka", "programs"] if log == "all" else [log]
    idle = min(idle, many_files() // 2 - 500)
    results = {_TITLES[name]: asyncio.run(_measure(name, runs, seconds, idle, only.split(","))) for name in names}
    others = {name: figure for peer in peers.split(",") if peer for name, figure in measured(peer, runs, seconds, _say).items()}
    if not json_only:
        report.show(console, results, others)
    if write:
        report.write(results, others, sys.argv[1:])
    print(json.dumps({**results, **({"peers": others} if others else {})}, indent=2))
    return 0


async def _measure(name: str, runs: int, seconds: float, idle: int, only: list[str]) -> Figures:
    found: Figures = {}
    with tempfile.TemporaryDirectory(prefix="prozess-bench-") as folder, contextlib.ExitStack() as stack:
        data = Path(folder)
        _say(f"{name}: starting")
        kafka = "" if name == "embedded" else stack.enter_context(_broker())
        model = free_port()
        stack.enter_context(process("infra.bench.model", str(model)))
        async with programs(data, kafka) if name == "programs" else service(data, kafka) as served:
            parts = _parts(served, model, data, kafka, runs, seconds, idle)
            for part, (told, work) in parts.items():
                if part in only:
                    _say(f"{name}: {told}")
                    found.update(await work())
        if "reading" in only:
            _say(f"{name}: reading everything again")
            found.update(await asyncio.to_thread(_reading, data, kafka))
    return found


def _parts(
    served: Service, model: int, data: Path, kafka: str, runs: int, seconds: float, idle: int
) -> dict[str, tuple[str, Callable[[], Any]]]:
    async def steps() -> Figures:
        if kafka:
            raw = await baseline.kafka_hops(kafka, figures.STEPS, runs)
        else:
            raw = await asyncio.to_thread(baseline.sqlite_commits, data, figures.STEPS, runs)
        return await figures.steps(served, await served.deploy(flows.steps(figures.STEPS)), raw, runs, seconds)

    async def first() -> Figures:
        flow = await served.deploy(answer_flow(model, QUICK))
        one = await figures.first_token(served, model, flow, QUICK, 1, runs)
        return {**one, **await figures.first_token(served, model, flow, QUICK, figures.STREAMS, 20)}

    async def tokens() -> Figures:
        long, probe = await served.deploy(answer_flow(model, LONG)), await served.deploy(flows.steps(figures.STEPS))
        return await figures.tokens(served, model, long, probe, LONG)

    async def silence() -> Figures:
        return await figures.idle(served, await served.deploy(answer_flow(model, SILENT)), idle)

    return {
        "steps": (f"{figures.STEPS} effect steps, one caller and {figures.CALLERS}", steps),
        "first": (f"first tokens, 1 stream and {figures.STREAMS}", first),
        "tokens": (f"{figures.STREAMS} streams of {figures.PACE_HZ} tokens/s, and the rows meanwhile", tokens),
        "idle": (f"{idle} idle streams", silence),
    }


def _reading(data: Path, kafka: str) -> Figures:
    arguments = [sys.executable, "-m", "infra.bench.reading", str(data), *([kafka] if kafka else [])]
    found: Figures = json.loads(subprocess.run(arguments, stdout=subprocess.PIPE, check=True).stdout)
    return {f"reading again: {name}": value for name, value in found.items()}


@contextlib.contextmanager
def _broker() -> Generator[str]:
    from infra.kafka.broker import running

    with running() as broker:
        yield broker.address


def _say(what: str) -> None:
    console.print(f"[dim]{what} …[/] (load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    sys.exit(app())
