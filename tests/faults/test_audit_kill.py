"""The process is killed while a verdict is out: the next one asks again, and until then nobody sees a word."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from infra.bench.fleet import Fleet, environment
from infra.bench.reader import Reader
from services.dev import demo
from services.kit.ids import new_id
from tests.support.audit_server import AuditServer
from tests.support.fleets import answering, clients, events_of, found, published
from tests.support.model_server import ModelServer, model

pytestmark = pytest.mark.timeout(200)
DEV = "dev-1"


@pytest.fixture
async def audits() -> AsyncIterator[AuditServer]:
    server = AuditServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def fleet(audits: AuditServer, tmp_path: Path) -> Iterator[Fleet]:
    account = {name: value for name, value in audits.environment.items() if name.isupper()}
    known = {**environment("", "", tmp_path, "", partitions=2, audit="iflytek", audit_limit_s=30), **account}
    with Fleet(known, tmp_path, [DEV]) as fleet:
        fleet.start()
        yield fleet


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    await asyncio.to_thread(fleet.wait_ready)
    async with clients(fleet.urls[0]) as client:

        async def settled() -> bool:
            return (await client.get("/v1/runs")).status_code == httpx.codes.OK

        await found("demo app", settled)
        yield client


async def test_a_verdict_that_was_out_when_the_process_died_is_asked_for_again(
    client: httpx.AsyncClient, fleet: Fleet, audits: AuditServer, model_server: ModelServer
) -> None:
    flow = await published(client, answering(model_server, model("say", text="All is well.", prefill=1)))
    assert (await client.patch(f"/v1/apps/{demo.APP}", json={"audit_policy": 1})).is_success
    reader = Reader(client, fleet.urls)
    reading = asyncio.create_task(reader.whole(flow, new_id()))

    async def judging() -> bool:
        return bool(audits.told("output"))

    await asyncio.wait_for(audits.arrived.wait(), 30)
    audits.held = asyncio.Event()
    await found("sentence at the provider", judging)
    await asyncio.to_thread(fleet.kill, DEV)
    assert reader.text == ""
    before = len(audits.calls)
    fleet.start(DEV)

    async def again() -> bool:
        return len(audits.calls) > before

    await found("second question to the provider", again)
    audits.held.set()
    await reading
    assert reader.text == "All is well."
    types = [event["type"] for event in await events_of(client, reader.run)]
    assert types.count("run.completed") == 1
    assert types.index("audit.judged") < types.index("output.released")
