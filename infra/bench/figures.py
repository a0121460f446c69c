"""What is measured of one log: each function takes the running service and gives its figures by name.

Times are in milliseconds unless the name says otherwise. The callers are this process; what they cost is a figure too.
"""

import asyncio
import contextlib
import os
import time
from typing import Any

import httpx

from infra.bench import flows
from infra.bench.load import Caller, Timed, caller, percentile, together
from infra.bench.service import CHAT, KEY, Service

Figures = dict[str, Any]
STEPS = 3
CALLERS = 64
STREAMS = 50
PACE_HZ = 200
_MB = 1 << 20
_PATIENCE_S = 60


class Asked:
    """One way to ask the service (or the model itself) over and over."""

    def __init__(self, path: str, body: dict[str, Any], token: bytes = b'"content":"t') -> None:
        self._path, self._body, self._token = path, body, token

    async def __call__(self, one: Caller) -> Timed:
        """One request."""
        return await one.post(self._path, self._body, self._token)


def asked_for(flow: str, *, stream: bool = True) -> Asked:
    """A run of a flow."""
    return Asked(CHAT, {"flow_id": flow, "stream": stream, "parameters": {"AGENT_USER_INPUT": "x"}})


def asked_directly(pace: str) -> Asked:
    """The same of the model, without us."""
    return Asked("/v1/chat/completions", {"model": pace, "stream": True})


async def steps(service: Service, flow: str, raw: list[float], runs: int, seconds: float) -> Figures:
    """Runs of sequential effect steps: one caller, then many."""
    call = asked_for(flow)
    await together(service.port, KEY, CALLERS, 0, call, rounds=5)
    await service.rest()
    _, alone = await together(service.port, KEY, 1, 0, call, rounds=runs)
    cpu, own, began = service.running.cpu, _own_cpu(), time.perf_counter()
    rate, crowd = await together(service.port, KEY, CALLERS, seconds, call)
    wall = time.perf_counter() - began
    ours, theirs = service.running.cpu - cpu, _own_cpu() - own
    p50, base = percentile([one.whole for one in alone], 0.5), percentile(raw, 0.5)
    return {
        f"{STEPS} effect steps, p50 ms": p50,
        f"{STEPS} effect steps, p99 ms": percentile([one.whole for one in alone], 0.99),
        f"raw: {STEPS} durable steps, p50 ms": base,
        f"raw: {STEPS} durable steps, p99 ms": percentile(raw, 0.99),
        "p50 over raw p50": round(p50 / base, 1),
        f"{CALLERS} callers, runs/s": round(rate),
        f"{CALLERS} callers, p50 ms": percentile([one.whole for one in crowd], 0.5),
        f"{CALLERS} callers, p99 ms": percentile([one.whole for one in crowd], 0.99),
        "service, CPU ms a run": round(ours / len(crowd) * 1000, 2),
        "service, cores used": round(ours / wall, 2),
        "callers, cores used": round(theirs / wall, 2),
    }


async def first_token(service: Service, model: int, flow: str, pace: str, streams: int, rounds: int) -> Figures:
    """How much later the first token comes through us than from the model, in turns, so that both see the same machine."""
    here, there = list[float](), list[float]()
    await together(service.port, KEY, streams, 0, asked_for(flow), rounds=3)
    await service.rest()
    for _ in range(rounds):
        there += [one.first for one in (await together(model, KEY, streams, 0, asked_directly(pace), rounds=1))[1]]
        here += [one.first for one in (await together(service.port, KEY, streams, 0, asked_for(flow), rounds=1))[1]]
    name = f"first token, {streams} stream{'s' if streams > 1 else ''}"
    return {
        f"raw: {name}, from the model p50 ms": percentile(there, 0.5),
        f"{name}, later p50 ms": round(percentile(here, 0.5) - percentile(there, 0.5), 2),
        f"{name}, later p99 ms": round(percentile(here, 0.99) - percentile(there, 0.99), 2),
    }


async def tokens(service: Service, model: int, flow: str, probe: str, pace: str) -> Figures:
    """Many streams at once: whether they keep the model's pace, and how old the rows are meanwhile."""
    _, direct = await together(model, KEY, STREAMS, 0, asked_directly(pace), rounds=1)
    await service.rest()
    ages = list[float]()
    cpu, own, began = service.running.cpu, _own_cpu(), time.perf_counter()
    probing = asyncio.create_task(_probe(service, probe, ages))
    try:
        _, ours = await together(service.port, KEY, STREAMS, 0, asked_for(flow), rounds=1)
    finally:
        probing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await probing
    wall = time.perf_counter() - began
    spoken = [one.whole - one.first for one in ours]
    meant = [one.whole - one.first for one in direct]
    return {
        f"raw: {STREAMS} streams of {PACE_HZ} tokens/s, tokens/s from the model": round(_rate(direct)),
        f"{STREAMS} streams of {PACE_HZ} tokens/s, tokens/s": round(_rate(ours)),
        "a stream's length over the model's, p50": round(percentile(spoken, 0.5) / percentile(meant, 0.5), 3),
        "a stream's length over the model's, p99": round(percentile(spoken, 0.99) / percentile(meant, 0.99), 3),
        "rows later than the answer under this load, p50 ms": percentile(ages, 0.5) if ages else "none",
        "rows later than the answer under this load, p99 ms": percentile(ages, 0.99) if ages else "none",
        "service under this load, cores used": round((service.running.cpu - cpu) / wall, 2),
        "callers under this load, cores used": round((_own_cpu() - own) / wall, 2),
    }


async def idle(service: Service, waiting: str, count: int) -> Figures:
    """Streams that are open and have nothing to tell: all follow one run whose model is silent."""
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(caller(service.port, KEY))
        run = await first.begin("POST", CHAT, {"flow_id": waiting, "parameters": {"AGENT_USER_INPUT": "x"}})
        before, began = service.running.memory, time.perf_counter()
        line = asyncio.Semaphore(32)

        async def follow() -> None:
            async with line:
                one = await stack.enter_async_context(caller(service.port, KEY))
                await one.begin("GET", f"{CHAT}/{run}")

        await asyncio.gather(*(follow() for _ in range(count)))
        opened, used = time.perf_counter() - began, service.running.memory - before
        cpu, began = service.running.cpu, time.perf_counter()
        await asyncio.sleep(3)
        busy = (service.running.cpu - cpu) / (time.perf_counter() - began)
        alive = (await service.http.get("/health/ready")).status_code == httpx.codes.OK
        await service.http.post(f"/v1/runs/{run}/cancel")
    return {
        "idle streams open in one process": count if alive else 0,
        "idle streams, opened/s": round(count / opened),
        "idle streams, kB each": round(used / count / 1024, 1),
        "service with them, MB": round(service.running.memory / _MB),
        "service with them, cores used": round(busy, 3),
    }


async def _probe(service: Service, flow: str, ages: list[float]) -> None:
    """Runs of effect steps one after another: how long after a run's answer do the rows show its end?"""
    call = asked_for(flow, stream=False)
    position = 0
    while True:
        async with caller(service.port, KEY) as one:
            run = (await call(one)).run
        began = time.perf_counter()
        said: dict[str, Any] = {}
        while said.get("status") != "completed" and time.perf_counter() < began + _PATIENCE_S:
            with contextlib.suppress(httpx.TimeoutException):
                said = (await service.http.get(f"/v1/runs/{run}", params={"min_position": position} if position else {})).json()
        position = position or said.get("position", 0)
        ages.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)


def _rate(streams: list[Timed]) -> float:
    """Tokens a second of all streams together, from the first request to the last token."""
    return sum(one.tokens for one in streams) / max(one.whole for one in streams)


def _own_cpu() -> float:
    times = os.times()
    return times.user + times.system


def answer_flow(model: int, pace: str) -> dict[str, Any]:
    """The document of a chat whose model has this pace."""
    return flows.answer(f"http://127.0.0.1:{model}/v1/chat/completions", pace)
