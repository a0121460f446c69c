"""Random schedules of owners, crashes, late batches and late claims: what readers see always holds together."""

from collections import defaultdict
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from events import topics
from events.acceptance import ENDS_A_RUN, Accepted
from events.commands import CancelRun, StartRun
from events.delta import NodeDelta
from events.envelope import Envelope, Meta, Record, encode
from events.node import NodeCompleted
from services.core.graph import compile_
from tests.support.documents import model_flow
from tests.support.record import check_positions, of_run, shown_text
from tests.support.samples import minimal, values
from tests.support.simulation import PlayedOwner, TinyLog
from tests.support.worlds import NOON

GRAPH = compile_(model_flow())
RUNS = [topics.mint(NOON, 7, number) for number in range(3)]
STEPS = 14


def _command(number: int) -> Record:
    """Starts and cancels of three runs; the same number is the same command, posted again."""
    run = RUNS[number % 3]
    start = minimal(StartRun, run=run, parameters=values(AGENT_USER_INPUT="why?"), idempotency_key="key" if run == RUNS[2] else "")
    wish = CancelRun(run=run, app=start.app, by=start.app) if number % 7 == 6 else start
    head = Meta(f"command-{number % 9}", wish.type, 1, topics.run_stream(run), NOON, "played", start.app)
    return encode(Envelope(head, wish))


class Play:
    """Follows a schedule. Up to three owners are at work, and only one of them rightly."""

    def __init__(self) -> None:
        self.log = TinyLog()
        self.owners: list[PlayedOwner] = []
        self.time = NOON
        self.claims = 0

    def step(self, what: int, which: int) -> None:
        self.time += 1
        self.owners = [owner for owner in self.owners if owner.alive]
        owner = self.owners[which % len(self.owners)] if self.owners else None
        if what == 0 or owner is None:
            self.take_over(which)
        elif what == 1:
            self.log.commands.append(_command(which))
        elif what == 2 and self.log.late:
            self.log.append(self.log.late.pop(which % len(self.log.late)))
        elif what == 3:
            owner.alive = False
        elif what == 4:
            owner.write(("lost", "there", "late")[which % 3])
        elif what == 5:
            owner.read_back()
        elif what == 6 and which % 5 == 0:
            self.time += 61_000
            owner.due()
        elif what in {7, 8}:
            owner.command()
        elif what in {9, 10, 11}:
            owner.tell(which)
        else:
            owner.write()

    def take_over(self, which: int = 0) -> PlayedOwner:
        self.claims += 1
        owner = PlayedOwner(self.log, GRAPH, f"claim-{self.claims}", lambda: self.time)
        if self.owners and which % 4 == 0:  # somebody writes between our fold and our claim
            self.owners[0].write()
        owner.claim(late=which % 7 == 1, lost=which % 7 == 2, doubled=which % 7 == 4)
        self.owners.append(owner)
        return owner

    def heal(self) -> None:
        """All that is late arrives; then one owner is left in peace until nothing is to be done."""
        while self.log.late:
            self.log.append(self.log.late.pop())
        owner = self.take_over(3)
        for zombie in self.owners[:-1]:
            if zombie.alive:
                zombie.write()
        self.owners = [owner]
        while owner.command() or owner.tell(0) or owner.write():
            owner.write()


def _check(play: Play, *, healed: bool) -> list[Accepted]:
    history, _ = play.log.accepted()
    check_positions(history)
    causes: defaultdict[int, set[str]] = defaultdict(set)
    firsts: defaultdict[str, set[int]] = defaultdict(set)
    for event in history:
        if event.meta.cause is not None:
            causes[event.meta.cause].add(event.meta.claim)
            if event.meta.type != "command.repeated":
                firsts[event.meta.command].add(event.meta.cause)
    assert all(len(claims) == 1 for claims in causes.values()), "a command was decided twice"
    assert all(len(offsets) == 1 for offsets in firsts.values()), "a command had two first results"
    assert list(causes) == sorted(causes), "commands were decided out of order"
    assert not healed or list(causes) == list(range(len(play.log.commands))), "a command was never answered"
    for run in RUNS:
        _check_run(of_run(history, run), healed=healed)
    return history


def _check_run(history: list[Accepted], *, healed: bool) -> None:
    if not history:
        return
    kinds = [event.meta.type for event in history]
    assert kinds[0] == "run.started"
    assert kinds.count("run.started") == 1
    assert not any(kind in ENDS_A_RUN for kind in kinds[:-1]), "something happened after the end"
    assert not healed or kinds[-1] in ENDS_A_RUN, "a run waits for nothing"
    said, completed = "", False
    for event in history:
        match event.envelope.data:
            case NodeDelta() as delta:
                assert not completed, "a word after the end of its node"
                said += delta.text.words or ""
            case NodeCompleted(content=seal) if seal is not None:
                completed = True
                assert (seal.length, seal.digest) == (len(said), sha256(said.encode()).hexdigest()), "the text is not its deltas"
            case _:
                pass
    assert "[one two three]".startswith(shown_text(history)), f"shown twice, or lost: {shown_text(history)}"


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, STEPS), st.integers(0, 62)), min_size=10, max_size=120), st.integers(0, 200))
def test_what_readers_see_holds_together_whatever_happens_to_the_owners(schedule: list[tuple[int, int]], cut: int) -> None:
    play = Play()
    play.log.commands.append(_command(0))
    for what, which in schedule:
        play.step(what, which)
    unhealed = _check(play, healed=False)
    middle = min(cut, len(play.log.events))
    whole = TinyLog(events=play.log.events[:middle])
    first, checkpoint = whole.accepted()
    play.heal()
    history = _check(play, healed=True)
    assert history[: len(unhealed)] == unhealed, "what was accepted is not any more"
    assert first + play.log.accepted(checkpoint)[0] == history, "who begins in the middle sees something else"
