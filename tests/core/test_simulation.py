"""Law 3 under everything that can go wrong, played against the project's own acceptance and deciders.

`make test ARGS="tests/core/test_simulation.py"` plays the schedules below; `python -m tests.support.simulation
--schedules 1000000 --seed 7` plays as many as one has patience for, and prints the smallest one that fails.
"""

import os
from collections.abc import Callable, Iterator

import pytest
import structlog

from tests.support.simulation.choices import Choices
from tests.support.simulation.rules import CUT, HARD, HIDDEN, LAW, LONG, LONG_CUT, LONG_MOVED, NAMES, ORDINARY, Trouble, trouble_of
from tests.support.simulation.search import Found, in_parallel, play, quiet, shrink, until_broken

SCHEDULES = 20_000
WITHIN = {"topic": 2_000, "cause_id": 3_000, "snapshot_whole": 1_500, "snapshot_place": 5_000, "end_after": 1_000}
"""How many schedules may pass before the lack of a rule is noticed; 400 unless told."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    quiet()
    yield
    structlog.reset_defaults()


@pytest.mark.timeout(900)
def test_no_schedule_breaks_the_law(tell: Callable[[str], None]) -> None:
    found = Found()
    for share in in_parallel(LAW, 0, SCHEDULES, os.cpu_count() or 1):
        found.add(share)
    tell(f"{found.schedules:,} schedules, {found.events:,} events in their logs: {found.failed} break the law")
    told = [f"{what} ({count} schedules; python -m tests.support.simulation --schedules 1 --seed {found.first[what]})"
            for what, count in found.broken.items()]  # fmt: skip
    assert told == []
    assert found.schedules == SCHEDULES


@pytest.mark.parametrize("trouble", [LONG, LONG_CUT, LONG_MOVED], ids=["long", "cut", "moved"])
def test_no_long_schedule_full_of_snapshots_breaks_the_law(trouble: Trouble) -> None:
    assert until_broken(LAW, 200, trouble) is None


@pytest.mark.timeout(180)
@pytest.mark.parametrize("rule", NAMES)
def test_a_rule_that_is_taken_out_is_missed(rule: str, tell: Callable[[str], None]) -> None:
    out = [rule, *filter(None, [HIDDEN.get(rule)])]
    missed = until_broken(LAW.without(*out), WITHIN.get(rule, 400), HARD.get(rule))
    assert missed is not None
    seed, broken = missed
    tell(f"without {' and '.join(out)}: schedule {seed + 1} breaks: {'; '.join(sorted(set(broken)))}")


def test_the_same_seed_tells_the_same_story() -> None:
    one, two = (play(LAW, ORDINARY, Choices(seed=11), tell=True)[0] for _ in range(2))
    assert one.told == two.told
    assert one.told


def test_what_was_picked_can_be_played_again() -> None:
    choices = Choices(seed=11)
    first, _ = play(LAW, ORDINARY, choices, tell=True)
    again, _ = play(LAW, ORDINARY, Choices(recorded=choices.taken), tell=True)
    assert first.told == again.told


def test_snapshots_are_begun_with_often_enough_to_mean_something() -> None:
    assert sum(play(LAW, trouble_of(seed), Choices(seed))[0].begun_with for seed in range(100)) >= 3


def test_a_failing_schedule_is_made_smaller_and_still_fails_in_the_same_way() -> None:
    rules = LAW.without("whole")
    found = until_broken(rules, 400)
    assert found is not None
    seed, broken = found
    choices = Choices(seed)
    play(rules, trouble_of(seed), choices)
    small = shrink(rules, trouble_of(seed), choices.taken, broken[0], tries=300)
    assert len(small) < len(choices.taken) / 2
    assert broken[0] in play(rules, trouble_of(seed), Choices(recorded=small))[1]


def test_a_log_that_was_cut_is_noticed_by_whoever_had_read_further() -> None:
    """Somewhere in these schedules readers and owners were further than the log; none of them went on as if nothing had been."""
    stories = [play(LAW, CUT, Choices(seed), tell=True) for seed in range(60)]
    assert not any(broken for _, broken in stories)
    assert any("HistoryLost" in line for played, _ in stories for line in played.told or ())
    assert any(follower.noticed for played, _ in stories for follower in played.followers)
