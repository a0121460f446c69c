"""What is on record beside runs: messages and open questions of a chat, the audit trail, the table of errors.

In come filters and cursors; out go pages. Only the caller's own things; others do not exist.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from events.topics import EVENTS, slot_of_name
from projections import audit_events, chat_messages, questions, runs
from projections.audit_events import AuditFilter
from projections.schema import BadCursor
from services.api.answers.errors import TABLE
from services.api.answers.problems import BadRequest, Json, Missing
from services.api.answers.row_words import shown_event, shown_question
from services.api.api import TheApi, TheCaller, bounded
from services.api.asking.subjects import subject_of
from services.api.routes.runs import Cursor, Limit, RunPosition, Since, Until, reached

router = APIRouter(prefix="/v1", tags=["records"])


@router.get("/chats/{chat_id:path}/messages")
async def messages(
    chat_id: Annotated[str, Path(max_length=128)],
    api: TheApi,
    caller: TheCaller,
    cursor: Cursor = "",
    limit: Limit = 50,
    order: Literal["oldest", "newest"] = "oldest",
    min_position: RunPosition = "",
) -> Response:
    """What was said in a chat of the caller's, question by answer."""
    await reached(api, caller, min_position)
    async with api.world.database.connect() as connection:
        try:
            page = await chat_messages.page(connection, caller.app, chat_id, cursor or None, limit, newest_first=order == "newest")
        except BadCursor as wrong:
            raise BadRequest(f"cursor: {wrong}") from None
    said = [
        {"event_id": one.run, "role": one.role, "content": one.content, "reasoning": one.reasoning, "status": one.status, "time": one.time}
        for one in page.messages
    ]
    return Json({"messages": said, "cursor": page.cursor})


@router.get("/chats/{chat_id:path}/pending")
async def pending(chat_id: Annotated[str, Path(max_length=128)], api: TheApi, caller: TheCaller) -> Response:
    """The questions of a chat that wait for an answer now, newest first; `event_id` is what `resume` takes."""
    partition = api.tails.partition(slot_of_name("chat", caller.app, chat_id))
    _, end = await bounded(api, api.world.log.bounds(EVENTS, partition))
    await api.rows.wait(partition, end - 1, api.world.settings.write_wait_s)
    async with api.world.database.connect() as connection:
        found = await questions.pending(connection, caller.app, chat_id, api.world.clock.now())
    return Json({"chat_id": chat_id, "pending": [shown_question(one) for one in found]})


@router.get("/audit/events")
async def audit(
    api: TheApi,
    caller: TheCaller,
    app: str | None = None,
    flow: str | None = None,
    event_id: str | None = None,
    uid: Annotated[str | None, Query(max_length=40)] = None,
    type_: Annotated[str | None, Query(alias="type")] = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = "",
    limit: Limit = 50,
    min_position: RunPosition = "",
) -> Response:
    """Who did what and when, newest first: every event of the caller's but pieces of text."""
    await reached(api, caller, min_position)
    if app not in {None, caller.app}:
        raise Missing("there is no such app")
    subject = None if uid is None else subject_of(caller.app, uid=uid)
    wanted = AuditFilter(app=caller.app, flow=flow, run=event_id, subject=subject, type=type_, since=since, until=until)
    async with api.world.database.connect() as connection:
        try:
            page = await audit_events.page(connection, wanted, cursor or None, limit)
            silent = await runs.silent(connection, {event.run for event in page.events if event.data})
        except BadCursor as wrong:
            raise BadRequest(f"cursor: {wrong}") from None
    return Json({"events": [shown_event(event, is_silent=event.run in silent) for event in page.events], "cursor": page.cursor})


@router.get("/errors")
async def errors() -> Response:
    """The table of errors: symbol, code, codes in the documents, HTTP status, meaning."""
    return Json({"errors": [entry.shown() for entry in TABLE.values()]})
