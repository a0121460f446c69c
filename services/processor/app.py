"""The processor: decides and does, one owner for each partition it is given."""

import asyncio

from services.kit.world import World
from services.processor import loop


async def run(world: World, stop: asyncio.Event) -> None:
    """Run until `stop` is set."""
    await loop.run(world, stop)
