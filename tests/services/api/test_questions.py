"""Questions over HTTP: the interrupt frame, one answer, legs that can be read again, who waits for whom. The whole line runs."""

import asyncio
import json
from typing import Any

import pytest

from events.topics import EVENTS, run_stream
from tests.services.api.conftest import House, W, bearer
from tests.services.api.test_chat import content, frames
from tests.support.asking import direct, optional, then_a_model
from tests.support.model_server import ModelServer, model


async def asked(house: House, document: dict[str, Any], said: str = "Lin", **more: Any) -> tuple[str, list[dict[str, Any]]]:
    """A run that waits for an answer: its id, and the frames so far."""
    flow_id = await (house.add(document) if more.get("debug") else house.deploy(document))
    async with house.chat(flow_id, said, **more) as answer:
        found = await frames(answer)
    return answer.headers["x-event-id"], found


async def answered(house: House, run: str, said: str = "", event_type: str = "resume", *, debug: bool = False, **more: Any) -> Any:
    """What a resume answers: frames of a stream, or one object."""
    path = f"{W}/debug/resume" if debug else f"{W}/resume"
    body = {"event_id": run, "event_type": event_type, "content": said}
    async with house.http.stream("POST", path, json=body, **more) as answer:
        if answer.headers["content-type"].startswith("text/event-stream"):
            return await frames(answer)
        return json.loads(await answer.aread())


async def record(house: House, run: str) -> list[dict[str, Any]]:
    reply = await house.http.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})
    return reply.json()["events"]


async def test_an_open_stream_ends_with_the_interrupt_frame(house: House):
    run, found = await asked(house, direct())
    assert content(found) == ["Hello ", "Lin", ". ", ""]
    last = found[-1]
    assert last["choices"][0] == {
        "delta": {"role": "assistant", "content": "", "reasoning_content": ""},
        "index": 0,
        "finish_reason": "interrupt",
    }
    value = {"type": "direct", "content": "Lin, your name?"}
    assert last["event_data"] == {"event_id": run, "event_type": "interrupt", "need_reply": False, "value": value}
    assert (last["workflow_step"]["seq"], "usage" in last, "node" in last["workflow_step"]) == (4, False, False)


async def test_the_answer_goes_on_where_the_question_stopped(house: House):
    run, first = await asked(house, direct())
    rest = await answered(house, run, "Bo")
    assert content(rest) == ["Hi ", "Bo", ""]
    assert [frame["workflow_step"]["seq"] for frame in rest] == [1, 2, 3]
    assert (rest[-1]["choices"][0]["finish_reason"], "usage" in rest[-1]) == ("stop", True)
    assert {frame["id"] for frame in first} == {f"spf{run}.1@hf"}
    assert {frame["id"] for frame in rest} == {f"spf{run}.2@hf"}


async def test_a_debug_stream_starts_the_question_twice_and_the_next_one_with_its_end(house: House):
    run, found = await asked(house, direct(), debug=True)
    of_question = [frame["workflow_step"]["node"] for frame in found if frame["workflow_step"]["node"]["id"].startswith("question-answer")]
    assert [node.get("finish_reason") for node in of_question] == [None, None, "interrupt"]
    rest = await answered(house, run, "Bo", debug=True)
    node = rest[0]["workflow_step"]["node"]
    assert (node["id"], node["finish_reason"], node["outputs"]) == (
        "question-answer::ask", "stop", {"query": "Lin, your name?", "content": "Bo"},
    )  # fmt: skip


async def test_an_option_is_offered_and_chosen_by_its_name(house: House):
    run, found = await asked(house, optional())
    assert found[-1]["event_data"]["value"]["option"][0] == {"id": "A", "text": "Tea", "content_type": "string"}
    assert "".join(content(await answered(house, run, "B"))) == "B=Coffee"


@pytest.mark.parametrize(("event_type", "code"), [("abort", 23802), ("dance", 23802), ("ignore", 0)])
async def test_other_kinds_of_answers_are_told_at_once(house: House, event_type: str, code: int):
    run, _ = await asked(house, direct())
    assert (await answered(house, run, "", event_type))[-1]["code"] == code


async def test_one_who_does_not_stream_is_asked_and_answered_with_json(house: House):
    flow_id = await house.deploy(direct())
    async with house.chat(flow_id, "Lin", stream=False) as answer:
        said = json.loads(await answer.aread())
    assert said["choices"][0]["finish_reason"] == "interrupt"
    assert said["choices"][0]["delta"]["content"] == "Hello Lin. "
    assert said["event_data"]["value"]["content"] == "Lin, your name?"
    assert ("workflow_step" in said, "usage" in said) == (False, False)
    rest = await answered(house, said["event_data"]["event_id"], "Bo")
    assert (rest["choices"][0]["delta"]["content"], rest["choices"][0]["finish_reason"]) == ("Hi Bo", "stop")
    assert "usage" in rest


async def test_of_many_answers_at_once_one_is_taken_and_the_others_are_23901(house: House, model_server: ModelServer):
    name = model("say", text="fine", hold=1, key="race")
    run, _ = await asked(house, then_a_model({"model": name, "domain": name, "url": model_server.url, "apiKey": "any"}))
    racing = [asyncio.create_task(answered(house, run, f"a{number}")) for number in range(4)]
    done: list[Any] = []
    for one in asyncio.as_completed(racing):
        done.append(await one)
        if len(done) == 3:
            model_server.release("race", 1)
    refused, (winner,) = [one for one in done if isinstance(one, dict)], [one for one in done if isinstance(one, list)]
    assert [one["code"] for one in refused] == [23901] * 3
    assert refused[0]["symbol"] == "EVENT_BUSY_ERROR"
    assert "".join(content(winner)) == "fine"
    events = await record(house, run)
    assert sum(one["type"] == "question.answered" for one in events) == 1


async def test_answers_to_nothing_are_23900(house: House):
    run, _ = await asked(house, direct())
    await answered(house, run, "Bo")
    assert (await answered(house, run, "again"))["code"] == 23900
    assert (await answered(house, "123456789", "x"))["code"] == 23900
    assert (await answered(house, "no number", "x"))["code"] == 23900


async def test_an_answer_before_any_question_is_23900(house: House, model_server: ModelServer):
    name = model("say", text="late", hold=1, key="before-any")
    document = then_a_model({"model": name, "domain": name, "url": model_server.url, "apiKey": "any"})
    document["data"]["nodes"][2]["data"]["inputs"] = []
    document["data"]["edges"] = [
        {"sourceNodeId": one, "targetNodeId": other, "sourceHandle": ""}
        for one, other in (
            ("node-start::start", "spark-llm::say"),
            ("spark-llm::say", "question-answer::ask"),
            ("question-answer::ask", "node-end::end"),
        )
    ]
    flow_id = await house.deploy(document)
    async with house.chat(flow_id, "x") as chat:
        said = await answered(house, chat.headers["x-event-id"], "too early")
        model_server.release("before-any", 1)
        found = await frames(chat)
    assert (said["code"], "not paused" in said["message"]) == (23900, True)
    assert found[-1]["choices"][0]["finish_reason"] == "interrupt"


async def test_only_the_owners_app_may_answer_or_look(house: House):
    run, _ = await asked(house, direct())
    assert (await answered(house, run, "x", headers=bearer("other")))["code"] == 20005
    reply = await house.http.post(f"/v1/runs/{run}/answer", json={"content": "x"}, headers=bearer("other"))
    assert reply.status_code == 404
    assert "".join(content(await answered(house, run, "Bo"))) == "Hi Bo"


async def test_every_leg_can_be_read_again_byte_for_byte(house: House):
    flow_id = await house.deploy(direct())
    async with house.chat(flow_id, "Lin") as chat:
        first = await chat.aread()
    run = chat.headers["x-event-id"]

    async def again(path: str, cursor: str = "") -> bytes:
        headers = {"Last-Event-ID": cursor} if cursor else {}
        return (await house.http.get(path, headers=headers)).content

    path = f"{W}/chat/completions/{run}"
    assert await again(path) == first
    assert await again(f"{path}?after_seq=3") == first[first.rindex(b"data: ", 0, -2) :]
    async with house.http.stream("POST", f"{W}/resume", json={"event_id": run, "content": "Bo"}) as resumed:
        second = await resumed.aread()
    assert await again(path) == second
    assert await again(path, "1.0") == first
    assert await again(path, "2.0") == second
    assert await again(path, "0") == second
    async with house.http.stream("POST", f"{W}/resume", json={"event_id": run, "content": ""}, headers={"Last-Event-ID": "2"}) as rest:
        assert await rest.aread() == second[second.rindex(b"data: ") :]
    refused = await house.http.get(path, headers={"Last-Event-ID": "3.0"})
    assert refused.json()["code"] == 460
    numbered = await house.http.get(path, headers={"Last-Event-ID": "1.0", "X-Stream-Ids": "1"})
    assert [line for line in numbered.text.splitlines() if line.startswith("id:")] == [f"id: 1.{number}" for number in range(1, 5)]


async def test_a_native_reader_sees_question_and_answer_on_one_stream(house: House):
    run, _ = await asked(house, direct())
    async with house.http.stream("GET", f"/v1/runs/{run}/events") as events:
        lines = events.aiter_lines()
        async for line in lines:
            if line == "event: question.asked":
                break
        reply = await house.http.post(f"/v1/runs/{run}/answer", json={"content": "Bo"})
        kinds = [line[7:] async for line in lines if line.startswith("event: ")]
    assert (reply.status_code, reply.json()["status"], reply.json()["question"]) == (200, "answered", 1)
    assert (kinds[0], kinds[-1]) == ("question.answered", "run.completed")


async def test_a_run_says_whom_it_waits_for_and_who_answered(house: House):
    run, _ = await asked(house, direct(timeout=60))
    await settled(house, run)
    row = (await house.http.get(f"/v1/runs/{run}")).json()
    waits = row["waiting_for"]
    assert row["status"] == "waiting"
    assert (waits["question"], waits["node"], waits["text"], waits["status"]) == (1, "question-answer::ask", "Lin, your name?", "open")
    assert waits["deadline"] - waits["asked"] == 3_600_000
    (named,) = row["waits"]
    assert (named["what"], named["question"], named["until"]) == ("answer", 1, waits["deadline"])
    listed = (await house.http.get("/v1/runs?status=waiting")).json()["runs"]
    assert run in [one["event_id"] for one in listed]
    await house.http.post(f"/v1/runs/{run}/answer", json={"content": "Bo"})
    row = (await house.http.get(f"/v1/runs/{run}")).json()
    (done,) = row["questions"]
    assert row["waiting_for"] is None
    assert (done["status"], done["event_type"], done["content"], done["by"]) == ("answered", "resume", "Bo", "demo")
    trail = (await house.http.get(f"/v1/audit/events?event_id={run}&type=question.answered")).json()["events"]
    assert [(one["actor"], one["data"]["content"]["words"], one["data"]["by"]) for one in trail] == [("demo", "Bo", "demo")]


@pytest.mark.parametrize(
    ("body", "field"), [({"event_type": "dance"}, "event_type"), ({"question": 0}, "question"), ({"content": 1}, "content")]
)
async def test_a_wrong_native_answer_is_named(house: House, body: dict[str, Any], field: str):
    run, _ = await asked(house, direct())
    reply = await house.http.post(f"/v1/runs/{run}/answer", json=body)
    assert reply.status_code == 422
    assert field in reply.text


async def test_a_native_answer_to_an_answered_question_is_409(house: House):
    run, _ = await asked(house, direct())
    await answered(house, run, "Bo")
    await settled(house, run)
    assert (await house.http.post(f"/v1/runs/{run}/answer", json={"content": "x"})).status_code == 409


async def test_the_open_question_of_a_chat_is_found_by_its_id(house: House):
    assert (await house.http.get("/v1/chats/nobody/pending")).json() == {"chat_id": "nobody", "pending": []}
    run, _ = await asked(house, optional(), chat_id="c/ 1")
    (found,) = (await house.http.get("/v1/chats/c%2F%201/pending")).json()["pending"]
    assert (found["event_id"], found["kind"], found["text"]) == (run, "option", "Which drink?")
    assert [one["name"] for one in found["options"]] == ["A", "B", "default"]
    assert (await house.http.get("/v1/chats/c%2F%201/pending", headers=bearer("other"))).json()["pending"] == []
    await answered(house, run, "A")
    assert (await house.http.get("/v1/chats/c%2F%201/pending")).json()["pending"] == []


async def test_a_cancelled_run_withdraws_its_question(house: House):
    run, _ = await asked(house, direct(), chat_id="c-cancelled")
    await settled(house, run)
    await house.http.post(f"/v1/runs/{run}/cancel")
    assert (await house.http.get("/v1/chats/c-cancelled/pending")).json()["pending"] == []
    row = (await house.http.get(f"/v1/runs/{run}")).json()
    assert [one["status"] for one in row["questions"]] == ["withdrawn"]
    assert (await answered(house, run, "x"))["code"] == 23900


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_of_openai_gets_the_question_as_text_and_a_clear_end(house: House, stream: bool):
    flow_id = await house.deploy(optional())
    body = {"model": flow_id, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    reply = await house.http.post("/v1/chat/completions", json=body)
    run = reply.headers["x-event-id"]
    if stream:
        lines = [line[6:] for line in reply.text.splitlines() if line.startswith("data: ")]
        assert lines[-1] == "[DONE]"
        chunks = [json.loads(line) for line in lines[:-1]]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        finish, asked = chunks[-1]["choices"][0]["finish_reason"], chunks[-1]["event_data"]
    else:
        whole = reply.json()
        text, finish, asked = whole["choices"][0]["message"]["content"], whole["choices"][0]["finish_reason"], whole["event_data"]
    assert (text, finish) == ("Which drink?\nA: Tea\nB: Coffee", "stop")
    assert asked == {"event_id": run, "event_type": "interrupt", "need_reply": False, "question": 1}
    rest = await answered(house, run, "A")
    assert "".join(content(rest if stream else [rest])) == "A=Tea"
    text = (await house.http.get(f"/v1/runs/{run}/text")).json()["content"]
    assert text == "Which drink?\nA: Tea\nB: CoffeeA=Tea"


async def settled(house: House, run: str) -> None:
    """Until the rows show everything that the log has of the run's partition."""
    partition = house.api.tails.partition_of(run_stream(run))
    _, end = await house.world.log.bounds(EVENTS, partition)
    await house.api.rows.wait(partition, end - 1, 10)
