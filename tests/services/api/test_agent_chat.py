"""Chats with bots over HTTP: both forms, streamed or not, errors at 200, coming back. The model is scripted."""

from typing import Any

import pytest

from tests.services.api.bots import CHAT, CONFIG, asked, chunks, configuration, content, made
from tests.services.api.conftest import House, bearer
from tests.support.model_server import ModelServer

CUSTOM = "/agent/v1/custom/chat/completions"
NULLS = {"function_call": None, "refusal": None, "role": "assistant", "tool_calls": None}


async def test_a_stream_has_chunks_with_their_nulls_a_stop_chunk_and_done(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="Hefei is", thought="hm")
    answer = await house.http.post(CHAT, json=asked(bot))
    found = chunks(answer.text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (content(found), content(found, "reasoning_content")) == ("Hefei is", "hm")
    word = found[1]
    assert word["choices"] == [
        {"delta": {"content": "Hefei ", **NULLS, "reasoning_content": None}, "finish_reason": None, "index": 0, "logprobs": None}
    ]
    assert (word["code"], word["message"], word["usage"], word["logs"], word["knowledge_metadata"]) == (0, "success", None, [], [])
    assert word["model"].startswith("say?")
    assert word["created"] > 10**12
    stop = found[-1]
    assert (stop["choices"][0]["finish_reason"], stop["model"], stop["code"], stop["message"]) == ("stop", "", 0, "success")
    assert stop["usage"] == {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
    assert len({one["id"] for one in found}) == 1


async def test_one_answer_has_all_text(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="Hefei is a city", thought="hm")
    said = (await house.http.post(CHAT, json=asked(bot, stream=False))).json()
    assert (said["object"], said["code"], said["model"][:4]) == ("chat.completion", 0, "say?")
    message = {"role": "assistant", "content": "Hefei is a city", "reasoning_content": "hm", "tool_calls": []}
    assert said["choices"] == [{"index": 0, "message": message, "finish_reason": "stop"}]


async def test_the_model_hears_the_instruction_the_whole_chat_and_the_bots_parameters(house: House, model_server: ModelServer):
    bot = await made(house, model_server, key="hears", answer="Be kind.", parameter={"max_tokens": 9, "top_k": 2})
    await house.http.post(CHAT, json=asked(bot, "first", "reply", "second"))
    body = model_server.calls("hears")[0].body
    said = [("system", "Be kind."), ("user", "first"), ("assistant", "reply"), ("user", "second")]
    assert [(one["role"], one["content"]) for one in body["messages"]] == said
    assert (body["max_tokens"], body["top_k"]) == (9, 2)
    assert "temperature" not in body


FORM = {"bot_id": "", "uid": "u-1", "stream": True, "meta_data": {"caller": "c", "caller_sid": "s", "timestamp": 1640995200}}


@pytest.mark.parametrize("name", ["messages", "input", "query", "question", "AGENT_USER_INPUT"])
async def test_the_documents_form_never_has_null_text_and_says_the_message_as_well(house: House, model_server: ModelServer, name: str):
    bot = await made(house, model_server, text="one two", thought="hm", key=f"form-{name}")
    asks: Any = [{"role": "user", "content": "hello"}] if name == "messages" else "hello"
    found = chunks((await house.http.post(CHAT, json={**FORM, "bot_id": bot, "parameters": {name: asks}})).text)
    assert model_server.calls(f"form-{name}")[0].body["messages"] == [{"role": "user", "content": "hello"}]
    choices = [one["choices"][0] for one in found]
    assert [choice["delta"]["content"] for choice in choices] == ["", "one ", "two", ""]
    assert [choice["message"]["content"] for choice in choices] == ["", "one ", "two", ""]
    assert choices[0]["message"]["reasoning_content"] == "hm"
    assert all(10**9 < one["created"] < 10**10 for one in found)


async def test_sampling_options_are_used_and_recorded(house: House, model_server: ModelServer):
    bot = await made(house, model_server, key="sampling", parameter={"temperature": 0.1})
    options = {"temperature": 1.5, "max_tokens": 5, "top_k": 3, "top_p": 0.5, "repetition_penalty": 1.1, "stop_sequences": ["x"], "seed": 7}
    answer = await house.http.post(CHAT, json={**FORM, "bot_id": bot, "parameters": {"input": "hello", "seed": 7}, **options})
    sent = model_server.calls("sampling")[0].body
    wished = {**options, "stop": options.pop("stop_sequences")}
    del wished["stop_sequences"]
    assert {name: sent[name] for name in wished} == wished
    events = (await house.http.get(f"/v1/runs/{answer.headers['x-event-id']}/events", headers={"Accept": "application/json"})).json()[
        "events"
    ]
    param = events[0]["data"]["document"]["data"]["nodes"][1]["data"]["nodeParam"]
    assert (param["temperature"], param["extraParams"]["stop"]) == (1.5, ["x"])
    assert events[0]["data"]["ext"]["words"]["meta_data"]["timestamp"] == 1640995200


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": None}, "messages"),
        ({"parameters": {"input": "x"}}, "messages and parameters"),
        ({"messages": None, "parameters": {}}, "parameters"),
        ({"messages": None, "parameters": {"input": ""}}, "parameters.input"),
        ({"messages": None, "parameters": {"messages": [5]}}, "parameters"),
        ({"messages": None, "parameters": {"input": "x", "temperature": 3}}, "temperature"),
        ({"messages": None, "parameters": {"input": "x", "seed": 1}, "seed": 2}, "seed"),
        ({"temperature": -1}, "temperature"),
        ({"uid": "u" * 65}, "uid"),
        ({"stream": "maybe"}, "stream"),
        ({"meta_data": {"ping": "what"}}, "ping"),
    ],
)
async def test_what_was_not_understood_is_a_chunk_without_choices(house: House, change: dict[str, Any], named: str):
    answer = await house.http.post(CHAT, json={**asked("b"), **change})
    said = answer.json()
    assert (answer.status_code, said["code"], said["choices"], said["symbol"]) == (200, 40002, [], "REQUEST_VALIDATION_ERROR")
    assert named in said["message"]
    assert said["created"] < 10**10


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"tool_ids": ["t"]}, 40023, "no tool t"),
        ({"mcp_server_urls": ["http://127.0.0.1:1/sse"]}, 40023, "MCP server 127.0.0.1"),
        ({"mcp_server_ids": ["m"]}, 40023, "no MCP server m"),
        ({"flow_ids": ["7"]}, 40023, "no flow 7"),
        ({"regular_config": {"match": {"repoId": ["r"]}}}, 40025, "no repository r"),
    ],
)
async def test_a_bot_says_which_of_its_plugins_is_missing(house: House, stream: bool, more: dict[str, Any], code: int, said: str):
    bot = await made(house, **more)
    answer = await house.http.post(CHAT, json=asked(bot, stream=stream))
    last = chunks(answer.text)[-1] if stream else answer.json()
    assert (answer.status_code, last["code"], last["choices"][0]["finish_reason"]) == (200, code, "stop")
    assert said in last["message"]
    assert last["message"].endswith(last["id"])


@pytest.mark.parametrize(("kind", "script", "code"), [("status", {"code": 400}, 40029), ("say", {"then": "cut", "text": "one"}, 40029)])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_failing_model_is_told_at_200_after_what_was_said(
    house: House, model_server: ModelServer, kind: str, script: dict[str, Any], code: int, stream: bool
):
    bot = await made(house, model_server, kind=kind, **script)
    answer = await house.http.post(CHAT, json=asked(bot, stream=stream))
    last = chunks(answer.text)[-1] if stream else answer.json()
    assert (answer.status_code, last["code"], last["symbol"]) == (200, code, "MODEL_CALL_ERROR")
    if stream:
        assert content(chunks(answer.text)) == script.get("text", "")


async def test_an_unknown_bot_and_another_apps_bot_are_40001(house: House):
    bot = await made(house)
    for answer in (
        await house.http.post(CHAT, json=asked("no bot")),
        await house.http.post(CHAT, json=asked(bot), headers=bearer("other")),
    ):
        (stop,) = chunks(answer.text)
        assert (answer.status_code, stop["code"]) == (200, 40001)


async def test_nobody_unknown_apps_and_wrong_keys(house: House):
    named = {"Authorization": "Bearer demo-key:no"}
    assert (await house.http.post(CHAT, json=asked("b"), headers=named)).status_code == 401
    house.http.headers.pop("authorization")
    try:
        nobody = await house.http.post(CHAT, json=asked("b"))
        unknown = await house.http.post(CHAT, json=asked("b"), headers={"x_consumer_username": "nobody"})
        known = await house.http.post(CHAT, json=asked("b"), headers={"x_consumer_username": "demo"})
    finally:
        house.http.headers.update(bearer("demo"))
    assert [(one.status_code, one.json()["code"]) for one in (nobody, unknown)] == [(200, 40002), (200, 40040)]
    assert chunks(known.text)[0]["code"] == 40001


@pytest.mark.parametrize("asks", [True, False])
async def test_a_silent_model_is_covered_by_signs_of_life_of_the_kind_that_was_asked_for(
    house: House, model_server: ModelServer, asks: bool
):
    bot = await made(house, model_server, text="late", hold=1, key=f"silent-{asks}")
    async with house.http.stream("POST", CHAT, json=asked(bot, meta_data={"ping": asks})) as answer:
        lines = answer.aiter_lines()
        async for line in lines:
            if line:
                break
        assert line == ('data: {"ping":"pong"}' if asks else ": ping")
        model_server.release(f"silent-{asks}")
        rest = [one async for one in lines]
    assert any('"content":"late"' in one for one in rest)


async def test_a_lost_stream_goes_on_after_its_last_position_with_nothing_twice(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="one two three four", hold=1, key="lost-agent")
    model_server.release("lost-agent", 2)
    seen: list[str] = []
    async with house.http.stream("POST", CHAT, json=asked(bot), headers={"X-Stream-Ids": "1"}) as answer:
        async for line in answer.aiter_lines():
            if line:
                seen.append(line)
            if '"content":"two ' in line:
                break
    run, last = answer.headers["x-event-id"], seen[-2].removeprefix("id: ")
    model_server.release("lost-agent", 2)
    rest = await house.http.get(CHAT, params={"event_id": run}, headers={"Last-Event-ID": last})
    assert content(chunks(rest.text)) == "three four"
    assert all(line.startswith(("id: ", "data: ")) for line in rest.text.split("\n") if line)
    whole = await house.http.get(CHAT, params={"event_id": run})
    assert content(chunks(whole.text)) == "one two three four"
    by_query = await house.http.get(CHAT, params={"event_id": run, "after": last})
    assert by_query.text == rest.text
    for frames, said in (("astron", '"content":"three "'), ("openai", '"content":"three "'), ("agent", '"content":"three "')):
        view = await house.http.get(f"/v1/runs/{run}/events", params={"frames": frames})
        assert view.text.count(said) == 1
    assert (await house.http.get(f"/v1/runs/{run}/text")).json()["content"] == "one two three four"
    assert (await house.http.get(f"/v1/runs/{run}")).json()["surface"] == "agent"


@pytest.mark.parametrize(
    ("params", "headers", "named"),
    [
        ({}, {}, "event_id"),
        ({"event_id": ""}, {}, "event_id"),
        ({"event_id": "7529724272403132416"}, {}, "event_id"),
        ({"event_id": "abc"}, {}, "event_id"),
        ({"event_id": "1"}, {"Last-Event-ID": "x"}, "Last-Event-ID"),
    ],
)
async def test_coming_back_to_nothing_is_one_chunk_that_a_client_can_read(
    house: House, params: dict[str, str], headers: dict[str, str], named: str
):
    answer = await house.http.get(CHAT, params=params, headers=headers)
    (stop,) = chunks(answer.text)
    assert (answer.status_code, stop["code"], stop["choices"][0]["delta"]["content"]) == (200, 40002, "")
    assert named in stop["message"]


async def test_a_position_that_the_run_never_had_and_another_apps_run(house: House):
    bot = await made(house)
    run = (await house.http.post(CHAT, json=asked(bot, stream=False))).headers["x-event-id"]
    beyond = await house.http.get(CHAT, params={"event_id": run, "after": 99999})
    assert "beyond the end" in chunks(beyond.text)[0]["message"]
    theirs = await house.http.get(CHAT, params={"event_id": run}, headers=bearer("other"))
    assert "no such run" in chunks(theirs.text)[0]["message"]


async def test_a_repeat_with_the_same_key_follows_the_first_run(house: House):
    bot = await made(house)
    answers = [await house.http.post(CHAT, json=asked(bot), headers={"Idempotency-Key": "agent-1"}) for _ in range(2)]
    assert answers[0].headers["x-event-id"] == answers[1].headers["x-event-id"]
    assert answers[0].text == answers[1].text


async def test_a_run_keeps_the_configuration_of_its_moment(house: House, model_server: ModelServer):
    bot = await made(house, model_server, text="old", key="pinned")
    first = await house.http.post(CHAT, json=asked(bot, stream=False))
    await house.http.put(CONFIG, json=configuration(bot, model_server, text="new", key="pinned"))
    second = await house.http.post(CHAT, json=asked(bot, stream=False))
    said = [one.json()["choices"][0]["message"]["content"] for one in (first, second)]
    hashes = [(await house.http.get(f"/v1/runs/{one.headers['x-event-id']}")).json()["definition"] for one in (first, second)]
    assert said == ["old", "new"]
    assert hashes[0] != hashes[1]


def custom(server: ModelServer, **more: Any) -> dict[str, Any]:
    part = {"domain": "say?text=mine&key=custom", "api": server.base, "api_key": "sk-custom"}
    messages = [{"role": "user", "content": "x"}]
    return {"model_config": part, "instruction": {"answer": "Be brief."}, "messages": messages, "max_loop_count": 3, **more}


async def test_a_request_may_bring_its_own_model_and_is_always_streamed(house: House, model_server: ModelServer):
    answer = await house.http.post(CUSTOM, json=custom(model_server, stream=False))
    assert content(chunks(answer.text)) == "mine"
    call = model_server.calls("custom")[-1]
    assert (call.headers["authorization"], call.body["messages"][0]["content"]) == ("Bearer sk-custom", "Be brief.")
    record = await house.http.get(f"/v1/runs/{answer.headers['x-event-id']}/events", headers={"Accept": "application/json"})
    assert "sk-custom" not in record.text


async def test_a_requests_own_plugins_are_named_when_they_are_missing(house: House, model_server: ModelServer):
    (stop,) = chunks((await house.http.post(CUSTOM, json=custom(model_server, plugin={"tools": ["t"]}))).text)
    assert (stop["code"], "no tool t" in stop["message"]) == (40023, True)


async def test_a_custom_chat_without_a_model_is_40002(house: House, model_server: ModelServer):
    body = custom(model_server)
    del body["model_config"]
    said = (await house.http.post(CUSTOM, json=body)).json()
    assert (said["code"], said["choices"]) == (40002, [])
    assert "model_config" in said["message"]
