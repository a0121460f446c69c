"""What a program waits for, said in its log: once when something stops answering, once when it is back.

In comes a world; out go two lines, `waiting` with what is missing and why, and `going_on` with how long it took. Nobody has
to restart anything: every part waits by itself, this one only tells.
"""

import asyncio

from services.kit.telling import health, logs
from services.kit.world import World

LOOK_S = 2.0


async def tell(world: World, stop: asyncio.Event) -> None:
    """Look every two seconds until `stop`."""
    log = logs.logger(__name__)
    clock = asyncio.get_running_loop().time
    absent: list[str] = []
    since = clock()
    while not stop.is_set():
        found = await health.missing(world)
        if found and found != absent:
            log.warning("waiting", waits_for=found, why=_why(world, found))
        if absent and not found:
            log.warning("going_on", after_s=round(clock() - since, 1))
        if not absent:
            since = clock()
        absent = found
        await _pause(stop)


def _why(world: World, absent: list[str]) -> str:
    """In words: the log says it itself."""
    reasons = {"log": world.log.trouble, "database": f"{world.database.name} does not answer"}
    return "; ".join(reasons.get(part) or world.obstacles.why(part) or f"{part} waited a moment ago" for part in absent)


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_S):
            await stop.wait()
    except TimeoutError:
        return
