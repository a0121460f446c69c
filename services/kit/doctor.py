"""Is everything there? One finding for each part that Prozess stands on, and what to do where it is not well.

In come settings; out come findings in a fixed order. Nothing is changed but the topics that a log makes at its start.
A check that takes too long is a finding too.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import httpx
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from services.kit.assemble import build_log, make_folder
from services.kit.database import Database
from services.kit.errors import LogInUse, ProzessError, Refused
from services.kit.secrets_store import master_key
from services.kit.settings import Settings

State = Literal["good", "note", "bad"]
_UNAUTHORISED = (401, 403)


@dataclass(frozen=True)
class Finding:
    """What was found of one part; `said` is one sentence, with what to do where the state is not good."""

    part: str
    state: State
    said: str


async def examine(settings: Settings, patience: float = 10.0) -> AsyncIterator[Finding]:
    """Look at every part, each for at most `patience` seconds."""
    database = Database(settings)
    checks: dict[str, Callable[[], Awaitable[Finding]]] = {
        "data folder": lambda: _folder(settings),
        "log": lambda: _log(settings),
        "database": lambda: _database(database),
        "migrations": lambda: _migrations(database),
        "master key": lambda: _master_key(settings),
        "model endpoint": lambda: _model(settings),
    }
    try:
        for part, check in checks.items():
            try:
                async with asyncio.timeout(patience):
                    yield await check()
            except TimeoutError:
                yield Finding(part, "bad", f"It did not answer within {patience:g} seconds: check its address and the network.")
            except (ProzessError, SQLAlchemyError, OSError) as wrong:
                yield Finding(part, "bad", _told(wrong))
    finally:
        await database.dispose()


async def _folder(settings: Settings) -> Finding:
    make_folder(settings)
    return Finding("data folder", "good", f"{settings.data} can be written.")


async def _log(settings: Settings) -> Finding:
    log = build_log(settings)
    try:
        await log.start()
    except LogInUse:
        return Finding("log", "note", "The embedded log is held by another process; that is right while `prozess dev` runs.")
    finally:
        await log.stop()
    name = f"Kafka at {settings.kafka}" if settings.kafka else f"The embedded log in {settings.data}"
    if settings.kafka and settings.durability == "single":
        return Finding("log", "note", f"{name} answers, but one broker's loss loses events: use PROZESS_DURABILITY=replicated outside dev.")
    return Finding("log", "good", f"{name} answers, and its topics are as they must be.")


async def _database(database: Database) -> Finding:
    async with database.connect() as connection:
        await connection.execute(select(1))
    return Finding("database", "good", f"{database.engine.dialect.name} answers.")


async def _migrations(database: Database) -> Finding:
    await database.check_schema()
    return Finding("migrations", "good", "The rows have the form this program needs.")


async def _master_key(settings: Settings) -> Finding:
    given = bool(settings.master_key or settings.master_key_file)
    if not given and not (settings.data / "master.key").exists():
        return Finding("master key", "note", "There is none yet; the first program makes `master.key` in the data folder: back it up.")
    master_key(settings)
    if settings.kafka and not given:
        said = "It is in this data folder only: give PROZESS_MASTER_KEY_FILE to all programs that run on other machines."
        return Finding("master key", "note", said)
    return Finding("master key", "good", "It can be read.")


async def _model(settings: Settings) -> Finding:
    if not settings.openai_base_url and not settings.openai_api_key:
        said = "None is set, so only nodes with their own address and `offline-demo` work: set OPENAI_API_KEY or OPENAI_BASE_URL."
        return Finding("model endpoint", "note", said)
    address = (settings.openai_base_url or "https://api.openai.com/v1").rstrip("/")
    try:
        async with httpx.AsyncClient(timeout=None, follow_redirects=True) as client:  # noqa: S113 (the caller bounds every check)
            answer = await client.get(f"{address}/models", headers={"Authorization": f"Bearer {settings.openai_api_key}"})
    except (httpx.HTTPError, httpx.InvalidURL) as wrong:
        return Finding("model endpoint", "bad", f"{address} cannot be reached ({type(wrong).__name__}): check OPENAI_BASE_URL.")
    if answer.status_code in _UNAUTHORISED:
        return Finding("model endpoint", "bad", f"{address} does not accept the key: check OPENAI_API_KEY.")
    if answer.is_server_error:
        return Finding("model endpoint", "bad", f"{address} answers {answer.status_code}: try again later.")
    return Finding("model endpoint", "good", f"{address} answers.")


def _told(wrong: Exception) -> str:
    if isinstance(wrong, Refused | ProzessError):
        text = str(wrong)
        return text[:1].upper() + text[1:]
    return f"It does not answer ({type(wrong).__name__}): check PROZESS_DATABASE, and whether the server runs."
