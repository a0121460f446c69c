"""Following a run, live or old: nothing missing, nothing twice, whoever is slow, wherever the events are."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from events.acceptance import Accepted
from events.topics import EVENTS
from services.api.answers.problems import BadRequest, Gone, Missing
from services.api.api import Api
from services.api.app import run
from services.api.asking.starting import opened
from services.api.following import follow, tail
from services.api.following.follow import Follower
from services.api.following.history import Page
from services.api.following.tail import Closed, Cut, Feed
from services.kit.errors import Refused
from services.kit.settings import LOOPBACK
from tests.services.api.conftest import House, W, bearer
from tests.services.api.stories import linear
from tests.services.api.test_chat import frames, scripted, standard
from tests.support.histories import History as Told
from tests.support.model_server import ModelServer
from tests.support.programs import free_port
from tests.support.samples import RUN
from tests.support.worlds import embedded_world


async def finished(house: House) -> tuple[str, int]:
    """A finished run that the rows have: its id and how many events it has."""
    flow = await house.deploy(standard())
    async with house.chat(flow) as answer:
        await answer.aread()
    event_id = answer.headers["x-event-id"]
    last = (await house.http.get(f"/v1/runs/{event_id}/text")).json()["position"]
    await house.http.get(f"/v1/runs/{event_id}", params={"min_position": last})
    return event_id, last


async def everything(follower: Follower) -> list[int]:
    positions: list[int] = []
    async with asyncio.timeout(10):
        while not follower.ended:
            positions += [event.position for event in await follower.next()]
    follower.close()
    return positions


@pytest.fixture(params=["memory", "rows", "log"])
def source(request: pytest.FixtureRequest, house: House, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the past is found: still in memory, in the rows, or only in the log."""
    if request.param != "memory":
        monkeypatch.setattr(tail.PartitionTail, "recent", lambda *_: None)
    if request.param == "log":

        async def nothing(*_: object) -> Page:
            return Page([], None, more=False, newest=0, ended=False)

        monkeypatch.setattr(type(house.api.history), "page", nothing)
    return str(request.param)


async def test_a_finished_run_is_read_whole_from_any_position(house: House, source: str):
    run_, last = await finished(house)
    for after in (0, 1, 5, last - 1, last):
        follower = await opened(house.api, run_, after)
        assert await everything(follower) == list(range(after + 1, last + 1)), source


async def test_a_cursor_beyond_the_end_is_refused(house: House, source: str):
    run_, last = await finished(house)
    with pytest.raises(BadRequest, match=f"position {last}"):
        await opened(house.api, run_, last + 1)


async def test_an_unknown_run_is_missing(house: House, source: str):
    with pytest.raises(Missing):
        await opened(house.api, "7529724272403132416")


@pytest.mark.parametrize("page", [1, 3, 1_000])
async def test_rows_are_read_in_pages(house: House, monkeypatch: pytest.MonkeyPatch, page: int):
    run_, last = await finished(house)
    monkeypatch.setattr(tail.PartitionTail, "recent", lambda *_: None)
    monkeypatch.setattr("services.api.following.history.PAGE", page)
    monkeypatch.setattr(follow, "_READ", page)
    assert await everything(await opened(house.api, run_)) == list(range(1, last + 1))


async def test_a_reader_that_is_too_slow_is_cut_off_and_misses_nothing(
    house: House, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tail, "FEED_EVENTS", 4)
    words = [f"w{number} " for number in range(60)]
    held = await house.deploy(scripted(model_server, text="".join(words).strip(), hold=1, key="slow"))
    async with house.chat(held, stream=True) as answer:
        run_ = answer.headers["x-event-id"]
        slow = await opened(house.api, run_)
        first = await slow.next()
        model_server.release("slow", len(words))
        quick = await frames(answer)
    assert [frame["choices"][0]["delta"]["content"] for frame in quick] == [*words[:-1], words[-1].strip(), ""]
    rest = await everything(slow)
    assert [*(event.position for event in first), *rest] == list(range(1, rest[-1] + 1))


async def test_many_readers_of_one_run_all_read_everything(house: House, model_server: ModelServer):
    held = await house.deploy(scripted(model_server, text="one two three", hold=1, key="many"))
    async with house.chat(held) as answer:
        run_ = answer.headers["x-event-id"]
        readers = [await opened(house.api, run_, after) for after in (0, 1, 2, 0, 3)]
        reading = asyncio.gather(*map(everything, readers))
        model_server.release("many", 3)
        await answer.aread()
        read = await reading
    last = read[0][-1]
    assert read == [list(range(after + 1, last + 1)) for after in (0, 1, 2, 0, 3)]


async def test_a_reader_that_leaves_is_forgotten(house: House):
    run_, _ = await finished(house)
    follower = await opened(house.api, run_)
    partition_tail = await house.api.tails.of(house.api.tails.partition_of(f"run-{run_}"))
    assert partition_tail.watched(f"run-{run_}") == 1
    follower.close()
    follower.close()
    assert partition_tail.watched(f"run-{run_}") == 0


async def test_history_that_is_no_longer_kept_is_said_and_not_jumped_over(house: House, monkeypatch: pytest.MonkeyPatch):
    run_, _ = await finished(house)
    monkeypatch.setattr(tail.PartitionTail, "recent", lambda *_: None)
    page = house.api.history.page

    async def shortened(self: object, partition: int, run: str, after: int) -> Page:
        whole = await page(partition, run, after)
        return replace(whole, events=[event for event in whole.events if event.position > 4])

    monkeypatch.setattr(type(house.api.history), "page", shortened)
    with pytest.raises(Gone, match="events 1 to 4"):
        await opened(house.api, run_)
    assert (await house.http.get(f"/v1/runs/{run_}/events")).status_code == 410


async def test_a_feed_gives_all_it_has_then_says_that_it_was_cut():
    feed, events = Feed(f"run-{RUN}", 0), linear("open")
    for event in events[:3]:
        feed.offer(event, 10)
    assert await feed.take(None) == events[:3]
    assert await feed.take(0) == []
    for _ in range(tail.FEED_EVENTS + 1):
        feed.offer(events[3], 10)
    with pytest.raises(Cut):
        await feed.take(None)


async def test_a_feed_is_bounded_in_bytes_too():
    feed, (event, *_) = Feed(f"run-{RUN}", 0), linear("open")
    feed.offer(event, tail.FEED_BYTES)
    feed.offer(event, 1)
    with pytest.raises(Cut):
        await feed.take(None)


async def test_a_closed_feed_wakes_its_reader():
    feed = Feed(f"run-{RUN}", 0)
    taking = asyncio.create_task(feed.take(None))
    await asyncio.sleep(0)
    feed.close()
    with pytest.raises(Closed):
        await taking


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Api]:
    """The api on a log and rows where nothing else runs."""
    async with embedded_world(tmp_path, port=free_port(), write_wait_s=5, trusted_proxies=LOOPBACK) as world:
        api = Api.of(world)
        yield api
        await api.close()


async def test_only_accepted_events_are_shown(bare: Api):
    told = Told()
    first, *rest = [event.envelope.data for event in linear("open")]
    told.say(f"run-{RUN}", first)
    told.claimed("processor-2")
    stolen = len(told.records)
    told.say(f"run-{RUN}", rest[0], claim="claim-0-0")
    told.say(f"run-{RUN}", *rest)
    await bare.world.log.append(EVENTS, 0, [stored.record for stored in told.records])
    follower = await opened(bare, RUN)
    found: list[Accepted] = await follower.present()
    follower.close()
    assert [event.position for event in found] == list(range(1, len(found) + 1))
    assert [event.offset for event in found] == [offset for offset in range(len(told.records)) if offset not in {0, stolen, stolen - 1}]


async def until_listening(http: httpx.AsyncClient) -> None:
    """Until the program answers."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(httpx.TransportError), stop=stop_after_delay(10), wait=wait_fixed(0.01)
    ):
        with attempt:
            await http.get("/health/live")


async def test_a_damaged_event_stops_the_program_with_its_place(bare: Api):
    told = Told()
    told.say(f"run-{RUN}", linear("open")[0].envelope.data)
    damaged = replace(told.records[1].record, value=b'{"run": 7}')
    await bare.world.log.append(EVENTS, 0, [told.records[0].record, damaged])
    serving = asyncio.create_task(run(bare.world, asyncio.Event()))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bare.world.settings.port}", trust_env=False) as http:
        await until_listening(http)
        stranger = {"x-consumer-username": "demo"}
        answer = await http.post(f"{W}/resume", json={"event_id": RUN, "content": ""}, headers=stranger)
        assert answer.json()["code"] == 23900
    with pytest.raises(Refused, match=r"partition 0 cannot be read on from offset 1: run.started .* cannot be read"):
        async with asyncio.timeout(10):
            await serving


async def test_stopping_ends_open_streams_and_drains(house: House, model_server: ModelServer):
    world = replace(house.world, settings=house.world.settings.model_copy(update={"port": free_port()}))
    held = await house.deploy(scripted(model_server, text="one two", hold=1, key="stopping"))
    async with house.chat(held) as mine:
        run_, stop = mine.headers["x-event-id"], asyncio.Event()
        serving = asyncio.create_task(run(world, stop))
        base = f"http://127.0.0.1:{world.settings.port}"
        async with httpx.AsyncClient(base_url=base, headers=bearer("demo"), trust_env=False) as http:
            await until_listening(http)
            async with http.stream("GET", f"/v1/runs/{run_}/events") as answer:
                lines = answer.aiter_lines()
                await anext(lines)
                stop.set()
                async with asyncio.timeout(5):
                    rest = [line async for line in lines]
                    await serving
        assert not any("run.completed" in line for line in rest)
        model_server.release("stopping", 2)
        await mine.aread()
