"""The OpenAI door, asked with the official client: flows, bots and models; streams, usage, errors with their statuses."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.services.api.bots import made
from tests.services.api.conftest import BODY_LIMIT, House, W, bearer, running, serving
from tests.services.api.test_chat import scripted, standard
from tests.support.flows import end, flow, start
from tests.support.model_server import ModelServer, model

CHAT = "/v1/chat/completions"
HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str, model_server: ModelServer) -> AsyncIterator[House]:
    """A house that is set up with a model endpoint of its own."""
    own = {"openai_base_url": model_server.base, "openai_api_key": "own-key", "max_body_bytes": BODY_LIMIT}
    async with running(tmp_path_factory.mktemp("openai"), **own) as world:
        async for one in serving(world):
            yield one


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with asking(house) as client:
        yield client


@pytest.fixture
async def others(house: House) -> AsyncIterator[AsyncOpenAI]:
    """The client of another app."""
    async with asking(house, key="other-key:other-secret") as client:
        yield client


@pytest.fixture
async def workflow(house: House) -> AsyncIterator[AsyncOpenAI]:
    """The client on the workflow's own surface."""
    async with asking(house, W) as client:
        yield client


def asking(house: House, path: str = "/v1", key: str = "demo-key:demo-secret") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=str(house.http.base_url).rstrip("/") + path, api_key=key, max_retries=0)


async def test_a_model_of_the_endpoint_answers_with_its_usage(client: AsyncOpenAI, model_server: ModelServer):
    asked: Any = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "hello"}]}]
    said = await client.chat.completions.create(
        model=model("say", text="one two", thought="hm", key="own"), messages=asked, temperature=0.5
    )
    assert (said.object, said.model[:4], said.choices[0].message.role) == ("chat.completion", "say?", "assistant")
    assert (said.choices[0].message.content, said.choices[0].finish_reason) == ("one two", "stop")
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens, said.usage.total_tokens) == (3, 3, 6)
    call = model_server.calls("own")[-1]
    assert call.headers["authorization"] == "Bearer own-key"
    assert [(one["role"], one["content"]) for one in call.body["messages"]] == [("system", "Be kind."), ("user", "hello")]
    assert call.body["temperature"] == 0.5


@pytest.mark.parametrize("wished", [True, False])
async def test_a_stream_has_its_usage_in_a_last_chunk_only_when_asked_for(client: AsyncOpenAI, wished: bool):
    options: Any = {"stream_options": {"include_usage": True}} if wished else {}
    chunks = [one async for one in await client.chat.completions.create(model="say?text=a%20b", messages=HELLO, stream=True, **options)]
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "a b"
    assert [one.usage is not None for one in chunks] == [False] * (len(chunks) - 1) + [wished]
    assert bool(chunks[-1].choices) is not wished
    assert len({one.id for one in chunks}) == 1


async def test_other_options_are_passed_on(client: AsyncOpenAI, model_server: ModelServer):
    wished: Any = {"max_tokens": 3, "top_p": 0.5, "seed": 7, "stop": ["x"], "presence_penalty": 1, "response_format": {"type": "text"}}
    await client.chat.completions.create(model="say?key=options", messages=HELLO, **wished)
    assert {name: model_server.calls("options")[0].body[name] for name in wished} == wished


async def test_the_offline_model_is_always_there(client: AsyncOpenAI):
    said = await client.chat.completions.create(model="offline-demo", messages=HELLO)
    assert "No model is connected" in (said.choices[0].message.content or "")


async def test_a_bot_answers_with_its_instruction_and_the_requests_options(client: AsyncOpenAI, house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="kindly", key="as-model", answer="Be kind.", parameter={"temperature": 0.1, "top_k": 2})
    said = await client.chat.completions.create(model=bot, messages=HELLO, temperature=0.9)
    sent = model_server.calls("as-model")[-1].body
    assert (said.choices[0].message.content, said.model) == ("kindly", bot)
    assert (sent["messages"][0]["content"], sent["temperature"], sent["top_k"]) == ("Be kind.", 0.9, 2)


async def test_a_flow_gets_the_newest_question_and_its_history(client: AsyncOpenAI, house: House):
    linear = await house.deploy(standard())
    asked: Any = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "reply"},
        {"role": "user", "content": "bob"},
    ]
    raw = await client.chat.completions.with_raw_response.create(
        model=linear, messages=asked, user="u-9", extra_body={"chat_id": "c-openai"}
    )
    said = raw.parse()
    assert (said.choices[0].message.content, said.model) == ("msg=Hi bob;end=Hi bob", linear)
    run = raw.headers["x-event-id"]
    started = (await house.http.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})).json()["events"][0]["data"]
    assert [(turn["role"], turn["content"]) for turn in started["history"]["words"]] == [("user", "first"), ("assistant", "reply")]
    assert (started["parameters"]["words"], started["surface"], started["uid"]["words"]) == ({"AGENT_USER_INPUT": "bob"}, "openai", "u-9")
    messages = (await house.http.get("/v1/chats/c-openai/messages")).json()["messages"]
    assert [one["content"] for one in messages] == ["bob", "msg=Hi bob;end=Hi bob"]


async def test_a_flow_takes_further_parameters(client: AsyncOpenAI, house: House):
    from tests.support.flows import at

    two = flow(
        start(AGENT_USER_INPUT="string", tone="string"),
        end("{{t}}: {{q}}", t=at("start.tone"), q=at("start.AGENT_USER_INPUT")),
        edges="start > end",
    )
    deployed = await house.deploy(two)
    said = await client.chat.completions.create(model=deployed, messages=HELLO, extra_body={"parameters": {"tone": "mild"}})
    assert said.choices[0].message.content == "mild: hello"
    with pytest.raises(openai.BadRequestError, match="parameters"):
        await client.chat.completions.create(model=deployed, messages=HELLO, extra_body={"parameters": {"tone": 5}})


async def test_models_are_those_that_this_app_may_ask(client: AsyncOpenAI, others: AsyncOpenAI, house: House):
    linear, unbound = await house.deploy(standard()), await house.add(standard())
    bot = await made(house)
    listed = {one.id: one async for one in client.models.list()}
    assert {linear, bot, "offline-demo", "say"} <= set(listed)
    assert unbound not in listed
    assert (listed[linear].owned_by, listed[bot].owned_by, listed[linear].object) == ("flow", "bot", "model")
    assert (await client.models.retrieve(linear)).id == linear
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve(unbound)
    theirs = {one.id async for one in others.models.list()}
    assert not {linear, bot} & theirs
    for name in (linear, unbound, "1"):
        with pytest.raises(openai.NotFoundError) as refused:
            await others.chat.completions.create(model=name, messages=HELLO)
        assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("name", "status"),
    [
        (model("status", code=429), 429),
        (model("status", code=404), 404),
        (model("status", code=400), 400),
        (model("status", code=500), 502),
    ],
)
async def test_what_fails_before_a_word_is_an_error_with_its_status(client: AsyncOpenAI, stream: bool, name: str, status: int):
    with pytest.raises(openai.APIStatusError) as failed:
        await client.chat.completions.create(model=name, messages=HELLO, stream=stream)
    assert failed.value.status_code == status
    assert failed.value.response.headers["x-event-id"].isdigit()
    assert (failed.value.response.headers.get("x-should-retry") == "false") is (status != 429)


async def test_what_fails_later_is_raised_by_the_client_after_what_was_said(client: AsyncOpenAI):
    said = ""
    with pytest.raises(openai.APIError, match="cut off"):  # noqa: PT012 (the stream is read to its failure)
        async for chunk in await client.chat.completions.create(model="say?text=one%20two&then=cut", messages=HELLO, stream=True):
            said += chunk.choices[0].delta.content or ""
    assert said == "one two"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages.0.content"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"temperature": 3}, "temperature"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"stream": "maybe"}, "stream"),
        ({"user": "u" * 65}, "user"),
    ],
)
async def test_a_wrong_request_is_a_400_that_names_the_field(house: House, change: dict[str, Any], param: str):
    answer = await house.http.post(CHAT, json={"model": "offline-demo", "messages": HELLO, **change})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"].startswith(param)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"model": NaN}', '{"model": "\\ud800"}'])
async def test_a_body_that_is_no_object_is_a_400(house: House, text: str):
    answer = await house.http.post(CHAT, content=text, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_a_body_over_the_limit_is_413_and_a_bot_whose_tool_is_missing_502(house: House):
    large = await house.http.post(CHAT, json={"model": "m", "messages": [{"role": "user", "content": "x" * (2 * BODY_LIMIT)}]})
    assert (large.status_code, large.json()["error"]["type"]) == (413, "invalid_request_error")
    bot = await made(house, tool_ids=["t"])
    refused = await house.http.post(CHAT, json={"model": bot, "messages": HELLO})
    assert (refused.status_code, refused.json()["error"]["type"]) == (502, "server_error"), refused.text


@pytest.mark.parametrize("key", ["", "Bearer demo-key:no", "Bearer nobody:x"])
async def test_no_key_and_a_wrong_one_are_401(house: House, key: str):
    house.http.headers.pop("authorization")
    try:
        answers = [
            await house.http.post(CHAT, json={}, headers={"Authorization": key} if key else {}),
            await house.http.get("/v1/models", headers={"Authorization": key} if key else {}),
        ]
    finally:
        house.http.headers.update(bearer("demo"))
    assert [(one.status_code, one.json()["error"]["code"]) for one in answers] == [(401, "invalid_api_key")] * 2


async def test_a_lost_stream_goes_on_as_frames_of_its_run(house: House, model_server: ModelServer):
    model_server.release("lost-openai", 1)
    body = {"model": model("say", text="one two", hold=1, key="lost-openai"), "messages": HELLO, "stream": True}
    async with house.http.stream("POST", CHAT, json=body) as answer:
        async for line in answer.aiter_lines():
            if "one " in line:
                break
    run = answer.headers["x-event-id"]
    model_server.release("lost-openai", 1)
    whole = await house.http.get(f"/v1/runs/{run}/events", params={"frames": "openai"})
    said = [json.loads(line[6:]) for line in whole.text.split("\n") if line.startswith("data: {")]
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in said) == "one two"
    assert said[0]["model"] == body["model"]


async def test_a_silent_model_does_not_keep_the_client_waiting_for_its_headers(house: House, model_server: ModelServer):
    body = {"model": model("say", text="late", hold=1, key="silent-openai"), "messages": HELLO, "stream": True}
    async with house.http.stream("POST", CHAT, json=body) as answer:
        lines = [line async for line in until_ping(answer)]
        model_server.release("silent-openai", 1)
    assert '"role":"assistant"' in lines[0]


async def until_ping(answer: Any) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        if line == ": ping":
            return
        if line:
            yield line


async def test_the_client_asks_a_flow_where_it_lives(workflow: AsyncOpenAI, house: House, model_server: ModelServer):
    deployed = await house.deploy(scripted(model_server, text="one two"))
    body = {"flow_id": deployed, "uid": "u", "parameters": {"AGENT_USER_INPUT": "hi"}}
    chunks = [one async for one in await workflow.chat.completions.create(model="any", messages=HELLO, stream=True, extra_body=body)]
    assert "".join(one.choices[0].delta.content or "" for one in chunks) == "one two"
    assert chunks[-1].choices[0].finish_reason == "stop"
    for more in ({"stream": False}, {}):
        said = await workflow.chat.completions.create(model="any", messages=HELLO, extra_body=body, **more)  # type: ignore[call-overload]
        assert said.choices[0].message.content == "one two"
