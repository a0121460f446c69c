"""Trying a provider out: does it answer, does it take the key, does it know the model?

In comes a provider; out goes what was found, as a sentence where something is in the way. It goes the way of every call: the
same guard, the same bounds, and no key in any text.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai

from services.kit.clock import SystemClock
from services.kit.models.connections import Connections
from services.kit.models.endpoint import endpoint_of
from services.kit.models.failures import translated
from services.kit.models.port import ModelFailed, Question
from services.kit.models.provider import Models
from services.kit.models.register import Found
from services.kit.outside.egress import EgressRefused, limits_of
from services.kit.settings import Settings

PATIENCE_S = 15.0
_LISTED = 200
_BYTES = 4 * 1024 * 1024
_NO_LIST = frozenset({"404", "405", "501"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found; `models` are those that it lists, where it does."""

    ok: bool
    said: str
    duration_ms: int
    models: list[str] = field(default_factory=list[str])

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {"ok": self.ok, "said": self.said, "duration_ms": self.duration_ms, "models": self.models}


async def try_out(settings: Settings, found: Found, key: Awaitable[str], model: str = "") -> Outcome:
    """Ask for the list of models, and the model (if one is named, or no list is kept and one is known) for a word."""
    loop = asyncio.get_running_loop()
    began, models, said, ok = loop.time(), list[str](), "It answers.", True
    try:
        async with asyncio.timeout(PATIENCE_S):
            secret = await key
            try:
                models = await _list(settings, found, secret)
                said = f"It answers, and lists {len(models)} models."
            except ModelFailed as failure:
                if failure.kind not in _NO_LIST:
                    raise
                model = model or next(iter(found.models), "")
                said = "It answers, and lists no models."
            if model:
                await _word(settings, found, secret, model)
                said += " The model answers."
    except ModelFailed as failure:
        ok, said = False, f"{failure.message[:1].upper()}{failure.message[1:]}."
    except TimeoutError:
        ok, said = False, f"It did not answer within {PATIENCE_S:g} s."
    return Outcome(ok, said, round((loop.time() - began) * 1000), models[:_LISTED])


async def _list(settings: Settings, found: Found, key: str) -> list[str]:
    endpoint = endpoint_of(found.url)
    connections = Connections(limits_of(settings), _BYTES, settings.egress_networks)
    try:
        client = connections.client(endpoint, guarded=not found.is_trusted).with_options(api_key=key or "none")
        page = await client.models.list()
        return [str(one.id)[:200] for one in page.data]
    except (openai.OpenAIError, httpx2.HTTPError, EgressRefused, TimeoutError, ValueError) as error:
        raise translated(error, endpoint, Question("", "", (), key=key, quiet_s=PATIENCE_S)) from None
    except (TypeError, AttributeError):
        return []
    finally:
        await connections.aclose()


async def _word(settings: Settings, found: Found, key: str, model: str) -> None:
    models = Models(settings, SystemClock(), _BYTES)
    asked = Question(
        found.url, model, (("user", "Answer with one word."),), key=key, max_tokens=1, quiet_s=PATIENCE_S, is_trusted=found.is_trusted
    )
    try:
        async with aclosing(models.call(asked).stream()) as parts:
            async for _ in parts:
                pass
    except ModelFailed as failure:
        if failure.kind != "length":
            raise
    finally:
        await models.aclose()
