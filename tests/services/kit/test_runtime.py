"""The interpreter of a program: when its collector rests."""

import gc
import sys
from collections.abc import Iterator

import pytest

from services.kit.program import runtime


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    thresholds, switch = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(switch)


def test_the_collector_rests_while_modules_are_read_and_not_while_the_program_runs() -> None:
    seen = list[bool]()

    async def work() -> None:
        seen.append(gc.isenabled())

    with runtime.reading_modules():
        seen.append(gc.isenabled())
        runtime.run(work())
    assert [*seen, gc.isenabled()] == [False, True, True]


def test_the_collector_works_again_after_a_command_that_broke() -> None:
    with pytest.raises(RuntimeError), runtime.reading_modules():
        raise RuntimeError
    assert gc.isenabled()
