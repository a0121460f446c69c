"""The workflow chat surface: chats, resumes, re-attaching (astron.md 1.5, 1.6; spec/README).

In come checked requests; out go frames of the run, as a stream or as one answer. A client that leaves stops nothing.
"""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from events.acceptance import Accepted
from events.run import Mode, RunStarted
from services.api.api import Api, StrictRoute, TheApi, TheCaller
from services.api.chat_requests import Answer, Chat
from services.api.dialects import astron
from services.api.follow import Follower
from services.api.identity import Caller
from services.api.problems import BadRequest, Json, Missing, Refusal
from services.api.starting import flow_id, opened, pinned, run_id, start
from services.api.streams import EVENT_ID, Rendering, answer, in_astron, timed, whole

router = APIRouter(route_class=StrictRoute, tags=["workflow chat"])
_Key = Annotated[
    str, Header(alias="Idempotency-Key", max_length=255, description="A repeat of a start with the same key follows the first run.")
]
_LastId = Annotated[str, Header(alias="Last-Event-ID", max_length=64, description="The last `seq` that was read: re-attach after it.")]
_Numbered = Annotated[str, Header(alias="X-Stream-Ids", max_length=8, description="`1` puts an `id:` line before each frame.")]
_UNKNOWN = "The event is unknown, expired, or not this app's"


@router.post("/workflow/v1/chat/completions")
async def chat(body: Chat, api: TheApi, caller: TheCaller, request: Request, key: _Key = "", numbered: _Numbered = "") -> Response:
    """Run the published flow."""
    return await _run(api, caller, request, body, "open", key, numbered)


@router.post("/workflow/v1/debug/chat/completions")
async def debug_chat(body: Chat, api: TheApi, caller: TheCaller, request: Request, key: _Key = "", numbered: _Numbered = "") -> Response:
    """Run the draft, with a frame for every node."""
    return await _run(api, caller, request, body, "debug", key, numbered)


@router.get("/workflow/v1/chat/completions/{event_id}")
async def attach(
    event_id: str,
    api: TheApi,
    caller: TheCaller,
    last: _LastId = "",
    numbered: _Numbered = "",
    after_seq: Annotated[int, Query(ge=0, description="The last `seq` that was read.")] = 0,
) -> Response:
    """The frames of a run after a sequence number, live or finished."""
    return await _attach(api, caller, event_id, _seq(last) if last else after_seq, numbered)


@router.post("/workflow/v1/resume")
@router.post("/workflow/v1/debug/resume")
async def resume(body: Answer, api: TheApi, caller: TheCaller, last: _LastId = "", numbered: _Numbered = "") -> Response:
    """Answer a question; with `Last-Event-ID`, re-attach to the stream instead. No flow of this version asks questions."""
    if last:
        return await _attach(api, caller, body.event_id, _seq(last), numbered)
    follower = await _found(api, caller, body.event_id)
    follower.close()
    raise Refusal(23900, f"{_UNKNOWN} (Current event is not paused)")


async def _run(api: Api, caller: Caller, request: Request, body: Chat, mode: Mode, key: str, numbered: str) -> Response:
    began = in_astron(api.world.clock, numbered=numbered == "1")
    rendering = timed(began, api.world.metrics.first_token_seconds.labels("astron").observe) if mode == "open" else began
    flow = flow_id(body.flow_id)
    pin = await pinned(api, caller, flow, body.version, mode)
    run, follower = await start(api, caller, body, pin, mode, key)
    if body.streams:
        return _stream(api, follower, run, rendering)
    return await _whole(api, follower, run, request, as_message=body.of_openai)


def _stream(api: Api, follower: Follower, run: str, rendering: Rendering) -> Response:
    return answer(follower, rendering, api.world.settings.ping_s, run, api.world.metrics.open_streams.labels("astron"))


async def _whole(api: Api, follower: Follower, run: str, request: Request, *, as_message: bool) -> Response:
    """One answer with all text, when the run has ended."""
    frames, text = astron.Frames(), astron.Whole(as_message)

    def take(event: Accepted) -> astron.Frame | None:
        return next((done for frame in frames.feed(event) if (done := text.add(frame)) is not None), None)

    said = await whole(follower, request, api.world.settings.ping_s, take)
    return Response(status_code=204, headers={EVENT_ID: run}) if said is None else Json(said, headers={EVENT_ID: run})


async def _attach(api: Api, caller: Caller, event_id: str, after: int, numbered: str) -> Response:
    follower = await _found(api, caller, event_id)
    return _stream(api, follower, event_id, in_astron(api.world.clock, after=after, numbered=numbered == "1"))


async def _found(api: Api, caller: Caller, event_id: str) -> Follower:
    """A follower of this app's run. Raises `Refusal`: 23900 for no run, 20005 for another app's."""
    run = run_id(event_id)
    if run is None:
        raise Refusal(23900, _UNKNOWN)
    try:
        follower = await opened(api, run)
    except (Missing, BadRequest):
        raise Refusal(23900, _UNKNOWN) from None
    begun = await follower.peek()
    if not isinstance(begun.envelope.data, RunStarted) or begun.envelope.data.app != caller.app:
        follower.close()
        raise Refusal(20005, "The run belongs to another app")
    return follower


def _seq(last: str) -> int:
    """`<seq>` or `<leg>.<seq>`; a bare number means the newest leg. Raises `Refusal`."""
    _, _, seq = last.rpartition(".")
    if not (seq.isascii() and seq.isdigit() and len(seq) < 10):
        raise Refusal(460, "Parameter: header->Last-Event-ID, Error: expected <seq> or <leg>.<seq> (cursor)")
    return int(seq)
