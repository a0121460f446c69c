"""The broker and the database go and come back under the programs: everybody waits, says for what, and goes on by himself.

What must hold: readiness turns red and green again, nothing acknowledged is lost, an answer that was streaming is whole, and
no program was started again. A minute without a broker takes PROZESS_FULL_FAULTS=1; without it the test is content with less.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from infra.bench.fleet import Fleet
from infra.bench.reader import Reader
from infra.kafka import broker as local
from infra.kafka.broker import LocalBroker
from services.kit.ids import new_id
from tests.support import postgres
from tests.support.broker import give_up
from tests.support.fleets import ONE_OF_EACH, answering, clients, events_of, found, on_kafka, published, said
from tests.support.model_server import ModelServer, model
from tests.support.postgres import OwnServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(600)]
GONE_S = 60 if os.environ.get("PROZESS_FULL_FAULTS") else 5
WORDS = [f"w{index} " for index in range(1, 41)]
TEXT = "".join(WORDS)


@pytest.fixture(scope="module")
def broker() -> Iterator[LocalBroker]:
    if reason := local.missing():
        give_up(f"Apache Kafka of one's own: {reason}", os.environ)
    with local.running() as broker:
        yield broker


@pytest.fixture(scope="module")
def database() -> Iterator[OwnServer]:
    with postgres.own_server() as server:
        yield server


@pytest.fixture(scope="module")
def fleet(broker: LocalBroker, database: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with on_kafka(ONE_OF_EACH, broker.address, database.url, tmp_path_factory.mktemp("fleet"), partitions=2) as fleet:
        yield fleet


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    before = {name: fleet.pid(name) for name in fleet.names}
    await asyncio.to_thread(fleet.wait_ready)
    async with clients(fleet.urls[0]) as client:
        yield client
    assert {name: fleet.pid(name) for name in fleet.names if fleet.runs(name)} == before, "somebody had to be started again"


async def begun(client: httpx.AsyncClient, fleet: Fleet, server: ModelServer, key: str) -> tuple[str, Reader, asyncio.Task[None]]:
    """A flow, and a reader that has read five words of it and reads on; the model holds the others back."""
    flow = await published(client, answering(server, model("say", text=TEXT, hold=1, prefill=1, key=key)))
    reader = Reader(client, fleet.urls)
    server.release(key, 5)
    reading = asyncio.create_task(reader.whole(flow, key))

    async def streaming() -> bool:
        return len(reader.words) == 5

    await found("five words", streaming)
    return flow, reader, reading


async def assert_whole(client: httpx.AsyncClient, *readers: Reader) -> None:
    for reader in readers:
        assert reader.text == TEXT
        assert reader.ended is not None
        assert reader.ended["code"] == 0
        events = await events_of(client, reader.run)
        assert said(events) == TEXT
        assert [event["type"] for event in events].count("run.completed") == 1


async def assert_all_miss(fleet: Fleet, part: str) -> None:
    """Every program is red, and says in its log what it waits for."""
    for name in fleet.names:
        await asyncio.to_thread(fleet.wait_health, 503, name)

        async def told(name: str = name) -> bool:
            newest = fleet.said(name).rpartition('"event": "going_on"')[2]
            return f'"waits_for": ["{part}"]' in newest

        await found(f"word of {name} that it waits for the {part}", told)


async def assert_all_go_on(fleet: Fleet) -> None:
    await asyncio.to_thread(fleet.wait_ready)
    for name in fleet.names:

        async def told(name: str = name) -> bool:
            return '"event": "going_on"' in fleet.said(name).rpartition('"event": "waiting"')[2]

        await found(f"word of {name} that it goes on", told)


async def test_an_answer_streams_on_while_the_database_is_gone_and_the_rows_have_it_afterwards(
    client: httpx.AsyncClient, fleet: Fleet, database: OwnServer, model_server: ModelServer
) -> None:
    key = new_id()
    flow, reader, reading = await begun(client, fleet, model_server, key)
    await asyncio.to_thread(database.stop)
    try:
        await assert_all_miss(fleet, "database")
        refused = await client.post("/workflow/v1/chat/completions", json={"flow_id": flow, "parameters": {"AGENT_USER_INPUT": "x"}})
        assert refused.json()["code"] != 0
        model_server.release(key, len(WORDS))
        await reading
    finally:
        await asyncio.to_thread(database.start)
    await assert_all_go_on(fleet)
    await assert_whole(client, reader)
    row = (await client.get(f"/v1/runs/{reader.run}", params={"min_position": reader.seq})).json()
    assert row["status"] == "completed"


async def test_streams_go_on_where_they_were_after_a_restart_of_the_broker(
    client: httpx.AsyncClient, fleet: Fleet, broker: LocalBroker, model_server: ModelServer
) -> None:
    flow = await published(client, answering(model_server, model("say", text=TEXT, gap_ms=100, prefill=1)))
    readers = [Reader(client, fleet.urls) for _ in range(10)]
    reading = [asyncio.create_task(reader.whole(flow, new_id())) for reader in readers]

    async def streaming() -> bool:
        return all(len(reader.words) >= 3 for reader in readers)

    await found("three words of each stream", streaming)
    await asyncio.to_thread(broker.stop, signal.SIGKILL)
    await asyncio.to_thread(broker.start)
    await asyncio.gather(*reading)
    await assert_whole(client, *readers)


async def test_a_broker_that_is_gone_is_waited_for_and_every_accepted_run_ends(
    client: httpx.AsyncClient, fleet: Fleet, broker: LocalBroker, model_server: ModelServer
) -> None:
    key = new_id()
    flow, reader, reading = await begun(client, fleet, model_server, key)
    await asyncio.to_thread(broker.stop, signal.SIGKILL)
    patient = Reader(client, fleet.urls)
    try:
        await assert_all_miss(fleet, "log")
        asking = asyncio.create_task(patient.whole(flow, new_id()))
        await asyncio.sleep(GONE_S)
    finally:
        await asyncio.to_thread(broker.start)
    model_server.release(key, 20 * len(WORDS))
    await assert_all_go_on(fleet)
    await asyncio.gather(reading, asking)
    await assert_whole(client, reader, patient)
