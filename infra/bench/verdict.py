"""What the log says after a soak: whether anything was lost, accepted twice, or told differently than it was shown.

In come the partitions, folded by the same rule that every reader uses, and what the clients saw; out come counts and
sentences about what is wrong. No sentence, no fault.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from events.acceptance import ENDS_A_RUN, Acceptance, Accepted, Checkpoint
from events.delta import NodeDelta
from events.node import OutputClosed, OutputReleased
from events.run import RunStarted
from events.topics import EVENTS
from infra.bench.reader import Reader
from services.kit.blobs import FolderBlobs, unpack
from services.kit.log import Log

_READ = 5_000


@dataclass
class Verdict:
    """Counts, and what is wrong."""

    records: int = 0
    accepted: int = 0
    claims: int = 0
    runs: int = 0
    attempts: int = 0
    ends: dict[str, str] = field(default_factory=dict[str, str])
    wrong: list[str] = field(default_factory=list[str])
    _ids: set[str] = field(default_factory=set[str], repr=False)
    _starts: Counter[str] = field(default_factory=Counter[str], repr=False)
    _keys: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    _numbers: dict[str, int] = field(default_factory=dict[str, int], repr=False)
    _said: dict[str, defaultdict[tuple[object, ...], list[str]]] = field(default_factory=dict, repr=False)
    _shown: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list), repr=False)

    def look_at(self, event: Accepted) -> None:
        """The next accepted event of its partition."""
        meta, data = event.meta, event.envelope.data
        self.accepted += 1
        if meta.id in self._ids:
            self.wrong.append(f"event {meta.id} is accepted twice")
        self._ids.add(meta.id)
        self._number(meta.id, meta.claim)
        if not meta.stream.startswith("run-"):
            return
        run = meta.stream.removeprefix("run-")
        if isinstance(data, RunStarted):
            self.runs += 1
            self._starts[run] += 1
            if data.idempotency_key and self._keys.setdefault(data.idempotency_key, run) != run:
                self.wrong.append(f"runs {self._keys[data.idempotency_key]} and {run} have the same idempotency key")
        if meta.type in ENDS_A_RUN:
            if run in self.ends:
                self.wrong.append(f"run {run} ended twice")
            self.ends[run] = meta.type
        self._show(run, event)

    def compare(self, readers: Sequence[Reader], expected: Mapping[int, str]) -> None:
        """Beside what clients saw; `expected` has the text by the reader's place where it is known."""
        self.wrong += [f"run {run} started {count} times" for run, count in self._starts.items() if count > 1]
        self.wrong += [f"run {run} never ended" for run in self._starts if run not in self.ends]
        for place, reader in enumerate(readers):
            if reader.run not in self._starts:
                self.wrong.append(f"run {reader.run or '(never accepted)'} was acknowledged and is not in the log")
            elif reader.ended is None:
                self.wrong.append(f"run {reader.run} has an end that its reader never saw")
            elif reader.text != "".join(self._shown[reader.run]):
                self.wrong.append(f"run {reader.run} was shown otherwise than the log has it")
            elif place in expected and reader.text != expected[place]:
                self.wrong.append(f"run {reader.run} has a gap, or something twice: {reader.text[:80]}…")

    def _number(self, id_: str, claim: str) -> None:
        if id_ == claim:
            self.claims += 1
            self._numbers[claim] = 0
            return
        number = int(id_.rpartition("-")[2], 16)
        if number != self._numbers.get(claim, 0) + 1:
            self.wrong.append(f"claim {claim}: after event {self._numbers.get(claim, 0)} comes {number}, so what was between is lost")
        self._numbers[claim] = number

    def _show(self, run: str, event: Accepted) -> None:
        said, shown = self._said.setdefault(run, defaultdict(list)), self._shown[run]
        match event.envelope.data:
            case NodeDelta() as delta:
                text = delta.text.words or ""
                said[delta.node, delta.path, delta.stage].append(text)
                if delta.shown and delta.stage == "content":
                    shown.append(text)
            case OutputReleased(of=None) as released if released.stage == "content" and released.text:
                shown.append(released.text.words or "")
            case OutputReleased(of=of) if of is not None and of.stage == "content":
                shown += said[of.node, of.path, of.stage][of.start : of.stop]
            case OutputClosed() as closed:
                shown.append(closed.text.words or "")
            case _:
                self.attempts += event.meta.type == "node.started" and getattr(event.envelope.data, "attempt", 1) > 1
        if event.meta.type in ENDS_A_RUN:
            self._said.pop(run, None)


async def judge(log: Log, blobs: FolderBlobs) -> Verdict:
    """Read the whole log."""
    verdict = Verdict()
    for partition in range(log.partitions(EVENTS)):
        fold = Acceptance(Checkpoint(await log.identity(EVENTS), partition))
        while stored := await log.read(EVENTS, partition, fold.offset, _READ):
            verdict.records += len(stored)
            for one in stored:
                if (event := fold.step(await unpack(one, blobs))) is not None:
                    verdict.look_at(event)
    return verdict
