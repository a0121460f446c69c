"""A tool's decisions: versions are added and never overwritten; only its own app, which is in its stream's name, may.

In come wishes; out go events, or a refusal with its code. An id is free again once its tool is removed.
"""

from dataclasses import dataclass, field

from events.commands import RemoveTool, StoreTool
from events.envelope import Command, Event
from events.refusal import CommandRefused
from events.tool import ToolRemoved, ToolStored
from events.topics import tool_stream
from services.core.codes import Code
from services.core.deciders.decider import Decider

Wish = StoreTool | RemoveTool


@dataclass(frozen=True, slots=True)
class ToolState:
    """What matters for decisions about a tool: its kind (empty where there is none), and its versions' definitions."""

    kind: str = ""
    versions: dict[str, str] = field(default_factory=dict[str, str])


def evolve(state: ToolState, event: Event, _time: int) -> ToolState:
    """The state after one more event."""
    match event:
        case ToolStored():
            return ToolState(event.kind, {**state.versions, event.tool_version: event.definition})
        case ToolRemoved():
            return ToolState()
        case _:
            return state


def decide(state: ToolState, wish: Wish, _time: int) -> list[Event]:
    """What follows from a wish."""
    match wish:
        case StoreTool():
            if state.kind not in {"", wish.kind}:
                return _no(wish, f"kind: this tool is of the kind {state.kind}; remove it first or choose another id")
            if state.versions.get(wish.tool_version, wish.definition) != wish.definition:
                return _no(wish, f"version: {wish.tool_version} is there with other content; choose a new version")
            return [ToolStored.model_validate(wish.model_dump())]
        case RemoveTool():
            return [ToolRemoved(by=wish.app)] if state.kind else _no(wish, "tool: this app has no such tool")


def _no(wish: Wish, message: str) -> list[Event]:
    return [CommandRefused(wished=wish.type, target=tool_stream(wish.app, wish.tool), code=Code.OPEN_API_ERROR, message=message)]


TOOL: Decider[Wish, ToolState] = Decider(ToolState(), evolve, decide)
WISHES: tuple[type[Command], ...] = (StoreTool, RemoveTool)
