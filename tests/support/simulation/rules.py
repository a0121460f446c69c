"""What can be taken out, and what can go wrong. The switches exist here only: the program has none."""

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Rules:
    """The rules of law 3, one switch each."""

    claim_check: bool = True
    """Only events of the newest counted claim are accepted."""
    after: bool = True
    """A claim counts only if it names the newest counted one."""
    confirm: bool = True
    """The group confirms between fold and claim."""
    read_own: bool = True
    """A new owner folds on until it reads its own claim."""
    read_back: bool = True
    """An owner reads its partition on, and ends at a foreign claim or a missing record."""
    fail_closed: bool = True
    """After a failed append nothing more is written with that claim."""
    one_in_flight: bool = True
    """The next batch waits for the acknowledgement of the last."""
    whole: bool = True
    """The events of one decision never straddle two batches."""
    act_on_ack: bool = True
    """An effect starts when its `node.started` is acknowledged, not when it is decided."""
    answer_accepted: bool = True
    """A client is answered by what is accepted, not by what is acknowledged."""
    cause: bool = True
    """The commands go on after the newest accepted cause, not after the group's committed offset."""
    cause_id: bool = True
    """The record at that place must have the command's id."""
    near: bool = True
    """The commands before that place must be decided too."""
    topic: bool = True
    """The topic's identity is compared wherever an offset is believed."""
    ids: bool = True
    """Ids of commands are remembered."""
    keys: bool = True
    """Idempotency keys are remembered."""
    attempts: bool = True
    """After a takeover, nodes that are under way go on in a new attempt."""
    timers: bool = True
    """After a takeover, timers come from the state."""
    unknown: bool = True
    """Who meets a kind that it does not know gives the partition up."""
    place: bool = True
    """Who goes on from a checkpoint compares the record ahead of it."""
    snapshot_read_back: bool = True
    """A snapshot is written when everything in it was read back."""
    snapshot_place: bool = True
    """Who begins with a snapshot compares topic, claim and the record ahead of its place."""
    snapshot_whole: bool = True
    """The streams of a snapshot are compared with what its partition's record says of them."""
    snapshot_ahead: bool = True
    """What a stream's snapshot stands for already is not folded into it again."""
    snapshot_last: bool = True
    """The partition's record is the last of its set."""
    end_after: bool = True
    """Where the events end is asked after the snapshots were read: another owner may have written some of them meanwhile."""

    def without(self, *names: str) -> "Rules":
        """These rules taken out."""
        return replace(self, **dict.fromkeys(names, False))


LAW = Rules()
NAMES = tuple(field.name for field in fields(Rules))
HIDDEN = {"topic": "near", "snapshot_last": "snapshot_whole"}
"""In logs this short one rule does the work of another: it has to be taken out as well, for the other to be missed."""


@dataclass(frozen=True)
class Trouble:
    """How much goes wrong in one schedule: an upper bound of each."""

    steps: int = 50
    runs: int = 3
    commands: int = 7
    takeovers: int = 5
    crashes: int = 2
    failures: int = 3
    doubled_claims: int = 2
    reposts: int = 2
    jumps: int = 1
    restores: int = 0
    cuts: int = 0
    snapshots: int = 3


ORDINARY = Trouble()
MOVED = Trouble(restores=1, reposts=6)
CUT = Trouble(cuts=1, doubled_claims=0)
BOTH = Trouble(restores=1, cuts=1, doubled_claims=0)
WITHOUT = Trouble(snapshots=0)
LONG = Trouble(steps=100, snapshots=10, takeovers=8, crashes=4)
LONG_CUT = Trouble(steps=120, snapshots=10, takeovers=10, crashes=3, cuts=3, runs=1, commands=10, failures=0, doubled_claims=0)
LONG_MOVED = Trouble(steps=100, snapshots=8, takeovers=8, restores=2, reposts=6)
HARD = {"topic": MOVED, "near": LONG_MOVED, "snapshot_ahead": LONG, "snapshot_place": LONG_CUT, "end_after": LONG}
"""What has to go wrong for the lack of a rule to be noticed soon, where everything in turn is not enough."""
KINDS = (WITHOUT, ORDINARY, MOVED, CUT, WITHOUT, ORDINARY, MOVED, BOTH)
"""A schedule's seed says which of these it gets."""


def trouble_of(seed: int) -> Trouble:
    """What goes wrong in the schedule with this seed."""
    return KINDS[seed % len(KINDS)]
