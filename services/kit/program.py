"""The frame of every program: settings in, exit code out.

Exit codes: 0 after a stop that was asked for, 2 where it could not start (one sentence says why), 1 where it broke.
The first SIGINT or SIGTERM asks it to drain, the second ends it at once. Stack traces are for the log at level debug.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import cast

from services.kit import health, logs
from services.kit.assemble import open_world
from services.kit.errors import ProzessError, Refused
from services.kit.settings import Settings, load
from services.kit.world import World

Run = Callable[[World, asyncio.Event], Awaitable[None]]
Parts = dict[str, Callable[[asyncio.Event], Awaitable[None]]]

FINE, BROKE, REFUSED = 0, 1, 2
DRAIN_S = 30
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ProgramError(ProzessError):
    """A program ended without being asked to; the message is one sentence."""


def main(name: str, run: Run, settings: Settings | None = None) -> int:
    """Run one program until it is stopped; its exit code."""
    return guarded(lambda: _program(name, run, load() if settings is None else settings))


def guarded(work: Callable[[], Awaitable[None]]) -> int:
    """Run something to its end on a new loop and turn what it raises into a sentence and an exit code."""
    try:
        asyncio.run(_awaited(work))
    except Refused as no:
        return say(no, REFUSED)
    except Exception as wrong:  # noqa: BLE001 (the last line of defence: a sentence instead of a stack trace)
        logs.logger(__name__).debug("broke", exc_info=wrong)
        return say(wrong, BROKE)
    except KeyboardInterrupt:
        return 130
    return FINE


def say(wrong: BaseException, code: int) -> int:
    """One sentence on standard error; the exit code."""
    sys.stderr.write(f"prozess: {sentence(wrong)}\n")
    return code


def sentence(wrong: BaseException) -> str:
    """What went wrong, in one line."""
    while isinstance(wrong, BaseExceptionGroup):
        wrong = cast("BaseExceptionGroup[BaseException]", wrong).exceptions[0]
    text = " ".join(str(wrong).split())
    if not isinstance(wrong, ProzessError) or not text:
        text = f"{type(wrong).__name__}: {text}" if text else type(wrong).__name__
    return text if text.endswith((".", "?", "!")) else text + "."


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


async def _program(name: str, run: Run, settings: Settings) -> None:
    logs.configure(name, settings.log_level)
    async with stoppable() as stop, open_world(settings) as world:
        parts: Parts = {name: lambda stop: run(world, stop)}
        if settings.metrics_port and name != "api":
            parts["health endpoint"] = lambda stop: health.run(world, name, stop)
        await together(parts, stop)


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
