"""The register of effects, and the world they stand on."""

from dataclasses import dataclass
from typing import Any, get_args

import anyio.to_thread
import pytest

from services.core.running.effects import ChatMessage, Done, ModelRequest, NoopRequest, Request
from services.kit.errors import Refused
from services.kit.models.offline import text_for
from services.kit.models.port import Question
from services.kit.telling.metrics import Metrics
from services.processor.effects import EFFECTS, effect_world, perform
from tests.support.fixtures.effects import LeapingClock, PlainSecrets, effect_settings, model_request, outcomes_of
from tests.support.model_server import ModelServer, model


@dataclass
class Outside:
    settings: Any
    secrets: Any
    clock: Any
    metrics: Any
    log: Any = None
    files: Any = None
    database: Any = None


def outside(**settings: Any) -> Outside:
    return Outside(effect_settings(**settings), PlainSecrets(), LeapingClock(), Metrics())


def test_every_request_has_an_effect() -> None:
    assert set(EFFECTS) == set(get_args(Request))


async def test_the_noop_effect_is_done_at_once() -> None:
    async with effect_world(outside()) as world:
        assert [outcome async for outcome in perform(NoopRequest(), world)] == [Done()]


async def test_at_the_end_every_connection_is_closed(model_server: ModelServer) -> None:
    async with effect_world(outside()) as world:
        assert (await outcomes_of(model_request(model_server, model("say", key="last")), world)).done
    connection = model_server.calls("last")[0].connection
    await anyio.to_thread.run_sync(model_server.wait_closed, connection)


async def test_a_table_that_cannot_be_understood_is_refused_at_the_start() -> None:
    with pytest.raises(Refused, match=r"PROZESS_MODEL_CONTINUES: the value of 'host/\*' must be one of never, prefill, prefix, vllm"):
        async with effect_world(outside(model_continues={"host/*": "maybe"})):
            pass


async def test_the_offline_model_speaks_through_the_same_effect() -> None:
    request = ModelRequest(app="demo", url="", key="", model="offline-demo", messages=(ChatMessage("user", "Is anybody there?"),))
    async with effect_world(outside()) as world:
        seen = await outcomes_of(request, world)
        text = text_for(Question(url="", model="offline-demo", messages=(("user", "Is anybody there?"),)))
        assert seen.text == text
        assert seen.done.usage is not None
        assert seen.done.usage.output_tokens == len(text.split())
        assert seen.responded.attributes["prozess.usage.unit"] == "words"
        assert seen.called.attributes["gen_ai.provider.name"] == "offline-demo"
