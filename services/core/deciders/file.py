"""A file's decisions: one that is stored is stored, once."""

from dataclasses import dataclass

from events.commands import StoreFile
from events.envelope import Event
from events.file import FileStored
from services.core.deciders.decider import Decider


@dataclass(frozen=True, slots=True)
class FileState:
    """Nothing about a file is decided from what was before; its id is new each time."""


def evolve(state: FileState, _event: Event, _time: int) -> FileState:
    """The state after one more event."""
    return state


def decide(_state: FileState, wish: StoreFile, _time: int) -> list[Event]:
    """What follows from a wish."""
    return [FileStored.model_validate(wish.model_dump())]


FILE: Decider[StoreFile, FileState] = Decider(FileState(), evolve, decide)
