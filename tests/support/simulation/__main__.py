"""`python -m tests.support.simulation --schedules 1000000 --seed 7`: as many schedules as one has patience for.

Prints what broke and the smallest schedule that breaks it; the exit code is 1 then. `--without RULE` takes a rule out.
"""

import os
import sys
import time
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import track

from tests.support.simulation.choices import Choices
from tests.support.simulation.rules import LAW, NAMES, trouble_of
from tests.support.simulation.search import SHARE, Found, in_parallel, play, quiet, shrink

app = App(name="simulation", help="Play schedules of law 3 against the project's own acceptance and deciders.")
console = Console()


@app.default
def main(
    *,
    schedules: int = 20_000,
    seed: int = 0,
    workers: int = os.cpu_count() or 1,
    without: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
) -> int:
    """Play so many schedules from a seed on.

    Parameters
    ----------
    schedules
        How many.
    seed
        The first one.
    workers
        Processes that play.
    without
        Rules to take out, to see what they are for.
    """
    unknown = [name for name in without if name not in NAMES]
    if unknown:
        console.print(f"--without takes some of {', '.join(NAMES)}; {unknown[0]} is none of them")
        return 2
    rules, found, began = LAW.without(*without), Found(), time.perf_counter()
    shares = in_parallel(rules, seed, schedules, workers)
    for share in track(shares, "playing", total=-(-schedules // SHARE), console=console, disable=not console.is_terminal):
        found.add(share)
    console.print(f"{found.schedules} schedules, {found.events} events, {time.perf_counter() - began:.1f} s: {found.failed} fail")
    for what, count in found.broken.most_common():
        console.print(f"  {count:6} {what} (first: seed {found.first[what]})")
    if not found.failed:
        return 0
    what, first = min(found.first.items(), key=lambda one: one[1])
    _tell_smallest(what, first, without)
    return 1


def _tell_smallest(what: str, seed: int, without: tuple[str, ...]) -> None:
    quiet()
    rules, trouble, choices = LAW.without(*without), trouble_of(seed), Choices(seed)
    play(rules, trouble, choices)
    schedule = shrink(rules, trouble, choices.taken, what)
    played, _ = play(rules, trouble, Choices(recorded=schedule), tell=True)
    console.print(f"\nThe smallest schedule that leads to “{what}” (from seed {seed}, {len(schedule)} choices):\n{schedule}\n")
    console.print("\n".join(f"  {line}" for line in played.told or ()), markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(app())
