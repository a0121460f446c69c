"""A flow's decisions: drafts, releases by platform bits, versions that are never overwritten, bindings (astron.md 6).

In come wishes; out go events, or a refusal with its code. Whether the caller may publish at all is asked elsewhere, from
what is known of its app.
"""

from dataclasses import dataclass, field, replace

from events import flow as f
from events.commands import BindFlow, CompareFlow, DeleteFlow, DraftFlow, PublishFlow, ReviseFlow, UnbindFlow
from events.envelope import Command, Event
from events.refusal import CommandRefused
from services.core.codes import Code
from services.core.deciders.decider import Decider

PUBLISHED = {1: 1, 2: 4, 4: 32}
AS_API = {1: 8, 2: 8}
TAKEN_OFF = {1: 2, 2: 16, 4: 64}
API = 8
ALL_TAKEN_OFF = 2 | 16 | 64
PLATFORMS = frozenset(PUBLISHED)

Wish = DraftFlow | ReviseFlow | PublishFlow | BindFlow | UnbindFlow | CompareFlow | DeleteFlow


@dataclass(frozen=True, slots=True)
class Absent:
    """No such flow, or no longer."""

    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """A flow. `versions` maps a published version to its definition, `compared` one that is only there to compare with."""

    app: str
    draft: str | None
    release_status: int = 0
    versions: dict[str, str | None] = field(default_factory=dict[str, str | None])
    bound: frozenset[str] = frozenset()
    compared: dict[str, str] = field(default_factory=dict[str, str])


FlowState = Absent | Present


def callable_(release_status: int) -> bool:
    """Whether a release status lets the flow be found by a call: published somewhere (API alone counts), not taken off everywhere."""
    taken_off = release_status & ALL_TAKEN_OFF == ALL_TAKEN_OFF
    return not taken_off and bool(release_status & (1 | 4 | API | 32))


def evolve(state: FlowState, event: Event, _time: int) -> FlowState:
    """The state after one more event."""
    if isinstance(event, f.FlowDrafted):
        return Present(event.app, event.definition) if isinstance(state, Absent) else state
    if isinstance(state, Absent):
        return state
    return Absent(deleted=True) if isinstance(event, f.FlowDeleted) else _changed(state, event)


def _changed(state: Present, event: Event) -> Present:
    match event:
        case f.FlowRevised():
            return replace(state, app=event.app or state.app, draft=event.definition or state.draft)
        case f.FlowPublished():
            versions = {**state.versions, event.flow_version: event.definition} if event.flow_version else state.versions
            draft = event.definition if event.document is not None else state.draft
            return replace(state, release_status=event.release_status, versions=versions, draft=draft)
        case f.FlowTakenOff():
            return replace(state, release_status=event.release_status)
        case f.FlowBound():
            return replace(state, bound=state.bound | {event.app})
        case f.FlowUnbound():
            return replace(state, bound=state.bound - {event.app})
        case f.FlowCompared():
            return replace(state, compared={**state.compared, event.flow_version: event.definition})
        case f.FlowComparisonEnded():
            return replace(state, compared={name: one for name, one in state.compared.items() if name != event.flow_version})
        case _:
            return state


def decide(state: FlowState, wish: Wish, _time: int) -> list[Event]:
    """What follows from a wish. At least one event."""
    match wish:
        case DraftFlow():
            return _draft(state, wish)
        case DeleteFlow():
            return _delete(state, wish)
        case ReviseFlow():
            return _revise(state, wish) if isinstance(state, Present) else _unknown(wish)
        case PublishFlow():
            return _publish(state, wish) if isinstance(state, Present) else _unknown(wish)
        case BindFlow():
            return _bind(state, wish) if isinstance(state, Present) else _unknown(wish)
        case UnbindFlow():
            return _unbind(state, wish) if isinstance(state, Present) else _unknown(wish)
        case CompareFlow():
            return _compare(state, wish) if isinstance(state, Present) else _unknown(wish)


def _no(wish: Wish, code: Code, message: str) -> list[Event]:
    return [CommandRefused(wished=wish.type, target=f"flow-{wish.flow}", code=code, message=message)]


def _unknown(wish: Wish) -> list[Event]:
    return _no(wish, Code.FLOW_NOT_FOUND_ERROR, "Flow ID not found")


def _draft(state: FlowState, wish: DraftFlow) -> list[Event]:
    if isinstance(state, Present) or state.deleted:
        return _no(wish, Code.PROTOCOL_CREATE_ERROR, "flow_id: this id is taken")
    drafted: list[Event] = [f.FlowDrafted.model_validate(wish.model_dump())]
    if wish.status > 0:
        drafted += [f.FlowRevised(status=wish.status, released=True), f.FlowBound(app=wish.app)]
    return drafted


def _delete(state: FlowState, wish: DeleteFlow) -> list[Event]:
    if isinstance(state, Absent) or state.app != wish.app:
        return _no(wish, Code.PROTOCOL_DELETE_ERROR, "flow_id: this app has no such flow")
    return [f.FlowDeleted(by=wish.app)]


def _revise(state: Present, wish: ReviseFlow) -> list[Event]:
    released = bool(wish.status and wish.status > 0)
    revised: list[Event] = [f.FlowRevised.model_validate({**wish.model_dump(exclude={"flow"}), "released": released})]
    app = wish.app or state.app
    if released and not app:
        return _no(wish, Code.FLOW_NO_APP_ID_ERROR, "app_id: the flow has no app")
    if released and app not in state.bound:
        revised.append(f.FlowBound(app=app))
    return revised


def _publish(state: Present, wish: PublishFlow) -> list[Event]:
    platform = wish.platform
    if wish.operation not in {1, 2, 3} or platform not in PLATFORMS:
        return _no(wish, Code.FLOW_PUBLISH_ERROR, "Error details: release_status must be 1, 2 or 3 and plat 0, 1, 2 or 4")
    if wish.operation == 2 and platform not in AS_API:
        return _no(wish, Code.APP_PLAT_NOT_RELEASE_OP_ERROR, "the platform does not offer this operation")
    bits = state.release_status
    if wish.operation == 3:
        bits = bits & ~PUBLISHED[platform] & ~API | TAKEN_OFF[platform]
        return [f.FlowTakenOff(platform=platform, release_status=bits)]
    bits = bits & ~TAKEN_OFF[platform] | (PUBLISHED if wish.operation == 1 else AS_API)[platform]
    definition = wish.definition or state.draft
    if wish.flow_version in state.versions and state.versions[wish.flow_version] != definition:
        return _no(
            wish,
            Code.FLOW_PUBLISH_ERROR,
            f"Error details: version {wish.flow_version} is published with other content; choose a new version",
        )
    return [
        f.FlowPublished(
            operation=wish.operation,
            platform=platform,
            flow_version=wish.flow_version,
            release_status=bits,
            definition=definition,
            document=wish.document,
        )
    ]


def _bind(state: Present, wish: BindFlow) -> list[Event]:
    if state.release_status == 0 or state.release_status & ALL_TAKEN_OFF == ALL_TAKEN_OFF:
        return _no(wish, Code.FLOW_NOT_PUBLISH_ERROR, "the flow is not published")
    return [f.FlowBound(app=wish.app)]


def _unbind(state: Present, wish: UnbindFlow) -> list[Event]:
    if wish.app not in state.bound:
        return _no(wish, Code.APP_FLOW_AUTH_BOND_ERROR, "Error details: app_id: the app is not bound to the flow")
    return [f.FlowUnbound(app=wish.app)]


def _compare(state: Present, wish: CompareFlow) -> list[Event]:
    if wish.flow_version in state.versions:
        return _no(wish, Code.PROTOCOL_CREATE_ERROR, f"version: {wish.flow_version} is a published version; choose another name")
    if wish.definition is not None:
        return [f.FlowCompared(flow_version=wish.flow_version, definition=wish.definition, document=wish.document)]
    if wish.flow_version not in state.compared:
        return _no(wish, Code.PROTOCOL_DELETE_ERROR, "version: the flow has no such version to compare with")
    return [f.FlowComparisonEnded(flow_version=wish.flow_version)]


FLOW: Decider[Wish, FlowState] = Decider(Absent(), evolve, decide)
WISHES: tuple[type[Command], ...] = (DraftFlow, ReviseFlow, PublishFlow, BindFlow, UnbindFlow, CompareFlow, DeleteFlow)
