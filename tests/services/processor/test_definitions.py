"""Definitions come from rows that may be behind, or away for a while."""

import asyncio

import pytest
import sqlalchemy as sa

from services.core.language.definition import digest
from services.core.problems import Problem
from services.kit.world import World
from services.processor.definitions import pinned as definitions
from services.processor.definitions.pinned import Definitions
from tests.support.documents import model_flow, plain_flow
from tests.support.processors import define
from tests.support.record import soon


async def test_a_definition_that_is_not_there_yet_is_waited_for(world: World) -> None:
    loading = asyncio.ensure_future(Definitions(world.database).load(digest(plain_flow())))
    await define(world, plain_flow())
    assert (await soon("the definition", loading)).start == "node-start::1"


async def test_the_wait_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="not in the rows yet"):
        await Definitions(world.database).load("0" * 64, patience_s=0.01)


async def test_rows_that_do_not_answer_for_a_moment_are_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hash_ = await define(world, plain_flow())
    asked = definitions.flows.definition
    failures = [True, True]

    async def sometimes(connection: object, of: str) -> object:
        if failures:
            failures.pop()
            raise sa.exc.OperationalError("SELECT", {}, Exception("the server closed the connection"))
        return await asked(connection, of)  # pyright: ignore[reportArgumentType] (it is one)

    monkeypatch.setattr(definitions.flows, "definition", sometimes)
    assert (await soon("the definition", asyncio.ensure_future(Definitions(world.database).load(hash_)))).start
    assert not failures


async def test_only_so_many_graphs_are_kept(world: World) -> None:
    some = Definitions(world.database, size=2)
    for number in range(4):
        await some.load(await define(world, model_flow(template=f"{number}")))
    assert len(some._graphs) == 2
