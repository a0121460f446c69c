"""The frame of every program: settings in, exit code out.

The first SIGINT or SIGTERM asks it to drain, which is bounded; the second ends it at once. Exit codes are those of
`services.kit.program.exits`.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable

from services.kit.assemble import open_world
from services.kit.errors import ProzessError, Refused
from services.kit.program.exits import ProgramError, guarded, sentence
from services.kit.settings import Settings, load
from services.kit.telling import health, logs, waiting
from services.kit.world import World

Run = Callable[[World, asyncio.Event], Awaitable[None]]
Parts = dict[str, Callable[[asyncio.Event], Awaitable[None]]]

DRAIN_S = 30
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(name: str, run: Run, settings: Settings | None = None) -> int:
    """Run one program until it is stopped; its exit code."""
    return guarded(lambda: _program(name, run, load() if settings is None else settings))


@contextlib.asynccontextmanager
async def stoppable() -> AsyncGenerator[asyncio.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, asked, number)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def together(programs: Parts, stop: asyncio.Event) -> None:
    """Run several until `stop`; when one ends or breaks before that, all drain. Raises `Refused` or `ProgramError` with its name."""
    reasons: list[ProzessError] = []

    async def watched(name: str, program: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        try:
            await program(stop)
            if not stop.is_set():
                reasons.append(ProgramError(f"the {name} ended although nobody asked it to."))
        except Refused as no:
            reasons.append(no)
        except Exception as wrong:  # noqa: BLE001 (whatever it was, the others must drain)
            logs.logger(__name__).debug("broke", program=name, exc_info=wrong)
            reasons.append(ProgramError(f"the {name} stopped: {sentence(wrong)}"))
        finally:
            stop.set()

    async def bounded(limit: asyncio.Timeout) -> None:
        await stop.wait()
        limit.reschedule(asyncio.get_running_loop().time() + DRAIN_S)

    try:
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
            for name, program in programs.items():
                group.create_task(watched(name, program), name=name)
            group.create_task(bounded(limit))
    except TimeoutError:
        reasons.append(ProgramError(f"what was under way did not end within {DRAIN_S} seconds and was dropped."))
    if reasons:
        raise reasons[0]


async def opened(stack: contextlib.AsyncExitStack, settings: Settings, stop: asyncio.Event, program: str) -> World | None:
    """A world that the stack closes; None where `stop` was set before it was open. Raises `Refused`."""
    opening = asyncio.create_task(stack.enter_async_context(open_world(settings, program=program)))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if opening.done():
        return opening.result()
    opening.cancel()
    await asyncio.wait({opening})
    return None


async def _program(name: str, run: Run, settings: Settings) -> None:
    logs.configure(name, settings)
    async with stoppable() as stop, contextlib.AsyncExitStack() as stack:
        world = await opened(stack, settings, stop, name)
        if world is None:
            return
        parts: Parts = {name: lambda stop: run(world, stop), "watch": lambda stop: waiting.tell(world, stop)}
        if settings.metrics_port and name != "api":
            parts["health endpoint"] = lambda stop: health.run(world, name, stop)
        logs.logger(__name__).info("running", log=settings.kafka or str(settings.data), rows=world.database.name)
        await together(parts, stop)
        logs.logger(__name__).info("stopped")
