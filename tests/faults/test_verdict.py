"""The judge of the soak sees what is wrong: a judge that finds nothing must be able to find something."""

import httpx
import pytest

from events.acceptance import Accepted
from events.envelope import Envelope, Event, Meta
from events.node import OutputReleased
from events.run import RunCompleted, RunStarted
from infra.bench.reader import Reader
from infra.bench.verdict import Verdict
from tests.support.samples import RUN, minimal, words

STARTED, SAID, ENDED = minimal(RunStarted), OutputReleased(node="n", stage="content", unit=0, text=words("hello")), minimal(RunCompleted)


def judged(*events: tuple[int, Event]) -> Verdict:
    """Events of one run with their numbers within one claim."""
    verdict = Verdict()
    for place, (number, event) in enumerate(events):
        meta = Meta(f"c-{number:x}", event.type, 1, f"run-{RUN}", 0, "test", claim="c")
        verdict.look_at(Accepted(0, place, place + 1, Envelope(meta, event)))
    return verdict


def reader(text: str, run: str = RUN) -> Reader:
    one = Reader(httpx.AsyncClient(), [])
    one.run, one.words, one.ended = run, [text], {}
    return one


async def test_a_run_that_was_shown_as_it_is_recorded_is_fine() -> None:
    verdict = judged((1, STARTED), (2, SAID), (3, ENDED))
    verdict.compare([reader("hello")], {0: "hello"})
    assert (verdict.wrong, verdict.runs, verdict.accepted) == ([], 1, 3)


@pytest.mark.parametrize(
    ("events", "seen", "wrong"),
    [
        ([(1, STARTED), (3, ENDED)], reader(""), "claim c: after event 1 comes 3, so what was between is lost"),
        ([(1, STARTED), (2, ENDED), (2, ENDED)], reader(""), "event c-2 is accepted twice"),
        ([(1, STARTED), (2, ENDED), (3, ENDED)], reader(""), f"run {RUN} ended twice"),
        ([(1, STARTED)], reader(""), f"run {RUN} never ended"),
        ([(1, STARTED), (2, SAID), (3, ENDED)], reader("hel"), f"run {RUN} was shown otherwise than the log has it"),
        ([(1, STARTED), (2, ENDED)], reader("", run="77"), "run 77 was acknowledged and is not in the log"),
    ],
)
async def test_what_is_lost_twice_or_otherwise_is_named(events: list[tuple[int, Event]], seen: Reader, wrong: str) -> None:
    verdict = judged(*events)
    verdict.compare([seen], {})
    assert wrong in verdict.wrong
