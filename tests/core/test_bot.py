"""Bots are created once, and changed and removed by their own app only."""

from events.bot import BotConfigured, BotRemoved
from events.commands import CreateBot, RemoveBot, ReviseBot
from events.refusal import CommandRefused
from services.core.deciders.bot import BOT, BotState
from tests.support.samples import DIGEST
from tests.support.spec import given

TERMS = {"bot": "b", "app": "demo", "configuration": {"tool_ids": []}, "digest": DIGEST}
CREATED = BotConfigured.model_validate(TERMS)


def of(app: str) -> dict[str, object]:
    return {**TERMS, "app": app}


def refused(wished: str, code: int, message: str) -> CommandRefused:
    return CommandRefused(wished=wished, target="bot-b", code=code, message=message)


UNKNOWN = "bot_id: this app has no such bot"


def test_a_bot_is_created_once():
    given(BOT).when(CreateBot.model_validate(TERMS)).then(CREATED)
    taken = refused("bot.create", 40053, "bot_id: there is a bot with this id")
    given(BOT, CREATED).when(CreateBot.model_validate(TERMS)).then(taken)
    given(BOT, CREATED).when(CreateBot.model_validate(of("other"))).then(taken)


def test_a_bot_is_changed_by_its_own_app_only():
    revised = {**TERMS, "configuration": {"tool_ids": ["t"]}}
    given(BOT, CREATED).when(ReviseBot.model_validate(revised)).then(BotConfigured.model_validate(revised))
    given(BOT, CREATED).when(ReviseBot.model_validate(of("other"))).then(refused("bot.revise", 40001, UNKNOWN))
    given(BOT).when(ReviseBot.model_validate(TERMS)).then(refused("bot.revise", 40001, UNKNOWN))


def test_a_removed_bot_leaves_its_id_to_others():
    given(BOT, CREATED).when(RemoveBot(bot="b", app="other")).then(refused("bot.remove", 40001, UNKNOWN))
    given(BOT, CREATED).when(RemoveBot(bot="b", app="demo")).then(BotRemoved(by="demo"))
    given(BOT, CREATED, BotRemoved(by="demo")).when(CreateBot.model_validate(of("other"))).then(BotConfigured.model_validate(of("other")))


def test_all_commands_are_idempotent_or_refused():
    for wish in (CreateBot.model_validate(TERMS), ReviseBot.model_validate(TERMS), RemoveBot(bot="b", app="demo")):
        once = given(BOT, CREATED).after(wish).state
        assert given(BOT, CREATED).after(wish, wish).state == once
        assert isinstance(once, BotState)
