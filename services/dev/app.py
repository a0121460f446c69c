"""All programs by one command: what a new machine runs first.

In come settings; it migrates the rows, opens one world, runs processor and api in it and the projector in a process beside
it (decision 0034), sets up the demo, and prints how to use it. It ends when it is asked to (exit code 0) or when one of its
programs ends (all drain, one sentence says which and why).
"""

import asyncio
import contextlib

from services.api import app as api
from services.dev import demo
from services.dev.apart import Apart, begun
from services.dev.welcome import answering, greet
from services.kit.assemble import make_folder
from services.kit.audit.provider import check
from services.kit.database import Database
from services.kit.program.exits import guarded
from services.kit.program.frame import Parts, opened, stoppable, together
from services.kit.program.serving import listen
from services.kit.settings import LOOPBACK, Settings
from services.kit.telling import logs, waiting
from services.kit.world import World
from services.processor import app as processor

_EASIER = {
    "durability": "single",
    "trusted_proxies": LOOPBACK,
    "cors_origins": ("*",),
    "log_level": "warning",
    "demo": True,
    "runtime_env": "dev",
    "anonymous_app": demo.APP,
    "wiki_networks": LOOPBACK,
    "egress_networks": LOOPBACK,
}


def main(settings: Settings) -> int:
    """Run until stopped; the exit code."""
    return guarded(lambda: _dev(settings))


def settings_for_dev(given: Settings) -> Settings:
    """The settings with dev's own defaults in place of those that nobody gave."""
    return given.model_copy(update={name: value for name, value in _EASIER.items() if name not in given.model_fields_set})


async def run(world: World, apart: Apart, stop: asyncio.Event) -> None:
    """The three programs, the demo and the greeting, until `stop`. Raises `Refused` or `ProgramError`."""

    async def welcome(stop: asyncio.Event) -> None:
        obstacle = await demo.settle(world) if world.settings.demo else ""
        if await answering(world.settings, stop):
            greet(world.settings, obstacle)
        await stop.wait()

    parts: Parts = {
        "projector": lambda stop: apart.run(world, stop),
        "processor": lambda stop: processor.run(world, stop),
        "api": lambda stop: api.run(world, stop),
        "demo": welcome,
        "watch": lambda stop: waiting.tell(world, stop),
    }
    await together(parts, stop)


async def _dev(settings: Settings) -> None:
    logs.configure("dev", settings)
    settings = settings.model_copy(update={"port": _free_port(settings)})
    make_folder(settings)
    await check(settings)
    async with begun() as apart:
        await _migrate(settings)
        async with stoppable() as stop, contextlib.AsyncExitStack() as stack:
            world = await opened(stack, settings, stop, "dev")
            if world is not None:
                await run(world, apart, stop)


def _free_port(settings: Settings) -> int:
    """The port, as a number that can be printed; refused before anything else is touched."""
    bound = listen(settings.host, settings.port)
    port: int = bound.getsockname()[1]
    bound.close()
    return port


async def _migrate(settings: Settings) -> None:
    database = Database(settings)
    try:
        await database.migrate()
    finally:
        await database.dispose()
