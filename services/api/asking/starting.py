"""Starting a run: resolve what is to be run from the rows, mint an id in the right slot, follow, append, wait.

In come a caller and a checked request; out comes a follower of the run that answers it: a new one, or the first one
where the request repeats an earlier one.
"""

import random
from collections.abc import Callable

import sqlalchemy as sa

from events.commands import StartRun
from events.refusal import CommandRepeated
from events.run import Mode
from events.topics import SLOTS, run_stream, slot_of_name
from projections import flows
from services.api.answers.problems import Refusal
from services.api.api import Api
from services.api.dialects import astron
from services.api.following.follow import Follower
from services.api.gate.identity import Caller
from services.api.requests.chat import Chat, Pinned
from services.kit.telling.traces import RUN, TRACE

_TRIES = 3
_TAKEN = 20805
NO_START = {
    "no_flow": (20201, "Flow ID not found"),
    "not_bound": (20004, "The app is not bound to the flow"),
    "binding_off": (20005, "The app's licence for the flow is off"),
    "not_released": (20204, "The flow, or this version of it, is not published"),
    "no_content": (20100, "The flow has no content yet: save a document first"),
}


def flow_id(text: str, code: int = 20805) -> str:
    """A flow id as it must be: a decimal number. Raises `Refusal` with `code`, or 20201 for one that no flow can have."""
    if not (text.isascii() and text.isdigit()):
        raise Refusal(code, "flow_id: expected a decimal number")
    plain = text.lstrip("0") or "0"
    if len(plain) > 19 or int(plain) >= 1 << 63:
        raise Refusal(20201, "Flow ID not found")
    return plain


def run_id(text: str) -> str | None:
    """A run id as it must be, else None."""
    return text if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 1 << 63 else None


async def pinned(api: Api, caller: Caller, flow: str, version: str, mode: Mode) -> Pinned:
    """What a start runs. Raises `Refusal` in the order of astron.md 1.5."""

    def resolve(rows: sa.Connection) -> tuple[flows.Release | flows.NoStart, flows.Flow | None]:
        found = flows.start_of(rows, flow, version, caller.app, mode)
        return found, flows.flow_of(rows, flow) if isinstance(found, flows.Release) and found.for_editors else None

    found, owner = await api.world.database.ask(resolve, "start", flow, version, caller.app, mode)
    if isinstance(found, flows.NoStart):
        raise Refusal(*NO_START[found.reason])
    if owner is not None and not may_edit(caller, owner.app):
        raise Refusal(*NO_START["no_flow"])
    if caller.known is None:
        raise Refusal(20001, "x-consumer-username: there is no such app")
    return Pinned(found.flow, found.version, found.definition, found.owner)


def may_edit(caller: Caller, owner: str) -> bool:
    """Whether a caller may see and change the draft of a flow: its owner, or a tenant (a console that acts for others)."""
    return caller.app == owner or (caller.known is not None and caller.known.is_tenant)


def judged(api: Api, caller: Caller, mode: Mode) -> bool:
    """Whether the words of such a run are judged before people see them, by the app's policy; of debug runs the setting may say more."""
    choice = api.world.settings.debug_audit
    if mode == "debug" and choice != "app":
        return choice == "on"
    return caller.known is not None and caller.known.audit_policy != 0


async def start(api: Api, caller: Caller, chat: Chat, pin: Pinned, mode: Mode, key: str) -> tuple[str, Follower]:
    """Start a run of a flow: `launch` with the workflow dialect."""
    return await launch(api, caller, lambda run: astron.to_command(chat, run, caller.app, pin, mode, key), chat=chat.chat_id, key=key)


async def launch(
    api: Api,
    caller: Caller,
    wish: Callable[[str], StartRun],
    *,
    chat: str = "",
    key: str = "",
    is_judged: bool | None = None,
    veiled: bool = True,
) -> tuple[str, Follower]:
    """Start the run that `wish(run id)` asks for, or find the one that was started with the same key.

    Its id and a follower from its first event on. A run of a `chat` lives where the chat lives. Its words are judged as `judged`
    says, unless `is_judged` does; only who shows nothing before the run is complete reads it without the veil. Raises `Refusal`.
    """
    api.limits.start(caller.app)
    slot = _slot(caller.app, chat, key)
    for attempt in range(1, _TRIES + 1):
        run = api.world.minter.mint(slot)
        follower = await api.followers.of(run, veiled=veiled)
        follower.begin()
        try:
            command = _joined(wish(run))
            if judged(api, caller, command.mode) if is_judged is None else is_judged:
                command = command.model_copy(update={"audit": "own"})
            accepted = await api.commander.submit(command, stream=run_stream(run), slot=slot, app=caller.app, actor=caller.app)
        except Refusal as no:
            follower.close()
            if no.code != _TAKEN or attempt == _TRIES:
                raise
            continue
        except BaseException:
            follower.close()
            raise
        data = accepted.envelope.data
        if isinstance(data, CommandRepeated):
            follower.close()
            run = data.target.removeprefix("run-")
            follower = await opened(api, run, veiled=veiled)
        else:
            api.limits.started(run, caller.app)
            api.world.metrics.runs_started.labels(command.surface).inc()
        RUN.set(run)
        return run, follower
    raise AssertionError("the last try returns or raises")


async def opened(api: Api, run: str, after: int = 0, *, veiled: bool = True) -> Follower:
    """A follower of a run that exists. Raises `Missing`, `BadRequest`, `Gone`. Only what shows no words may read without the veil."""
    follower = await api.followers.of(run, after, veiled=veiled)
    RUN.set(run)
    try:
        with api.limits.reading():
            await follower.open(patience=api.world.settings.write_wait_s)
    except BaseException:
        follower.close()
        raise
    return follower


def _joined(command: StartRun) -> StartRun:
    """The command as part of the request's trace, where there is one."""
    trace = TRACE.get()
    return command.model_copy(update={"traceparent": trace}) if trace else command


def _slot(app: str, chat: str, key: str) -> int:
    if chat:
        return slot_of_name("chat", app, chat)
    if key:
        return slot_of_name("idem", app, key)
    return random.randrange(SLOTS)  # noqa: S311 (spreading, not a secret)
