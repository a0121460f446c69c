"""A model behind an endpoint of the OpenAI protocol, asked with the official client.

In comes a `Question` with its endpoint; out goes the answer as it is written. An answer is whole only when the model
says `stop`: a cut, silence, an error object or another finish reason is a `ModelFailed`. What would arrive after the
finish reason (usage, the end of the stream) may be missing.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import httpx2
import openai
from pydantic import JsonValue

from services.kit.models.answer import Answer
from services.kit.models.calls import Calls
from services.kit.models.chunks import Objected, parts_of
from services.kit.models.connections import ANSWER_BYTES
from services.kit.models.continues import NewOnly, fields_of, messages_of
from services.kit.models.endpoint import Endpoint
from services.kit.models.failures import told, translated
from services.kit.models.port import Fragment, ModelFailed, Noted, Part, Question, Shape, Token
from services.kit.outside.egress import EgressRefused
from services.kit.telling.traces import carried

_AFTER_STOP_S = 5.0
_OURS: dict[str, JsonValue] = {"stream": True, "n": 1}


class OpenAICall:
    """One chat completion. `own` says that the endpoint is the process's own, whose organisation headers may go along."""

    def __init__(self, client: openai.AsyncOpenAI, endpoint: Endpoint, question: Question, shape: Shape, *, own: bool) -> None:
        self._client = client
        self._endpoint = endpoint
        self._question = question
        self._own = own
        self.continues: Shape = shape
        self.body = _body(question, shape)
        self.attributes: dict[str, JsonValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": question.model,
            **{f"gen_ai.request.{name}": self.body[name] for name in ("temperature", "max_tokens") if name in self.body},
            "server.address": endpoint.host,
            "server.port": endpoint.port,
        }
        if question.provider:
            self.attributes |= {"prozess.provider": question.provider, "prozess.provider.revision": question.revision}

    async def stream(self) -> AsyncGenerator[Part, None]:
        """See `Call.stream`."""
        new, finish_reason, calls = NewOnly(self._question, self.continues), "", Calls()
        try:
            async with aclosing(self._parts()) as parts:
                async for part in parts:
                    if isinstance(part, Fragment):
                        calls.add(part)
                    elif isinstance(part, Noted):
                        finish_reason = part.finish_reason or finish_reason
                    if not isinstance(part, Fragment) and (fresh := new.of(part)) is not None:
                        yield fresh
        except Objected as objection:
            raise told(objection.body, self._question, self._endpoint) from None
        except (openai.OpenAIError, httpx2.HTTPError, EgressRefused, TimeoutError, ValueError, RecursionError) as error:
            raise translated(error, self._endpoint, self._question) from None
        for part in new.rest():
            yield part
        if finish_reason != "stop" and not (calls and self._question.tools and finish_reason == "tool_calls"):
            raise _unfinished(finish_reason)
        for call in calls.whole() if self._question.tools else ():
            yield call

    async def _parts(self) -> AsyncGenerator[Part, None]:
        """All that the provider sends. The silence that is allowed counts from the last token, or from when we ask again.

        Once the model has said why it stopped, a cut and silence are the end as well.
        """
        clock, quiet_s, noted, stopped = asyncio.get_running_loop(), self._question.quiet_s, Noted(), False
        deadline = clock.time() + quiet_s
        async with asyncio.timeout_at(deadline):
            stream = await self._send()
        async with stream:
            async with asyncio.timeout_at(deadline):
                await _expect_events(stream.response)
            answer = Answer(stream.response, deadline, ANSWER_BYTES)
            try:
                async with aclosing(answer.chunks()) as chunks:
                    async for chunk in chunks:
                        for part in parts_of(chunk):
                            if part == noted:
                                continue
                            yield part
                            if isinstance(part, Token):
                                answer.deadline = clock.time() + quiet_s
                            elif isinstance(part, Noted):
                                noted = part
                                if part.finish_reason:
                                    stopped, answer.deadline = True, clock.time() + min(_AFTER_STOP_S, quiet_s)
            except (TimeoutError, httpx2.HTTPError):
                if not stopped and not answer.done:
                    raise

    async def _send(self) -> "openai.AsyncStream[Any]":
        """The body goes as it is, and the answer is read as plain JSON: models of both cost half of a token's time and check nothing."""
        key = self._question.key
        headers: dict[str, Any] = {"Accept-Encoding": "identity", "Authorization": f"Bearer {key}" if key else openai.omit, **carried()}
        if not self._own:
            headers |= {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit}
        return await self._client.post(
            "/chat/completions",
            cast_to=object,
            body=self.body,
            options={"headers": headers},
            stream=True,
            stream_cls=openai.AsyncStream[Any],
        )


def _body(question: Question, shape: Shape) -> dict[str, JsonValue]:
    """The request. Fields of `extra` win; one that is null takes a field away (for servers that refuse `stream_options`)."""
    ours: dict[str, JsonValue] = {**_OURS, "model": question.model, "messages": messages_of(question, shape)}
    for name in ours.keys() & question.extra.keys():
        if question.extra[name] != ours[name]:
            raise ModelFailed(f"nodeParam.extraParams cannot set {name}", kind="request")
    body: dict[str, JsonValue] = {
        "model": question.model,
        "messages": ours["messages"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": question.temperature,
        "max_tokens": question.max_tokens,
        "tools": [*question.tools] or None,
        "tool_choice": question.tool_choice,
        **fields_of(shape),
        **question.extra,
    }
    return {name: value for name, value in body.items() if value is not None}


async def _expect_events(response: httpx2.Response) -> None:
    """Say so where the answer is no event stream: a web page, or an error with status 200."""
    headers = response.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise ModelFailed("the model's answer is compressed, although that was not asked for", kind="protocol")
    if kind == "application/json":
        answer: object = json.loads(await response.aread())
        if isinstance(answer, dict) and (error := cast("dict[str, object]", answer).get("error")):
            raise Objected(error)
    if kind in {"application/json", "text/html"}:
        raise ModelFailed(f"the model's url answered {kind} where an event stream was expected", kind="protocol")


def _unfinished(finish_reason: str) -> ModelFailed:
    if not finish_reason:
        return ModelFailed("the model's answer ended before the model said that it was finished", kind="cut", temporary=True)
    reason = finish_reason if finish_reason.replace("_", "").isalnum() else "an unknown reason"
    return ModelFailed(f"the model stopped with finish_reason {reason} (expected stop)", kind=reason)
