"""The workflow chat surface: chats, resumes, re-attaching (astron.md 1.5, 1.6; spec/README).

In come checked requests; out go frames of the run, as a stream or as one answer. A client that leaves stops nothing.
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from events.acceptance import Accepted
from events.question import QuestionAnswered, QuestionExpired
from events.run import Mode, RunStarted
from services.api.answers.problems import BadRequest, Json, Missing, Refusal
from services.api.api import Api, StrictRoute, TheApi, TheCaller
from services.api.asking.answering import answer_question
from services.api.asking.starting import flow_id, opened, pinned, run_id, start
from services.api.dialects import astron
from services.api.following.follow import Follower
from services.api.following.streams import EVENT_ID, Rendering, answer, in_astron, timed, whole
from services.api.following.whole_frames import Whole
from services.api.gate.identity import Caller
from services.api.requests.chat import Answer, Chat

router = APIRouter(route_class=StrictRoute, tags=["workflow chat"])
LONGEST_KEY, LONGEST_FLAG = 255, 8
_Key = Annotated[
    str, Header(alias="Idempotency-Key", max_length=LONGEST_KEY, description="A repeat of a start with the same key follows the first run.")
]
_LastId = Annotated[str, Header(alias="Last-Event-ID", max_length=64, description="The last `seq` that was read: re-attach after it.")]
_Numbered = Annotated[str, Header(alias="X-Stream-Ids", max_length=LONGEST_FLAG, description="`1` puts an `id:` line before each frame.")]
_UNKNOWN = "The event is unknown, expired, or not this app's"


@router.post("/workflow/v1/chat/completions")
async def chat(body: Chat, api: TheApi, caller: TheCaller, request: Request, key: _Key = "", numbered: _Numbered = "") -> Response:
    """Run the published flow."""
    return await run_chat(api, caller, request, body, "open", key, numbered)


@router.post("/workflow/v1/debug/chat/completions")
async def debug_chat(body: Chat, api: TheApi, caller: TheCaller, request: Request, key: _Key = "", numbered: _Numbered = "") -> Response:
    """Run the draft, with a frame for every node."""
    return await run_chat(api, caller, request, body, "debug", key, numbered)


@router.get("/workflow/v1/chat/completions/{event_id}")
async def attach(
    event_id: str,
    api: TheApi,
    caller: TheCaller,
    last: _LastId = "",
    numbered: _Numbered = "",
    after_seq: Annotated[int, Query(ge=0, description="The last `seq` that was read.")] = 0,
) -> Response:
    """The remaining frames of a run's newest leg (or the leg that `Last-Event-ID` names), live or finished."""
    return await _attach(api, caller, event_id, _cursor(last) if last else (0, after_seq), numbered)


@router.post("/workflow/v1/resume")
@router.post("/workflow/v1/debug/resume")
async def resume(body: Answer, api: TheApi, caller: TheCaller, request: Request, last: _LastId = "", numbered: _Numbered = "") -> Response:
    """Answer a question and follow the run from there on; with `Last-Event-ID`, re-attach to the stream instead."""
    if last:
        return await _attach(api, caller, body.event_id, _cursor(last), numbered)
    follower = await _found(api, caller, body.event_id)
    try:
        answered = await answer_question(api, caller, follower, body.event_type, body.content)
    except BaseException:
        follower.close()
        raise
    leg, run = answered.question + 1, answered.terms.run
    if not answered.terms.stream:
        return await _whole(api, follower, run, request, leg=leg, before=answered.before)
    rendering = in_astron(api.world.clock, leg=leg, numbered=numbered == "1")
    return _stream(api, follower, run, rendering, answered.before)


async def run_chat(api: Api, caller: Caller, request: Request, body: Chat, mode: Mode, key: str, numbered: str) -> Response:
    """Start a run (or follow the one with the same key) and answer with what it shows. Raises `Refusal`."""
    began = in_astron(api.world.clock, numbered=numbered == "1")
    rendering = timed(began, api.world.metrics.first_token_seconds.labels("astron").observe) if mode == "open" else began
    flow = flow_id(body.flow_id)
    pin = await pinned(api, caller, flow, body.version, mode)
    run, follower = await start(api, caller, body, pin, mode, key)
    if body.streams:
        return _stream(api, follower, run, rendering)
    return await _whole(api, follower, run, request, as_message=body.of_openai)


def _stream(api: Api, follower: Follower, run: str, rendering: Rendering, before: Sequence[Accepted] = ()) -> Response:
    return answer(follower, rendering, api.world.settings.ping_s, run, api.world.metrics.open_streams.labels("astron"), before=before)


async def _whole(
    api: Api,
    follower: Follower,
    run: str,
    request: Request,
    *,
    as_message: bool = False,
    leg: int = 1,
    before: Sequence[Accepted] = (),
) -> Response:
    """One answer with all text of a leg, when the run has ended or asks something."""
    frames, text = astron.Frames(), Whole(as_message)

    def take(event: Accepted) -> astron.Frame | None:
        of_leg = [frame for frame in frames.feed(event) if frames.leg == leg]
        return next((done for frame in of_leg if (done := text.add(frame)) is not None), None)

    said = await whole(follower, request, api.world.settings.ping_s, take, before)
    return Response(status_code=204, headers={EVENT_ID: run}) if said is None else Json(said, headers={EVENT_ID: run})


async def _attach(api: Api, caller: Caller, event_id: str, cursor: tuple[int, int], numbered: str) -> Response:
    api.limits.follow()
    follower = await _found(api, caller, event_id)
    leg, after = cursor
    try:
        before = await follower.present()
    except BaseException:
        follower.close()
        raise
    newest = 1 + sum(isinstance(event.envelope.data, QuestionAnswered | QuestionExpired) for event in before)
    if leg > newest:
        follower.close()
        raise Refusal(460, f"Parameter: header->Last-Event-ID, Error: the run has {newest} legs so far (cursor)")
    rendering = in_astron(api.world.clock, leg=leg or newest, after=after, numbered=numbered == "1")
    return _stream(api, follower, event_id, rendering, before)


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


def _cursor(last: str) -> tuple[int, int]:
    """`<seq>` or `<leg>.<seq>`; without a leg it is 0, the newest. Raises `Refusal`."""
    leg, dot, seq = last.rpartition(".")
    numbers = [leg, seq] if dot else [seq]
    if not all(one.isascii() and one.isdigit() and len(one) < 10 for one in numbers):
        raise Refusal(460, "Parameter: header->Last-Event-ID, Error: expected <seq> or <leg>.<seq> (cursor)")
    return int(leg or 0), int(seq)
