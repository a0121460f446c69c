"""A bot's decisions: it is created once, changed and removed only by its own app.

In come wishes; out go events, or a refusal with its code. An id is free again once its bot is removed.
"""

from dataclasses import dataclass

from events.bot import BotConfigured, BotRemoved, BotTerms
from events.commands import CreateBot, RemoveBot, ReviseBot
from events.envelope import Command, Event
from events.refusal import CommandRefused
from services.core.codes import Code
from services.core.deciders.decider import Decider

Wish = CreateBot | ReviseBot | RemoveBot


@dataclass(frozen=True, slots=True)
class BotState:
    """What matters for decisions about a bot: whose it is; empty where there is none."""

    app: str = ""


def evolve(state: BotState, event: Event, _time: int) -> BotState:
    """The state after one more event."""
    match event:
        case BotConfigured():
            return BotState(event.app)
        case BotRemoved():
            return BotState()
        case _:
            return state


def decide(state: BotState, wish: Wish, _time: int) -> list[Event]:
    """What follows from a wish."""
    match wish:
        case CreateBot():
            return _no(wish, Code.BOT_CONFIG_EXISTS_ERROR, "bot_id: there is a bot with this id") if state.app else [_configured(wish)]
        case ReviseBot():
            return [_configured(wish)] if state.app == wish.app else _unknown(wish)
        case RemoveBot():
            return [BotRemoved(by=wish.app)] if state.app == wish.app else _unknown(wish)


def _configured(wish: BotTerms) -> Event:
    return BotConfigured.model_validate(wish.model_dump())


def _unknown(wish: Wish) -> list[Event]:
    return _no(wish, Code.BOT_CONFIG_GET_ERROR, "bot_id: this app has no such bot")


def _no(wish: Wish, code: Code, message: str) -> list[Event]:
    return [CommandRefused(wished=wish.type, target=f"bot-{wish.bot}", code=code, message=message)]


BOT: Decider[Wish, BotState] = Decider(BotState(), evolve, decide)
WISHES: tuple[type[Command], ...] = (CreateBot, ReviseBot, RemoveBot)
