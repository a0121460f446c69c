"""What did each node of a run do?"""

import pytest

from events.node import NodeFailed, NodeStarted, NodeTimedOut, Problem
from events.topics import run_stream
from projections import node_runs
from services.kit.database import Database
from tests.support.histories import History
from tests.support.rows import project
from tests.support.samples import RUN, USAGE, values


async def of_run(database: Database) -> list[node_runs.NodeRun]:
    async with database.connect() as connection:
        return await node_runs.of_run(connection, RUN)


@pytest.mark.parametrize("batch", [1, 4, 1000])
async def test_every_node_of_a_run_has_a_row_in_order(database: Database, batch: int) -> None:
    history = History()
    history.run(texts=["a", "b"])
    await project(database, history, batch)
    rows = {row.node: row for row in await of_run(database)}
    assert list(rows) == ["node-start::1", "spark-llm::2", "message::3", "message::5", "node-end::4"]
    assert [row.status for row in rows.values()] == ["completed", "completed", "completed", "skipped", "completed"]
    model = rows["spark-llm::2"]
    assert (model.kind, model.alias, model.path, model.attempt) == ("spark-llm", "Model", "", 1)
    assert model.inputs == {"subject": "person-1", "words": {"AGENT_USER_INPUT": "Why is the sky blue?"}}
    assert model.outputs == {"subject": "person-1", "words": {"output": "ab"}}
    assert model.usage == USAGE.model_dump()
    assert (model.request, model.response) == ({"gen_ai.request.model": "offline-demo"}, {"gen_ai.usage.output_tokens": 7})
    assert model.first_token_ms == 5
    assert model.started is not None
    assert model.finished is not None
    assert model.finished > model.started
    assert rows["message::5"].started is None


@pytest.mark.parametrize("batch", [1, 1000])
async def test_attempts_and_rounds_are_rows_of_their_own(database: Database, batch: int) -> None:
    history = History()
    problem = Problem(code=20380, message="429")
    for round_ in (0, 1):
        for attempt in (1, 2):
            node = {"node": "n", "path": (0, round_), "attempt": attempt}
            history.say(run_stream(RUN), NodeStarted(kind="spark-llm", alias="A", progress=0, **node))
            history.say(run_stream(RUN), NodeFailed(problem=problem, then="retry", progress=0, **node))
    await project(database, history, batch)
    rows = await of_run(database)
    assert [(row.path, row.attempt) for row in rows] == [("0.0", 1), ("0.0", 2), ("0.1", 1), ("0.1", 2)]
    assert {(row.status, row.then) for row in rows} == {("failed", "retry")}
    assert rows[0].problem == problem.model_dump()


async def test_a_node_that_failed_before_it_started_has_a_row(database: Database) -> None:
    history = History()
    failed = NodeFailed(
        node="s", problem=Problem(code=22500, message="x"), then="end", progress=0, kind="node-start", alias="Start", inputs=values(x=1)
    )
    history.say(run_stream(RUN), failed)
    await project(database, history)
    (row,) = await of_run(database)
    assert (row.kind, row.alias, row.status, row.started) == ("node-start", "Start", "failed", None)
    assert row.inputs == {"subject": "person-1", "words": {"x": 1}}


async def test_a_node_that_fell_silent_shows_it_until_its_failure_is_told(database: Database) -> None:
    history = History()
    history.say(run_stream(RUN), NodeStarted(node="n", kind="k", alias="A", progress=0), NodeTimedOut(node="n", limit_ms=9))
    await project(database, history)
    assert [row.status for row in await of_run(database)] == ["timed_out"]
    history.say(run_stream(RUN), NodeFailed(node="n", problem=Problem(code=1, message="m"), then="end", progress=0))
    await project(database, history)
    assert [row.status for row in await of_run(database)] == ["failed"]


async def test_values_that_databases_do_not_like_come_back_unchanged(database: Database) -> None:
    history = History()
    strange = values(inf=float("inf"), nul="a\x00b", big=10**40, deep=[{"\ue000": None}])
    history.say(run_stream(RUN), NodeStarted(node="n", kind="k", alias="\x00", progress=0, inputs=strange))
    await project(database, history)
    (row,) = await of_run(database)
    assert row.alias == "\x00"
    assert row.inputs is not None
    assert row.inputs["words"] == strange.words
