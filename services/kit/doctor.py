"""Is everything there? One finding for each part that Prozess stands on, and what to do where it is not well.

In come settings; out come findings in a fixed order. Nothing is changed, but for the topics that Kafka gets when they are missing.
A check that takes too long is a finding too.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import httpx
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from events.topics import EVENTS
from services.kit.assemble import build_log, make_folder
from services.kit.audit.provider import check
from services.kit.clock import SystemClock
from services.kit.database import Database
from services.kit.embedded.view import SqliteView
from services.kit.errors import ProzessError
from services.kit.secrets.keyring import keyring
from services.kit.secrets.store import StoredSecrets
from services.kit.settings import Settings
from services.kit.skew import skews

State = Literal["good", "note", "bad"]
_UNAUTHORISED = (401, 403)


@dataclass(frozen=True)
class Finding:
    """What was found of one part; `said` is one sentence, with what to do where the state is not good."""

    part: str
    state: State
    said: str


async def examine(settings: Settings, patience: float = 15.0) -> AsyncIterator[Finding]:
    """Look at every part, each for at most `patience` seconds."""
    database = Database(settings)
    checks: dict[str, Callable[[], Awaitable[Finding]]] = {
        "data folder": lambda: _folder(settings),
        "log": lambda: _log(settings),
        "database": lambda: _database(database),
        "migrations": lambda: _migrations(database),
        "clock": lambda: _clock(settings, database),
        "master key": lambda: _master_key(settings, database),
        "model endpoint": lambda: _model(settings),
        "content audit": lambda: _audit(settings),
    }
    try:
        for part, check in checks.items():
            yield await checked(part, check, patience)
    finally:
        await database.dispose()


async def checked(part: str, check: Callable[[], Awaitable[Finding]], patience: float) -> Finding:
    """What one check finds, or why it could not."""
    try:
        async with asyncio.timeout(patience):
            return await check()
    except TimeoutError:
        return Finding(part, "bad", f"It did not answer within {patience:g} seconds: check its address and the network.")
    except (ProzessError, SQLAlchemyError, OSError) as wrong:
        return Finding(part, "bad", _told(wrong))


async def _folder(settings: Settings) -> Finding:
    make_folder(settings)
    return Finding("data folder", "good", f"{settings.data} can be written.")


async def _log(settings: Settings) -> Finding:
    if not settings.kafka:
        return await _embedded_log(settings)
    from services.kit.kafka.log import KafkaLog

    log = build_log(settings)
    try:
        await log.start()
        advice = await log.advice() if isinstance(log, KafkaLog) else ""
    finally:
        await log.stop()
    if advice:
        return Finding("log", "bad", f"{advice}.")
    if settings.durability == "single":
        said = f"Kafka at {settings.kafka} answers, but the loss of one broker loses events: PROZESS_DURABILITY=replicated outside dev."
        return Finding("log", "note", said)
    return Finding("log", "good", f"Kafka at {settings.kafka} answers, and its topics are as they must be.")


async def _embedded_log(settings: Settings) -> Finding:
    path = settings.data / "log.sqlite"
    if not path.exists():
        return Finding("log", "note", f"There is none yet in {settings.data}; the first program makes it.")
    view = SqliteView(path)
    await view.start()
    if view.partitions(EVENTS) != settings.partitions:
        said = f"{path} has {view.partitions(EVENTS)} partitions: set PROZESS_PARTITIONS={view.partitions(EVENTS)}."
        return Finding("log", "bad", said)
    return Finding("log", "good", f"The embedded log in {settings.data} can be read.")


async def _database(database: Database) -> Finding:
    async with database.connect() as connection:
        await connection.execute(select(1))
    return Finding("database", "good", f"{database.engine.dialect.name} answers.")


async def _migrations(database: Database) -> Finding:
    await database.check_schema()
    return Finding("migrations", "good", "The rows have the form this program needs.")


async def _clock(settings: Settings, database: Database) -> Finding:
    log = build_log(settings) if settings.kafka else None
    try:
        if log is not None:
            await log.start()
        found = await skews(SystemClock(), database, log)
    finally:
        if log is not None:
            await log.stop()
    if found:
        return Finding("clock", "bad", f"{'; '.join(map(str, found)).capitalize()}: set the clocks (NTP).")
    return Finding("clock", "good", "It agrees with the database and the log.")


async def _master_key(settings: Settings, database: Database) -> Finding:
    given = bool(settings.master_key or settings.master_key_file)
    if not given and not (settings.data / "master.key").exists():
        return Finding("master key", "note", "There is none yet; the first program makes `master.key` in the data folder: back it up.")
    ring = keyring(settings)
    store = StoredSecrets(database, ring, SystemClock())
    with contextlib.suppress(SQLAlchemyError):  # there are no rows yet, or they do not answer, which other findings say
        await store.check()
        left = sum(count for id_, count in (await store.counts()).items() if id_ != ring.current.id)
        if left and len(ring.keys) > 1:
            return Finding("master key", "note", f"{left} secrets are sealed with an older key: `prozess secrets rotate` seals them anew.")
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


async def _audit(settings: Settings) -> Finding:
    judge = await check(settings)
    if judge is None:
        return Finding("content audit", "good", "It is off: apps whose audit_policy is 1 cannot run anything.")
    return Finding("content audit", "good", f"`{judge.name}` judges the words of apps whose audit_policy is 1.")


def _told(wrong: Exception) -> str:
    if isinstance(wrong, ProzessError):
        text = str(wrong).rstrip(".")
        return f"{text[:1].upper()}{text[1:]}."
    return f"It does not answer ({type(wrong).__name__}): check PROZESS_DATABASE, and whether the server runs."
