"""Nothing, done at once: exists for `make bench` only, to measure the line without a model."""

from collections.abc import AsyncGenerator

from services.core.running.effects import Done, NoopRequest, Outcome


async def perform(_request: NoopRequest, _world: object) -> AsyncGenerator[Outcome, None]:
    """Done."""
    yield Done()
