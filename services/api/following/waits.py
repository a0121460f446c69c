"""What an unfinished run waits for, folded from its events as its owner folds them: nothing of it is in the rows."""

from dataclasses import asdict
from typing import Any

from events.envelope import Event
from services.api.answers.problems import Gone, Missing
from services.api.api import Api
from services.api.asking.starting import opened
from services.core.running.run_state import Active, NotStarted, RunState, evolve
from services.core.running.waiting import Wait, waits_of


async def waits(api: Api, run: str) -> list[dict[str, Any]] | None:
    """Each thing by name; none for a run that has just ended, None where its events are no longer kept."""
    try:
        follower = await opened(api, run, veiled=False)
    except (Gone, Missing):
        return None
    try:
        state: RunState = NotStarted()
        for event in await follower.present():
            data = event.envelope.data
            assert isinstance(data, Event), "the events topic has only events"
            state = evolve(state, data, event.meta.time)
    finally:
        follower.close()
    return [_shown(one) for one in waits_of(state)] if isinstance(state, Active) else []


def _shown(wait: Wait) -> dict[str, Any]:
    path = ".".join(map(str, wait.path))
    return {name: value for name, value in {**asdict(wait), "path": path}.items() if value is not None and value != ""}
