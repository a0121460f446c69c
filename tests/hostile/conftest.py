"""The whole house on a real socket, as for the tests of the api; `roomy` takes larger bodies."""

from collections.abc import AsyncIterator

import pytest

from tests.services.api.conftest import House, anyio_backend, house, model_server, running, serving

__all__ = ["anyio_backend", "house", "model_server"]


@pytest.fixture(scope="module")
async def roomy(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[House]:
    async with running(tmp_path_factory.mktemp("roomy"), max_body_bytes=8 * 1024 * 1024) as world:
        async for one in serving(world):
            yield one
