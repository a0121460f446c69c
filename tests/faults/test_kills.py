"""Two of each program on a real broker: each kind is killed, paused, or restarted in good order, while answers stream.

What must hold: who comes back with the last position ends up with the text of the run, nothing missing and nothing twice;
history and audit tell the same. Pauses are printed, never judged: they depend on the machine. `PROZESS_FULL_FAULTS=1` plays
the long version: 400 runs, and a processor that is paused for 30 s.
"""

import asyncio
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from infra.bench.fleet import Fleet
from infra.bench.reader import Reader
from services.dev import demo
from services.kit.ids import new_id
from tests.support import postgres
from tests.support.asking import then_a_model
from tests.support.examples import TOOL, order_desk, price_list, tea_adviser
from tests.support.fleets import TWO_OF_EACH, Record, answering, attempts, clients, events_of, found, on_kafka, published, said, settings_of
from tests.support.model_server import ModelServer, model
from tests.support.tool_server import Asked, tool_server

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(400)]
WORDS = [f"w{index} " for index in range(1, 41)]
TEXT = "".join(WORDS)
PARTITIONS = 8
RUNS, PAUSE_S = (400, 30) if os.environ.get("PROZESS_FULL_FAULTS") else (120, 8)


@pytest.fixture(scope="module")
def fleet(kafka: str, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    more = {"partitions": PARTITIONS, "egress_networks": "127.0.0.0/8"}
    with postgres.database(postgres_server) as database, on_kafka(TWO_OF_EACH, kafka, database, folder, **more) as fleet:
        yield fleet


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    await asyncio.to_thread(fleet.wait_ready)
    await found("a share of the partitions for each processor", lambda: shared(fleet))
    async with clients(fleet.urls[0]) as client:
        yield client


async def shared(fleet: Fleet) -> bool:
    """Whether the processors have settled who owns what: one that was started again takes its share a while after it is ready."""
    metrics = [await asyncio.to_thread(fleet.measured, name, "prozess_partitions_owned") for name in fleet.of("processor")]
    owned = [sum(one.values()) for one in metrics]
    return min(owned) > 0 and sum(owned) == PARTITIONS


@pytest.fixture
def record(fleet: Fleet) -> Record:
    return Record(settings_of(fleet.environment))


async def begun(client: httpx.AsyncClient, fleet: Fleet, server: ModelServer, key: str, *, chat: str = "") -> Reader:
    """A reader on the first api that has read five words; the model holds the others back."""
    flow = await published(client, answering(server, model("say", text=TEXT, hold=1, prefill=1, key=key)))
    reader = Reader(client, fleet.urls)
    server.release(key, 5)
    await reader.ask(flow, until=5, chat=chat)
    return reader


async def killed_and_started_again(fleet: Fleet, name: str) -> int:
    """As a supervisor does; the process id that is gone."""
    pid = fleet.pid(name)
    await asyncio.to_thread(fleet.kill, name)
    fleet.start(name)
    return pid


async def assert_the_record_tells(client: httpx.AsyncClient, reader: Reader) -> list[dict[str, Any]]:
    """The run's events; history and audit agree with them."""
    assert reader.text == TEXT
    assert reader.ended is not None
    assert reader.ended["code"] == 0
    events = await events_of(client, reader.run)
    assert said(events) == TEXT
    assert [event["type"] for event in events].count("run.completed") == 1
    row = (await client.get(f"/v1/runs/{reader.run}", params={"min_position": len(events)})).json()
    assert row["status"] == "completed"
    audit = (await client.get("/v1/audit/events", params={"event_id": reader.run, "app": demo.APP})).json()["events"]
    told = [event["type"] for event in reversed(audit)]
    assert told == [event["type"] for event in events if event["type"] != "node.delta"]
    return events


async def test_the_owner_is_killed_and_the_other_processor_goes_on_in_a_second_attempt(
    client: httpx.AsyncClient, fleet: Fleet, record: Record, model_server: ModelServer
) -> None:
    key = new_id()
    reader = await begun(client, fleet, model_server, key)
    owner = await record.owner(fleet, reader.run)
    killed = await killed_and_started_again(fleet, owner)
    await asyncio.to_thread(model_server.wait_aborted, key)
    model_server.release(key, len(WORDS))
    await reader.come_back()
    events = await assert_the_record_tells(client, reader)
    assert attempts(events) == [1, 2]
    owners = await record.owners(reader.run)
    assert killed in owners
    assert killed != owners[-1], "the audit does not say that somebody else took over"


async def test_the_api_is_killed_and_the_reader_comes_back_to_the_other_one(
    client: httpx.AsyncClient, fleet: Fleet, model_server: ModelServer
) -> None:
    key = new_id()
    reader = await begun(client, fleet, model_server, key)
    await killed_and_started_again(fleet, "api-1")
    model_server.release(key, len(WORDS))
    await reader.come_back()
    async with clients(fleet.url("api-2")) as other:
        events = await assert_the_record_tells(other, reader)
    assert attempts(events) == [1]


async def test_the_projector_of_the_partition_is_killed_and_the_other_one_tells_the_whole_story(
    client: httpx.AsyncClient, fleet: Fleet, record: Record, model_server: ModelServer
) -> None:
    key = new_id()
    reader = await begun(client, fleet, model_server, key, chat=key)
    label = f'{{partition="{record.partition(reader.run)}"}}'

    async def holding() -> str:
        lags = {name: await asyncio.to_thread(fleet.measured, name, "prozess_projector_lag_events") for name in fleet.of("projector")}
        return next((name for name, lag in lags.items() if label in lag), "")

    await killed_and_started_again(fleet, await found("projector of the partition", holding))
    model_server.release(key, len(WORDS))
    await reader.come_back()

    async def completed() -> bool:
        return (await client.get(f"/v1/runs/{reader.run}")).json().get("status") == "completed"

    await found("end of the run in the rows", completed)
    events = await assert_the_record_tells(client, reader)
    assert attempts(events) == [1]
    messages = (await client.get(f"/v1/chats/{key}/messages")).json()["messages"]
    assert [(one["role"], one["content"]) for one in messages] == [("user", "go"), ("assistant", TEXT)]


async def test_a_question_outlives_owners_and_apis_and_of_two_answers_through_two_apis_one_is_taken(
    client: httpx.AsyncClient, fleet: Fleet, model_server: ModelServer
) -> None:
    key = new_id()
    name = model("say", text="Fine, tea.", hold=1, key=key)
    account = {"model": name, "domain": name, "url": model_server.url, "apiKey": "any"}
    flow = await published(client, then_a_model(account, timeout=60))
    body = {"flow_id": flow, "uid": "u-1", "chat_id": key, "parameters": {"AGENT_USER_INPUT": "go"}}
    asked = (await client.post("/workflow/v1/chat/completions", json=body)).text
    assert '"finish_reason":"interrupt"' in asked
    gone = [*fleet.of("processor"), *fleet.of("api")]
    for program in gone:
        await asyncio.to_thread(fleet.kill, program)
    fleet.start(*gone)
    await asyncio.to_thread(fleet.wait_ready)
    async with clients(fleet.url("api-1")) as one, clients(fleet.url("api-2")) as other:
        (pending,) = (await other.get(f"/v1/chats/{key}/pending")).json()["pending"]
        run = pending["event_id"]

        async def answer(through: httpx.AsyncClient, said: str) -> str:
            return (await through.post("/workflow/v1/resume", json={"event_id": run, "content": said})).text

        racing = {asyncio.create_task(answer(through, f"tea {number}")) for number, through in enumerate((one, other))}
        (loser,), (winner,) = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
        assert '"code":23901' in loser.result()
        model_server.release(key, 2)
        frames = [json.loads(line[6:]) for line in (await winner).splitlines() if line]
        assert "".join(frame["choices"][0]["delta"]["content"] for frame in frames) == "Fine, tea."
        assert (frames[0]["workflow_step"]["seq"], frames[-1]["choices"][0]["finish_reason"]) == (1, "stop")
        again = await one.get(f"/workflow/v1/chat/completions/{run}", headers={"Last-Event-ID": "1.0"})
        assert again.text == asked
        assert '"code":23900' in await answer(other, "too late")
        events = await events_of(one, run)
    assert [event["type"] for event in events if event["type"].startswith("question.")] == ["question.asked", "question.answered"]


async def frames_of(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    text = (await client.post(f"/workflow/v1/{path}", json=body)).text
    found = [json.loads(line[6:]) for line in text.splitlines() if line]
    return [frame for frame in found if frame["choices"][0].get("finish_reason") != "ping"]


def shown(frames: list[dict[str, Any]]) -> str:
    return "".join(frame["choices"][0]["delta"]["content"] for frame in frames)


async def test_both_example_flows_of_the_specification_run_whole(
    client: httpx.AsyncClient, fleet: Fleet, model_server: ModelServer
) -> None:
    flow = await published(client, tea_adviser(model_server, new_id(), thought="hm", text="Green tea."))
    asked = {"uid": "u-1", "parameters": {"AGENT_USER_INPUT": "Lin"}}
    assert shown(await frames_of(client, "chat/completions", {**asked, "flow_id": flow})) == "Try this: Green tea.\n"
    flow = await published(client, order_desk())
    (question,) = await frames_of(client, "chat/completions", {**asked, "flow_id": flow})
    async with clients(fleet.url("api-2")) as other:
        answer = {"event_id": question["event_data"]["event_id"], "content": "A"}
        assert shown(await frames_of(other, "resume", answer)) == 'One Tea coming.{"lines":[],"choice":"A"}'


async def test_an_owner_is_killed_while_a_tool_works_and_only_the_call_without_a_result_is_made_again(
    client: httpx.AsyncClient, fleet: Fleet, record: Record
) -> None:
    working, gone = threading.Event(), threading.Event()

    def price(asked: Asked) -> dict[str, int]:
        if dict(asked.query)["sku"] == "cd" and not gone.is_set():
            working.set()
            gone.wait(60)
        return {"price": 3}

    flow = await published(client, order_desk())
    with tool_server() as prices:
        prices.answers["/price"] = price
        stored = await client.put(f"/v1/tools/{TOOL}", json={"kind": "openapi", "document": price_list(prices.url)})
        assert stored.status_code == 200
        body = {"flow_id": flow, "uid": "u-1", "parameters": {"AGENT_USER_INPUT": "x", "items": ["ab", "cd", "ef"]}}
        async with client.stream("POST", "/workflow/v1/chat/completions", json=body) as answer:
            run = answer.headers["x-event-id"]
            assert await asyncio.to_thread(working.wait, 60)
            await killed_and_started_again(fleet, await record.owner(fleet, run))
            gone.set()
            text = (await answer.aread()).decode()
        assert [dict(one.query)["sku"] for one in prices.asked] == ["ab", "cd", "cd", "ef"]
    assert json.dumps('{"lines":["ab=3","cd=3","ef=3"],"choice":"default"}') in text
    kinds = [event["type"] for event in await events_of(client, run)]
    assert (kinds.count("round.completed"), kinds.count("tool.returned"), kinds.count("run.completed")) == (3, 3, 1)


async def test_processors_are_restarted_one_after_the_other_under_streams_that_only_pause(
    client: httpx.AsyncClient, fleet: Fleet, model_server: ModelServer, tell: Callable[[str], None]
) -> None:
    words = "".join(f"w{index} " for index in range(240))
    flow = await published(client, answering(model_server, model("say", text=words, gap_ms=50, prefill=1)))
    readers = [Reader(client, fleet.urls, at=number) for number in range(8)]
    reading = [asyncio.create_task(reader.whole(flow, new_id())) for reader in readers]

    async def streaming() -> bool:
        return all(len(reader.words) >= 5 for reader in readers)

    await found("five words of each stream", streaming)
    for name in fleet.of("processor"):
        assert await asyncio.to_thread(fleet.stop, name) == 0
        fleet.start(name)
        await asyncio.to_thread(fleet.wait_ready, name)
    await asyncio.gather(*reading)
    assert {reader.text for reader in readers} == {words}
    pauses = sorted(reader.longest_s for reader in readers)
    tell(f"rolling restart of two processors: streams paused {pauses[0]:.2f} to {pauses[-1]:.2f} s")


async def test_one_processor_is_killed_and_one_is_paused_and_every_run_ends(
    client: httpx.AsyncClient, fleet: Fleet, model_server: ModelServer, tell: Callable[[str], None]
) -> None:
    words = "".join(f"w{index} " for index in range(10))
    flow = await published(client, answering(model_server, model("say", text=words, gap_ms=30, prefill=1)))
    readers = [Reader(client, fleet.urls, at=number) for number in range(RUNS)]
    reading: list[asyncio.Task[None]] = []

    async def ask() -> None:
        for reader in readers:
            reading.append(asyncio.create_task(reader.whole(flow, new_id())))
            await asyncio.sleep(0.1)  # the pace of the callers, nothing is waited for

    asking = asyncio.create_task(ask())
    first, second = fleet.of("processor")

    async def under_way() -> bool:
        return len(reading) >= RUNS // 10

    await found("runs under way", under_way)
    await killed_and_started_again(fleet, first)

    async def owning() -> bool:
        return sum((await asyncio.to_thread(fleet.measured, first, "prozess_partitions_owned")).values()) >= 4

    await found("the share of the one that was killed", owning)
    fleet.tell(second, signal.SIGSTOP)
    await asyncio.sleep(PAUSE_S)
    fleet.tell(second, signal.SIGCONT)
    await asking
    await asyncio.gather(*reading)
    assert {reader.text for reader in readers} == {words}
    assert len({reader.run for reader in readers}) == RUNS
    for reader in readers[:: RUNS // 20]:
        assert said(await events_of(client, reader.run)) == words
    waits = sorted(reader.first_s for reader in readers)
    told = f"{RUNS} runs, one processor killed, one paused for {PAUSE_S} s: first text after {waits[RUNS // 2]:.2f} s (p50)"
    tell(f"{told}, {waits[int(RUNS * 0.99)]:.2f} s (p99), {waits[-1]:.2f} s (longest)")
