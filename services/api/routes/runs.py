"""Runs on the record: list, one run, its events live or past, its text, cancelling. Only the caller's own; others do not exist.

In come ids, positions and filters; out go JSON, or SSE whose ids are positions.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from events.commands import CancelRun
from events.topics import run_stream, slot_of_id
from projections import node_runs, questions, runs
from projections.runs import Run, RunFilter
from projections.schema import BadCursor
from services.api.answers.problems import BadRequest, Json, Missing, Refusal
from services.api.answers.row_words import shown_node, shown_question, shown_run
from services.api.api import Api, StrictRoute, TheApi, TheCaller
from services.api.asking.answering import answer_question
from services.api.asking.starting import opened, run_id
from services.api.asking.subjects import subject_of
from services.api.dialects import agent, assistant, astron, deepwiki, native, openai
from services.api.following.follow import Follower
from services.api.following.shown import Text
from services.api.following.streams import (
    EVENT_ID,
    Rendering,
    answer,
    from_position,
    in_agent,
    in_assistant,
    in_astron,
    in_deepwiki,
    in_native,
    in_openai,
    in_raw,
)
from services.api.following.waits import waits as waits_of
from services.api.gate.identity import Caller

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["runs"])
Dialect = Literal["native", "agent", "assistant", "astron", "deepwiki", "openai"]
Limit = Annotated[int, Query(ge=1, le=200, description="How many.")]
Cursor = Annotated[str, Query(max_length=500, description="From the page before.")]
Since = Annotated[int | None, Query(ge=0, lt=1 << 53, description="Milliseconds since 1970, included.")]
Until = Annotated[int | None, Query(ge=0, lt=1 << 53, description="Milliseconds since 1970, not included.")]
MinPosition = Annotated[int, Query(ge=0, lt=1 << 53, description="Wait until the rows show this position of the run.")]
RunPosition = Annotated[
    str,
    Query(
        pattern=r"^([0-9]{1,19}:[0-9]{1,15})?$",
        description="`event_id:position`: wait until the rows show this position of this run, so that one reads one's own writes.",
    ),
]
After = Annotated[int | None, Query(ge=0, lt=1 << 53, description="The last position that was read.")]
_LastId = Annotated[str, Header(alias="Last-Event-ID", max_length=64, description="The last `id` that was read; the same as `after`.")]
_Accept = Annotated[str, Header(alias="Accept")]
_From = Annotated[int | None, Query(alias="from", ge=0, lt=1 << 53, description="A byte of the text in UTF-8, from 0.")]


class Reply(BaseModel):
    """An answer. `question` is the number of the one that is meant; without it, the newest of the run."""

    event_type: Literal["resume", "ignore", "abort"] = "resume"
    content: str = Field("", description="Free text, or the name of an option.")
    question: int | None = Field(None, ge=1, lt=1 << 31)


@router.get("/runs")
async def listing(
    api: TheApi,
    caller: TheCaller,
    flow: str | None = None,
    chat: str | None = None,
    uid: Annotated[str | None, Query(max_length=40)] = None,
    status: runs.Status | None = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = "",
    limit: Limit = 50,
    min_position: RunPosition = "",
) -> Response:
    """The caller's runs, newest first."""
    await reached(api, caller, min_position)
    subject = None if uid is None else subject_of(caller.app, uid=uid)
    wanted = RunFilter(app=caller.app, flow=flow, chat=chat, subject=subject, status=status, since=since, until=until)
    async with api.world.database.connect() as connection:
        try:
            page = await runs.page(connection, wanted, cursor or None, limit)
        except BadCursor as wrong:
            raise BadRequest(f"cursor: {wrong}") from None
    return Json({"runs": [shown_run(row) for row in page.runs], "cursor": page.cursor})


@router.get("/runs/{event_id}")
async def one(event_id: str, api: TheApi, caller: TheCaller, min_position: MinPosition = 0) -> Response:
    """A run, what each of its nodes did, and what it waits for while it has not ended."""
    run = await _mine(api, caller, event_id, min_position)
    async with api.world.database.connect() as connection:
        nodes = await node_runs.of_run(connection, run.run)
        asked = await questions.of_run(connection, run.run)
    waits = next((shown_question(one, run.audit) for one in asked if one.status == "open"), None)
    said = {
        "waiting_for": waits,
        "questions": [shown_question(one, run.audit) for one in asked],
        "nodes": [shown_node(node, run.audit) for node in nodes],
    }
    pending = [] if run.finished is not None else await waits_of(api, run.run)
    return Json({**shown_run(run), **said, "waits": pending}, headers={EVENT_ID: run.run})


@router.post("/runs/{event_id}/answer")
async def answer_(event_id: str, body: Reply, api: TheApi, caller: TheCaller) -> Response:
    """Answer the question that the run waits with. 409: it waits for nothing, or has its answer already."""
    run = await _mine(api, caller, event_id, 0)
    follower = await opened(api, run.run)
    try:
        answered = await answer_question(api, caller, follower, body.event_type, body.content, body.question)
    finally:
        follower.close()
    accepted = answered.accepted
    await api.rows.wait(accepted.partition, accepted.offset, api.world.settings.write_wait_s)
    said = {"event_id": run.run, "question": answered.question, "status": "answered", "position": accepted.position}
    return Json(said, headers={EVENT_ID: run.run})


@router.get("/runs/{event_id}/events")
async def events(
    event_id: str,
    api: TheApi,
    caller: TheCaller,
    last: _LastId = "",
    after: After = None,
    follow: bool = True,
    frames: Dialect = "native",
    min_position: MinPosition = 0,
    accept: _Accept = "",
) -> Response:
    """Everything that happened in a run after a position: as SSE while it goes on, or as JSON what is there now."""
    run = await _mine(api, caller, event_id, min_position)
    position = _after(last, after)
    begin, as_json = position if frames == "native" else 0, "application/json" in accept and "text/event-stream" not in accept
    if not as_json:
        api.limits.follow()
    follower = await opened(api, run.run, begin)
    if position and frames != "native":
        (await opened(api, run.run, position)).close()
    if as_json:
        return await _as_json(follower, frames, position, run.run)
    rendering = _rendering(api, frames, position)
    gauge = api.world.metrics.open_streams.labels("native")
    return answer(follower, rendering, api.world.settings.ping_s, run.run, gauge, follow=follow)


@router.get("/runs/{event_id}/text")
async def text(event_id: str, api: TheApi, caller: TheCaller, min_position: MinPosition = 0, begin: _From = None) -> Response:
    """What the run has shown so far; with `from`, the text itself from that byte on, live or finished."""
    run = await _mine(api, caller, event_id, min_position)
    if begin is not None:
        api.limits.follow()
    follower = await opened(api, run.run)
    if begin is not None:
        return await _from_byte(api, follower, run.run, begin)
    try:
        whole = Text()
        for event in await follower.present():
            whole.add(event.envelope.data)
        said = {"content": whole.content, "reasoning": whole.reasoning, "position": follower.position, "ended": follower.ended}
    finally:
        follower.close()
    return Json({"event_id": run.run, **said}, headers={EVENT_ID: run.run})


@router.post("/runs/{event_id}/cancel")
async def cancel(event_id: str, api: TheApi, caller: TheCaller) -> Response:
    """End a run now. A run that has ended is 409."""
    run = await _mine(api, caller, event_id, 0)
    if run.finished is not None:
        raise Refusal(23900, "the run has ended", 409)
    command = CancelRun(run=run.run, app=caller.app, by=caller.app)
    accepted = await api.commander.change(command, stream=run_stream(run.run), slot=slot_of_id(run.run), app=caller.app, actor=caller.app)
    return Json({"event_id": run.run, "status": "cancelled", "position": accepted.position}, headers={EVENT_ID: run.run})


async def _from_byte(api: Api, follower: Follower, run: str, begin: int) -> Response:
    """The raw text of a run, which is what the wiki's doors send. Raises `BadRequest` for a byte that nobody has seen."""
    try:
        present = await follower.present()
    except BaseException:
        follower.close()
        raise
    shown, whole = sum(map(len, map(in_raw().render, present))), in_raw(begin)
    if begin > shown:
        follower.close()
        raise BadRequest(f"from: the text has {shown} bytes so far")
    gauge = api.world.metrics.open_streams.labels("native")
    return answer(follower, whole, api.world.settings.ping_s, run, gauge, before=present, media_type="text/plain; charset=utf-8")


def _rendering(api: Api, frames: Dialect, position: int) -> Rendering:
    if frames == "native":
        return in_native()
    views = {"agent": in_agent, "assistant": in_assistant, "deepwiki": in_deepwiki, "openai": in_openai}
    view = in_astron(api.world.clock, leg=0) if frames == "astron" else views[frames]()
    return from_position(view, position)


async def _mine(api: Api, caller: Caller, event_id: str, min_position: int) -> Run:
    """The caller's run, also one that is so new that the rows lag. Raises `Missing`, and `BadRequest` for a position it never had."""
    run = run_id(event_id)
    if run is None:
        raise Missing("there is no such run")
    row = await _row(api, run)
    if row is not None and row.app != caller.app:
        raise Missing("there is no such run")
    wanted = min_position or (0 if row is not None else 1)
    if wanted:
        follower = await opened(api, run, wanted - 1)
        try:
            patience = api.world.settings.write_wait_s
            found = await follower.next(patience)
            if not found:
                raise BadRequest(f"min_position: position {wanted} did not come within {patience:g} s")
            await api.rows.wait(found[0].partition, found[0].offset, patience)
        finally:
            follower.close()
        row = await _row(api, run)
    if row is None or row.app != caller.app:
        raise Missing("there is no such run")
    return row


async def reached(api: Api, caller: Caller, min_position: str) -> None:
    """Wait, bounded, until the rows show a position of a run of the caller's. Raises `Missing` and `BadRequest`."""
    if min_position:
        run, position = min_position.split(":")
        await _mine(api, caller, run, int(position))


async def _row(api: Api, run: str) -> Run | None:
    async with api.world.database.connect() as connection:
        return await runs.get(connection, run)


def _after(last: str, after: int | None) -> int:
    """The cursor. Raises `BadRequest` where header and query contradict each other or the header is no position."""
    if not last:
        return after or 0
    if not (last.isascii() and last.isdigit() and len(last) < 16):
        raise BadRequest("Last-Event-ID: expected a position, a whole number")
    if after is not None and after != int(last):
        raise BadRequest("Last-Event-ID and after name different positions")
    return int(last)


async def _as_json(follower: Follower, frames: Dialect, position: int, run: str) -> Response:
    try:
        found = await follower.present()
        state = {"position": follower.position, "ended": follower.ended}
    finally:
        follower.close()
    if frames == "native":
        return Json({"events": [native.as_json(event) for event in found], **state}, headers={EVENT_ID: run})
    folds = {
        "agent": agent.Chunks,
        "assistant": assistant.Blocks,
        "astron": astron.Frames,
        "deepwiki": deepwiki.Blocks,
        "openai": openai.Chunks,
    }
    fold = folds[frames]()
    shown = [(event.position, fold.feed(event)) for event in found]
    return Json({"frames": [frame for at, caused in shown if at > position for frame in caused], **state}, headers={EVENT_ID: run})
