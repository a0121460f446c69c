"""An app's decisions. Registering again renews what is known of it."""

from dataclasses import dataclass

from events.app import AppRegistered
from events.commands import RegisterApp
from events.envelope import Event
from services.core.decider import Decider


@dataclass(frozen=True, slots=True)
class AppState:
    """What matters for decisions about an app."""

    registered: bool = False


def evolve(state: AppState, event: Event, _time: int) -> AppState:
    """The state after one more event."""
    return AppState(registered=True) if isinstance(event, AppRegistered) else state


def decide(_state: AppState, wish: RegisterApp, _time: int) -> list[Event]:
    """What follows from a wish."""
    return [AppRegistered.model_validate(wish.model_dump())]


APP: Decider[RegisterApp, AppState] = Decider(AppState(), evolve, decide)
