"""Whose clock is wrong: ours beside the database's, and beside the newest times in the log.

In come the ports; out come clocks that differ by more than two seconds. Nothing that is true depends on a clock (law 1); but
limits of runs, timers and the memory of ids do. Of the log only a time in our future says anything: what is old may be old.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from events.topics import COMMANDS_KEPT_MS, EVENTS, REMEMBERED_MS
from services.kit.clock import Clock
from services.kit.database import Database
from services.kit.errors import Refused
from services.kit.log import Log

NOTED_MS = 2_000
REFUSED_MS = (REMEMBERED_MS - COMMANDS_KEPT_MS) // 2
"""With more than that, ids of commands would be forgotten before the commands are."""
_PARTITIONS = 16


@dataclass(frozen=True, slots=True)
class Skew:
    """How far somebody's clock is ahead of ours, in milliseconds (below zero: behind)."""

    whose: str
    ahead_ms: int

    def __str__(self) -> str:
        way = "ahead of" if self.ahead_ms > 0 else "behind"
        return f"{self.whose} is {abs(self.ahead_ms) / 1000:g} s {way} this machine's clock"


async def skews(clock: Clock, database: Database, log: Log | None) -> list[Skew]:
    """The clocks that differ noticeably. Raises what database and log raise."""
    found = [await _of_database(clock, database), *([await _of_log(clock, log)] if log is not None else [])]
    return [skew for skew in found if abs(skew.ahead_ms) > NOTED_MS]


async def check(clock: Clock, database: Database, log: Log) -> list[Skew]:
    """The clocks that differ noticeably. Raises `Refused` where one differs by hours."""
    found = await skews(clock, database, log)
    for skew in found:
        if abs(skew.ahead_ms) > REFUSED_MS:
            raise Refused(f"{skew}: set the clocks (NTP), for ids are remembered by time")
    return found


async def _of_database(clock: Clock, database: Database) -> Skew:
    if database.is_sqlite:
        return Skew("the database", 0)
    async with database.connect() as connection:
        asked = clock.now()
        answer = await connection.scalar(sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"))
        return Skew("the database's clock", int(answer or 0) - (asked + clock.now()) // 2)


async def _of_log(clock: Clock, log: Log) -> Skew:
    ahead = 0
    for partition in range(min(log.partitions(EVENTS), _PARTITIONS)):
        begin, end = await log.bounds(EVENTS, partition)
        newest = await log.read(EVENTS, partition, end - 1, 1) if end > begin else ()
        if newest:
            ahead = max(ahead, newest[0].record.time - clock.now())
    return Skew("the newest time in the log", ahead)
