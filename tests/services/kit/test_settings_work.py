"""That the settings the documents name do something: each is seen where it acts."""

import asyncio

import httpx2
import pytest
import sqlalchemy as sa
import uvicorn
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.answers.problems import Problems
from services.api.gate.middleware import BodyLimit
from services.kit.database import Database
from services.kit.models.connections import Connections
from services.kit.models.endpoint import endpoint_of
from services.kit.outside.egress import limits_of
from services.kit.program import serving
from services.kit.settings import Settings, load
from tests.support.worlds import HandClock


async def test_a_body_that_does_not_arrive_in_time_is_refused_with_the_setting():
    told: list[dict[str, object]] = []

    async def nothing() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, object]) -> None:
        told.append(message)

    async def route(*_: object) -> None:
        raise AssertionError("no route is asked")

    limit = BodyLimit(route, Problems(HandClock()), 1_000, read_s=0.05)  # type: ignore[arg-type] (an application)
    scope = {"type": "http", "method": "POST", "path": "/v1/tools", "headers": []}
    await limit(scope, nothing, send)  # type: ignore[arg-type] (a channel)
    assert told[0]["status"] == 408
    assert b"0.05 s" in told[1]["body"]  # type: ignore[operator] (bytes)


async def test_connections_to_tools_and_models_are_as_many_and_as_idle_as_the_settings_say():
    limits = limits_of(load(pool_size=3, max_connections=7, keep_alive_timeout_s=9))
    assert limits == httpx2.Limits(max_connections=7, max_keepalive_connections=3, keepalive_expiry=9)
    connections = Connections(limits)
    client = connections.client(endpoint_of("http://127.0.0.1:1/v1"))
    with pytest.raises(Exception, match="Connection error"):
        await client.models.list()
    session = client._client._transport._session
    assert (session.connector.limit, session.connector._keepalive_timeout) == (7, 9)
    await connections.aclose()


async def test_an_idle_connection_of_a_client_is_kept_as_long_as_the_setting_says(monkeypatch: pytest.MonkeyPatch):
    seen: list[int] = []

    class Config(uvicorn.Config):
        def __init__(self, *args: object, **more: object) -> None:
            seen.append(more["timeout_keep_alive"])  # type: ignore[arg-type] (a number)
            super().__init__(*args, **more)  # type: ignore[arg-type] (as it came)

    monkeypatch.setattr(serving.uvicorn, "Config", Config)
    stop = asyncio.Event()
    stop.set()
    await serving.serve(lambda *_: None, serving.listen("127.0.0.1", 0), stop, keep_alive_s=33)  # type: ignore[arg-type, return-value] (nobody asks)
    assert seen == [33]


@pytest.mark.postgres
async def test_the_pool_of_postgresql_holds_as_many_connections_as_the_settings_say_and_renews_them(postgres_url: str):
    settings = Settings(database=postgres_url, database_min_size=1, database_max_size=2, database_max_queries=3, database_idle_s=1_000)
    database = Database(settings)
    try:
        async with database.connect() as one, database.connect() as two:
            assert await pid(one) != await pid(two)
            assert database.engine.pool.checkedout() == 2  # type: ignore[attr-defined] (a queue)
        pids = [await of(database) for _ in range(8)]
        assert len(set(pids)) > 1, "after three statements it is another one"
        assert max(map(pids.count, set(pids))) <= 4
    finally:
        await database.dispose()


@pytest.mark.postgres
async def test_a_connection_to_postgresql_that_lay_idle_too_long_is_made_anew(postgres_url: str):
    one = Settings(database=postgres_url, database_min_size=1, database_max_size=1)
    kept, renewed = Database(one), Database(one.model_copy(update={"database_idle_s": -1.0}))
    try:
        assert await of(kept) == await of(kept)
        assert await of(renewed) != await of(renewed)
    finally:
        await kept.dispose()
        await renewed.dispose()


async def pid(connection: AsyncConnection) -> int:
    return int(await connection.scalar(sa.text("SELECT pg_backend_pid()")))


async def of(database: Database) -> int:
    async with database.connect() as connection:
        return await pid(connection)
