"""The event loop, and how hard Hypothesis tries. Fixtures live in `tests/support/`."""

import pytest
from hypothesis import settings

pytest_plugins = (
    "tests.support.fixtures.kafka",  # a session has one broker and one PostgreSQL
    "tests.support.fixtures.rows",
    "tests.support.fixtures.told",
)

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile("deep", max_examples=5_000, deadline=None)
settings.load_profile("ci")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What fetches modules from a registry may take longer than the others."""
    for item in items:
        if item.get_closest_marker("npm"):
            item.add_marker(pytest.mark.timeout(300))
