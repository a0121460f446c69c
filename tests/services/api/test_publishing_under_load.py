"""Saves and publishes while many call: every answer is from a version that was published at that moment, and time goes one way.

A call and a publish take a while. An answer is right if its version was in force at some instant of the call: its publish had begun
before the call ended, and the next one had not been answered before the call began. And no call that began after another had ended
is answered by an older version. `PROZESS_FULL_PUBLISHES=1` plays 1,000 rounds.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.services.api.conftest import House, W, bearer
from tests.support.flows import at, end, flow, start

ROUNDS, PATIENCE_S = (1_000, 3_000) if os.environ.get("PROZESS_FULL_PUBLISHES") else (20, 120)
CLIENTS, CALLS = 50, 5
"""So many of the clients call anew whenever something is saved or published; the others still wait for their answers, or think."""
pytestmark = pytest.mark.timeout(PATIENCE_S + 30)


@dataclass(frozen=True)
class Call:
    """When it was asked and answered, and the version that answered."""

    began: float
    ended: float
    version: int


@dataclass(frozen=True)
class Publish:
    """When it was asked and answered."""

    began: float
    ended: float


def saying(text: str) -> dict[str, Any]:
    return flow(start(AGENT_USER_INPUT="string"), end(text, x=at("start.AGENT_USER_INPUT")), edges="start > end")


def wrong(calls: list[Call], published: list[Publish]) -> list[str]:
    """What no register with these writes could have answered."""
    found: list[str] = []
    newest, ended = 0, iter(sorted(calls, key=lambda call: call.ended))
    before = next(ended, None)
    for call in sorted(calls, key=lambda call: call.began):
        while before is not None and before.ended < call.began:
            newest, before = max(newest, before.version), next(ended, None)
        if published[call.version].began > call.ended:
            found.append(f"{call} came before its version")
        if call.version + 1 < len(published) and published[call.version + 1].ended < call.began:
            found.append(f"{call} is of a version that had been replaced")
        if call.version < newest:
            found.append(f"{call} came after one of version {newest}")
    return found


@pytest.mark.parametrize("versioned", [False, True])
async def test_every_answer_is_from_a_version_that_was_published_at_that_moment(house: House, tell: Callable[[str], None], versioned: bool):
    now = asyncio.get_running_loop().time
    flow_id = await house.deploy(saying("0"), version="v1.0" if versioned else "")
    published, calls, done = [Publish(now(), now())], list[Call](), asyncio.Event()
    turns = asyncio.Semaphore(CLIENTS)

    def more() -> None:
        for _ in range(CALLS):
            turns.release()

    body = {"flow_id": flow_id, "parameters": {"AGENT_USER_INPUT": "x"}, "stream": False}

    async def publisher() -> None:
        for number in range(1, ROUNDS + 1):
            more()
            await house.good(f"{W}/protocol/update/{flow_id}", {"data": saying(str(number))})
            more()
            began = now()
            published.append(Publish(began, float("inf")))
            release = {"flow_id": flow_id, "release_status": 1, "plat": 1, "version": f"v1.{number}" if versioned else ""}
            await house.good(f"{W}/publish", release)
            published[number] = Publish(began, now())
        done.set()
        for _ in range(CLIENTS):
            turns.release()

    async def client(http: httpx.AsyncClient) -> None:
        while await turns.acquire() and not done.is_set():
            began = now()
            answer = (await http.post(f"{W}/chat/completions", json=body)).json()
            calls.append(Call(began, now(), int(answer["choices"][0]["delta"]["content"])))

    limits = httpx.Limits(max_connections=None, keepalive_expiry=2)
    async with (
        httpx.AsyncClient(base_url=house.http.base_url, headers=bearer("demo"), timeout=60, limits=limits, trust_env=False) as http,
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(publisher())
        for _ in range(CLIENTS):
            group.create_task(client(http))
    tell(
        f"{len(calls)} calls of {CLIENTS} clients during {ROUNDS} saves and publishes, of {len({call.version for call in calls})} versions"
    )
    assert len(calls) >= CLIENTS
    assert wrong(calls, published) == []


def test_an_answer_too_early_too_late_or_against_time_is_wrong():
    published = [Publish(0, 1), Publish(10, 12), Publish(20, 22)]
    assert wrong([Call(2, 3, 0), Call(9, 11, 1), Call(9, 11, 0), Call(11, 21, 2), Call(13, 14, 1)], published) == []
    for call in (Call(2, 3, 1), Call(13, 14, 0), Call(30, 31, 1)):
        assert len(wrong([call], published)) == 1
    assert len(wrong([Call(10, 11, 1), Call(11.5, 13, 0)], published)) == 1
