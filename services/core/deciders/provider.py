"""A provider's decisions: it is created once, then changed or removed. Whose it is, is in its stream's name; who may, is asked elsewhere.

In come wishes; out go events, or a refusal with its code. An id is free again once its provider is removed.
"""

from dataclasses import dataclass

from events.commands import CreateProvider, RemoveProvider, ReviseProvider
from events.envelope import Command, Event
from events.provider import ProviderConfigured, ProviderRemoved, ProviderTerms
from events.refusal import CommandRefused
from events.topics import provider_stream
from services.core.codes import Code
from services.core.deciders.decider import Decider

Wish = CreateProvider | ReviseProvider | RemoveProvider


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What matters for decisions about a provider: whether there is one."""

    is_there: bool = False


def evolve(state: ProviderState, event: Event, _time: int) -> ProviderState:
    """The state after one more event."""
    match event:
        case ProviderConfigured():
            return ProviderState(is_there=True)
        case ProviderRemoved():
            return ProviderState()
        case _:
            return state


def decide(state: ProviderState, wish: Wish, _time: int) -> list[Event]:
    """What follows from a wish."""
    match wish:
        case CreateProvider():
            return _no(wish, "id: there is a provider with this id") if state.is_there else [_configured(wish)]
        case ReviseProvider():
            return [_configured(wish)] if state.is_there else _no(wish, "provider: there is no such provider")
        case RemoveProvider():
            return [ProviderRemoved(by=wish.by)] if state.is_there else _no(wish, "provider: there is no such provider")


def _configured(wish: ProviderTerms) -> Event:
    return ProviderConfigured.model_validate(wish.model_dump())


def _no(wish: Wish, message: str) -> list[Event]:
    return [CommandRefused(wished=wish.type, target=provider_stream(wish.app, wish.provider), code=Code.OPEN_API_ERROR, message=message)]


PROVIDER: Decider[Wish, ProviderState] = Decider(ProviderState(), evolve, decide)
WISHES: tuple[type[Command], ...] = (CreateProvider, ReviseProvider, RemoveProvider)
