"""Flows inside flows over HTTP, the whole line running: text, questions, cancelling, usage, and how deep it goes."""

from typing import Any

import pytest

from events.topics import EVENTS
from tests.services.api.children import cancelled_at_work, child_of
from tests.services.api.conftest import House, W, bearer
from tests.services.api.test_chat import content, frames, scripted
from tests.services.api.test_questions import answered, asked, record
from tests.support.asking import direct
from tests.support.flows import at, end, flow, start, subflow
from tests.support.model_server import ModelServer


def around(child: str, template: str = "[{{c}}]", **more: Any) -> dict[str, Any]:
    """A flow that shows what another one says."""
    part = subflow("sub", child, AGENT_USER_INPUT=at("start.AGENT_USER_INPUT"), **more)
    return flow(start(AGENT_USER_INPUT="string"), part, end(template, c=at("sub.content")), edges="start > sub > end")


async def ran(house: House, flow_id: str, **more: Any) -> tuple[str, list[dict[str, Any]]]:
    async with house.chat(flow_id, **more) as answer:
        found = await frames(answer)
    return answer.headers["x-event-id"], found


async def test_parent_and_child_name_each_other_and_the_tokens_add_up(house: House, model_server: ModelServer):
    child = await house.deploy(scripted(model_server, text="one two three"), "v1.0")
    run, found = await ran(house, await house.deploy(around(child)))
    assert "".join(content(found)) == "[one two three]"
    started = next(event["data"] for event in await record(house, run) if event["type"] == "child.started")
    assert (started["flow"], started["flow_version"]) == (child, "v1.0")
    first = (await record(house, started["child"]))[0]["data"]
    assert first["parent"] == {"run": run, "node": "flow::sub", "path": [], "attempt": 1, "depth": 1, "as_tool": False}
    own = (await house.http.get(f"/v1/runs/{started['child']}", params={"min_position": 2})).json()
    assert own["flow_id"] == child
    usage = [
        event["data"]["usage"]
        for run_ in (run, started["child"])
        for event in await record(house, run_)
        if event["type"] == "run.completed"
    ]
    assert usage[0] == usage[1]
    assert usage[0]["total_tokens"] > 0


async def test_a_flow_in_a_flow_in_a_flow_says_what_the_innermost_says(house: House, model_server: ModelServer):
    inner = await house.deploy(scripted(model_server, text="deep"))
    middle = await house.deploy(around(inner, "({{c}})"))
    run, found = await ran(house, await house.deploy(around(middle)))
    assert "".join(content(found)) == "[(deep)]"
    middle_run = await child_of(house, run)
    inner_run = await child_of(house, middle_run)
    assert (await record(house, inner_run))[0]["data"]["parent"]["depth"] == 2


async def test_a_question_inside_is_put_and_answered_where_the_person_is(house: House):
    child = await house.deploy(direct())
    run, first = await asked(house, around(child))
    assert "".join(content(first)) == "[Hello Lin. "
    assert first[-1]["event_data"]["value"] == {"type": "direct", "content": "Lin, your name?"}
    assert first[-1]["event_data"]["event_id"] == run
    refused = await answered(house, await child_of(house, run), "Bo")
    assert refused["code"] == 23900
    rest = await answered(house, run, "Bo")
    assert "".join(content(rest)) == "Hi Bo]"
    again = await answered(house, run, "Ann")
    assert again["code"] in {23900, 23901}


async def test_cancelling_the_parent_ends_the_child_and_its_call(house: House, model_server: ModelServer):
    child = await house.deploy(scripted(model_server, text="one two three", hold=1, key="cancel-child"))
    async with house.chat(await house.deploy(around(child))) as answer:
        run = answer.headers["x-event-id"]
        inner = await cancelled_at_work(house, run)
        model_server.release("cancel-child", 3)
    ends = [(await record(house, one))[-1] for one in (run, inner)]
    assert [end_["type"] for end_ in ends] == ["run.cancelled", "run.cancelled"]
    assert ends[1]["data"]["by"] == f"run-{run}"


async def test_a_flow_that_runs_itself_ends_with_a_sentence(house: House):
    own = await house.add(around("1"))
    document = around(own)
    await house.good(f"{W}/protocol/update/{own}", {"app_id": "demo", "data": document})
    await house.good(f"{W}/publish", {"flow_id": own, "release_status": 1, "plat": 1, "version": ""})
    await house.good(f"{W}/auth", {"flow_id": own, "app_id": "demo"})
    run, found = await ran(house, own)
    assert found[-1]["code"] == 22801
    assert "sub-flows may be nested 8 deep" in found[-1]["message"]
    _, end_ = await house.world.log.bounds(EVENTS, 0)
    assert end_ < 10_000
    assert [event["type"] for event in await record(house, run)][-1] == "run.failed"


@pytest.mark.parametrize("debug", [True, False])
async def test_a_child_of_somebody_else_is_not_run(house: House, debug: bool):
    theirs = await house.good(
        f"{W}/protocol/add", {"name": "theirs", "app_id": "other", "status": 0, "data": direct()}, headers=bearer("other")
    )
    flow_id = await (house.add if debug else house.deploy)(around(str(theirs["flow_id"])))
    _, found = await ran(house, flow_id, debug=debug)
    assert found[-1]["code"] == 20004


async def test_an_unfinished_run_says_what_it_waits_for_by_name(house: House, model_server: ModelServer):
    child = await house.deploy(scripted(model_server, text="one two", hold=1, key="waits"))
    async with house.chat(await house.deploy(around(child))) as answer:
        run = answer.headers["x-event-id"]
        model_server.release("waits")
        await frames(answer, until=2)
        inner = await child_of(house, run)
        (outer_wait,) = (await house.http.get(f"/v1/runs/{run}")).json()["waits"]
        (inner_wait,) = (await house.http.get(f"/v1/runs/{inner}")).json()["waits"]
        model_server.release("waits")
    assert (outer_wait["what"], outer_wait["node"], outer_wait["run"]) == ("run", "flow::sub", inner)
    assert (inner_wait["what"], inner_wait["node"], inner_wait["attempt"]) == ("effect", "spark-llm::ask", 1)
