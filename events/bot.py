"""What happens to a bot: a model with its instructions, which an app talks to by its id.

These names are the storage format.
"""

from typing import ClassVar

from pydantic import JsonValue

from events.envelope import Event, Fact


class BotTerms(Fact):
    """A bot and its whole configuration, as its app sent it; keys in it are references. `digest` is the SHA-256 of its canonical JSON."""

    bot: str
    app: str
    configuration: dict[str, JsonValue]
    digest: str


class BotConfigured(BotTerms, Event):
    """The bot exists and is configured so from now on."""

    type: ClassVar[str] = "bot.configured"


class BotRemoved(Event):
    """The bot can no longer be found. Its history stays, and its id may be used anew."""

    type: ClassVar[str] = "bot.removed"
    by: str
