"""Runs that others began, as the record of the run that waits for them tells it."""

from tests.services.api.conftest import House
from tests.services.api.test_questions import record


async def child_of(house: House, run: str) -> str:
    """The only one."""
    (child,) = [event["data"]["child"] for event in await record(house, run) if event["type"] == "child.started"]
    return str(child)


async def cancelled_at_work(house: House, run: str) -> str:
    """Cancel a run as soon as it has a child; the child."""
    async with house.http.stream("GET", f"/v1/runs/{run}/events") as events:
        async for line in events.aiter_lines():
            if line == "event: child.started":
                break
    child = await child_of(house, run)
    assert (await house.http.post(f"/v1/runs/{run}/cancel")).status_code == 200
    return child
