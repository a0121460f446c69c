"""Fleets for tests: two of each program on a real broker and a real database, with the demo app set up.

Beside the fleet stands what a test asks of the record itself: who claimed a partition, and in which process that was.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx

from events import topics
from infra.bench.fleet import Fleet, environment
from projections import audit_events
from projections.audit_events import AuditFilter
from services.dev import demo
from services.kit.assemble import open_world
from services.kit.database import Database
from services.kit.ids import new_id
from services.kit.settings import PREFIX, Settings
from tests.support.flows import at, end, flow, llm, start
from tests.support.model_server import ModelServer

HEADERS = {"Authorization": f"Bearer {demo.KEY}:{demo.SECRET}"}
TWO_OF_EACH = ("projector-1", "projector-2", "processor-1", "processor-2", "api-1", "api-2")
ONE_OF_EACH = ("projector-1", "processor-1", "api-1")
LOOK_S = 120.0
T = TypeVar("T")


@contextlib.contextmanager
def on_kafka(names: tuple[str, ...], kafka: str, database: str, folder: Path, **more: Any) -> Iterator[Fleet]:
    """These programs, ready, with the demo app; killed at the end."""
    chosen = environment(kafka, database, folder / "data", f"faults-{new_id()[:12]}.", **more)
    with Fleet(chosen, folder, names) as fleet:
        fleet.run("migrate")
        fleet.start()
        fleet.wait_ready()
        with ThreadPoolExecutor(1) as apart:
            apart.submit(asyncio.run, _settled(settings_of(chosen))).result()
        yield fleet


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that the programs read."""
    known = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    known.pop("model_continues")
    return Settings.model_validate(known)


async def _settled(settings: Settings) -> None:
    async with open_world(settings) as world:
        await demo.settle(world)


@contextlib.asynccontextmanager
async def clients(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one api that knows the others' addresses as well."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=60, limits=limits) as client:
        yield client


def answering(server: ModelServer, name: str) -> dict[str, Any]:
    """What was asked goes to the model, what it says goes out as it comes."""
    return flow(
        start(required=("AGENT_USER_INPUT",), AGENT_USER_INPUT="string"),
        llm("say", "{{q}}", param={"model": name, "domain": name, "url": server.url, "apiKey": "any"}, q=at("start.AGENT_USER_INPUT")),
        end("{{said}}", said=at("say.output")),
        edges="start > say > end",
    )


async def published(client: httpx.AsyncClient, document: dict[str, Any]) -> str:
    """A flow of the demo app that the demo app may run; its id."""

    async def call(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = (await client.post(path, json=body)).json()
        assert answer["code"] == 0, answer
        return answer

    added = await call("/workflow/v1/protocol/add", {"name": "faults", "app_id": demo.APP, "status": 0, "data": document})
    flow_id: str = added["data"]["flow_id"]
    await call("/workflow/v1/publish", {"flow_id": flow_id, "release_status": 1, "plat": 1})
    await call("/workflow/v1/auth", {"flow_id": flow_id, "app_id": demo.APP})
    return flow_id


async def found(what: str, look: Callable[[], Awaitable[T]]) -> T:
    """Wait until a look at what other processes tell finds something; nobody rings a bell for it."""
    try:
        async with asyncio.timeout(LOOK_S):
            while not (seen := await look()):  # noqa: ASYNC110 (see above)
                await asyncio.sleep(0.1)
            return seen
    except TimeoutError:
        raise AssertionError(f"in {LOOK_S:g} s there was no {what}") from None


class Record:
    """What the rows say about owners."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def partition(self, run: str) -> int:
        """Where the run lives."""
        return topics.partition_of(topics.slot_of_id(run), self._settings.partitions)

    async def owners(self, run: str) -> list[int]:
        """The process ids of those who claimed the run's partition, oldest first."""
        database = Database(self._settings)
        wanted = AuditFilter(type="partition.claimed", stream=topics.partition_stream(self.partition(run)))
        try:
            async with database.connect() as connection:
                page = await audit_events.page(connection, wanted, None, 100)
        finally:
            await database.dispose()
        return [int((event.data or {})["owner"].rpartition(":")[2]) for event in reversed(page.events)]

    async def owner(self, fleet: Fleet, run: str) -> str:
        """The name of the process that owns the run's partition now."""

        async def look() -> str:
            return fleet.by_pid((await self.owners(run) or [0])[-1])

        return await found("owner of the run", look)


async def events_of(client: httpx.AsyncClient, run: str) -> list[dict[str, Any]]:
    """The run as native clients see it, checked: positions 1, 2, 3, no gaps."""
    answer = await client.get(f"/v1/runs/{run}/events", params={"follow": "false"}, headers={"Accept": "application/json"})
    events: list[dict[str, Any]] = answer.json()["events"]
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    return events


def attempts(events: list[dict[str, Any]]) -> list[int]:
    """Those of the model's node."""
    return [event["data"]["attempt"] for event in events if event["type"] == "node.started" and event["data"]["kind"] == "spark-llm"]


def said(events: list[dict[str, Any]]) -> str:
    """What the model said in all its attempts, as it stands on the record."""
    return "".join(event["data"]["text"]["words"] for event in events if event["type"] == "node.delta")
