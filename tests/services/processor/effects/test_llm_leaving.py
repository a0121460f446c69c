"""Ending a call early, and what calls share: connections, counters, nothing else."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar

import anyio.to_thread
import pytest

from services.core.running.effects import Called, Piece
from services.kit.models.port import Part, Token
from services.processor.effects import EffectWorld, perform
from tests.support.fixtures.effects import effect_world, model_request, outcomes_of
from tests.support.model_server import ModelServer, model


@pytest.fixture
async def world():
    made = effect_world()
    yield made
    await made.models.aclose()


async def test_closing_the_effect_ends_the_call_of_the_provider(model_server: ModelServer, world: EffectWorld) -> None:
    request = model_request(model_server, model("say", text="one two three", hold=1, key="closed"))
    async with aclosing(perform(request, world)) as outcomes:
        assert isinstance(await anext(outcomes), Called)
        model_server.release("closed")
        assert await anext(outcomes) == Piece("content", "one ")
    await anyio.to_thread.run_sync(model_server.wait_aborted, "closed")
    assert b'prozess_model_calls_total{outcome="cancelled"} 1.0' in world.metrics.render()


class EndlessCall:
    """A call that says the same word for ever, and remembers that it was ended."""

    attributes: ClassVar = {}
    body: ClassVar = {}
    continues = "never"
    ended = False

    async def stream(self) -> AsyncGenerator[Part, None]:
        try:
            while True:
                yield Token("content", "on ")
                await asyncio.sleep(0)
        finally:
            self.ended = True


async def test_what_is_closed_has_ended_when_closing_returns(world: EffectWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    call = EndlessCall()
    monkeypatch.setattr(world.models, "call", lambda _question: call)
    outcomes = perform(model_request(None, "any"), world)
    assert isinstance(await anext(outcomes), Called)
    assert await anext(outcomes) == Piece("content", "on ")
    await outcomes.aclose()
    assert call.ended


@pytest.mark.parametrize("kind", ["silent", "say"])
async def test_cancelling_the_task_ends_the_call_before_and_after_its_first_byte(
    model_server: ModelServer, world: EffectWorld, kind: str
) -> None:
    key = f"cancelled-{kind}"
    name = model(kind, text="one", then="silent", key=key)
    task = asyncio.create_task(outcomes_of(model_request(model_server, name), world))
    await anyio.to_thread.run_sync(model_server.wait_calls, 1, key)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await anyio.to_thread.run_sync(model_server.wait_aborted, key)


async def test_a_held_model_speaks_only_when_it_is_released(model_server: ModelServer, world: EffectWorld) -> None:
    request = model_request(model_server, model("say", text="one two three", hold=1, key="held"))
    async with aclosing(perform(request, world)) as outcomes:
        assert isinstance(await anext(outcomes), Called)
        for word in ("one ", "two ", "three"):
            following = asyncio.ensure_future(anext(outcomes))
            model_server.release("held")
            assert await following == Piece("content", word)
        assert [type(one).__name__ async for one in outcomes] == ["Responded", "Done"]


async def test_calls_one_after_the_other_share_a_connection(model_server: ModelServer, world: EffectWorld) -> None:
    for _ in range(3):
        assert (await outcomes_of(model_request(model_server, model("say", key="shared")), world)).done
    assert len({seen.connection for seen in model_server.calls("shared")}) == 1


async def test_a_server_that_waits_for_acknowledgements_gets_them_at_once(model_server: ModelServer, world: EffectWorld) -> None:
    request = model_request(model_server, model("say", text="one", nagle=1))
    first_tokens = [(await outcomes_of(request, world)).responded.first_token_ms for _ in range(10)]
    assert min(ms for ms in first_tokens[4:] if ms is not None) < 30, "Linux acknowledges after 40 ms if it is not asked to hurry"


async def test_different_keys_use_the_same_connection_with_their_own_key(model_server: ModelServer, world: EffectWorld) -> None:
    for key in ("first", "second"):
        assert (await outcomes_of(model_request(model_server, model("say", key="keys"), key=key), world)).done
    seen = model_server.calls("keys")
    assert [one.headers["authorization"] for one in seen] == ["Bearer first", "Bearer second"]
    assert len({one.connection for one in seen}) == 1


async def test_many_calls_at_once_do_not_wait_for_each_other(model_server: ModelServer, world: EffectWorld) -> None:
    names = [model("say", text=f"answer {n}", hold=1, key=f"many-{n}") for n in range(50)]
    tasks = [asyncio.create_task(outcomes_of(model_request(model_server, name), world)) for name in names]
    for n in reversed(range(50)):
        await anyio.to_thread.run_sync(model_server.wait_calls, 1, f"many-{n}")
        model_server.release(f"many-{n}", 2)
        assert (await tasks[n]).text == f"answer {n}"


async def test_nothing_is_tried_twice(model_server: ModelServer, world: EffectWorld) -> None:
    seen = await outcomes_of(model_request(model_server, model("status", code=503, times=1, key="once")), world)
    assert seen.broke.temporary
    assert len(model_server.calls("once")) == 1
    assert (await outcomes_of(model_request(model_server, model("status", code=503, times=1, key="once")), world)).done


async def test_calls_are_counted_by_their_outcome(model_server: ModelServer, world: EffectWorld) -> None:
    for name, quiet_ms in ((model("say"), 10_000), (model("status"), 10_000), (model("silent"), 30)):
        await outcomes_of(model_request(model_server, name, quiet_ms=quiet_ms), world)
    counted = world.metrics.render().decode()
    for outcome in ("completed", "failed", "timed_out"):
        assert f'prozess_model_calls_total{{outcome="{outcome}"}} 1.0' in counted
    assert "prozess_model_first_token_seconds_count 1.0" in counted


async def test_a_mistake_of_ours_ends_the_node_with_a_sentence_and_not_the_program(
    model_server: ModelServer, world: EffectWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kit.models.openai.parts_of", lambda _chunk: 1 // 0)
    seen = await outcomes_of(model_request(model_server, model("say")), world)
    assert seen.broke.problem.code == 23300
    assert seen.broke.problem.message == "the call of the model failed (ZeroDivisionError)"
    assert seen.responded.problem == seen.broke.problem
