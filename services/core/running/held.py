"""What a run whose words are judged has said and nobody has seen yet: values, and their fold.

In come `output.held` and what follows it, the questions to the provider and its verdicts; out come the same values, changed.
What is asked when is decided in `services.core.running.audit`.
"""

from dataclasses import dataclass
from typing import Literal

from events import audit as a
from events import node as n
from events import question as q
from events.envelope import Stage
from services.core.running.changing import replace
from services.core.running.node_run import Place


@dataclass(frozen=True)
class Mark:
    """One thing that an output node did. Of words only those remain that nobody has seen."""

    what: Literal["opened", "text", "closed"]
    place: Place
    attempt: int
    unit: int = 0
    stage: Stage = "content"
    text: str = ""


@dataclass(frozen=True)
class Asked:
    """What the provider is judging now; `since` in milliseconds. The rest as in `audit.asked`."""

    number: int
    attempt: int
    of: a.Judged
    stage: Stage
    covers: int
    piece: int
    pending: bool
    ends_stage: bool
    ends: bool
    length: int
    digest: str
    since: int


@dataclass(frozen=True)
class HeldAnswer:
    """An answer that does not count yet."""

    question: int
    event_type: q.AnswerType
    content: str
    by: str


@dataclass(frozen=True)
class Audit:
    """`entered`: the input has passed. `marks` are what was not shown, oldest first, `passed` how many characters of them may be now.

    `number` counts judgements, `pieces` those of output that passed. Until the first sentence of a stage is complete, `prefix` is what
    was shown of it (of `stage`), and `doubted` says that a part of it was refused; `settled` are the stages of which it is complete.
    `cleared` is the digest of the question that may be put, `answer` the answer that is judged or waits for that.
    """

    entered: bool = False
    marks: tuple[Mark, ...] = ()
    passed: int = 0
    number: int = 0
    pieces: int = 0
    asked: Asked | None = None
    stage: Stage = "content"
    prefix: str = ""
    doubted: bool = False
    settled: tuple[Stage, ...] = ()
    cleared: str = ""
    answer: HeldAnswer | None = None

    def prefix_of(self, stage: Stage) -> str:
        """What was shown of a stage's first sentence."""
        return self.prefix if self.stage == stage else ""


def held(audit: Audit, mark: Mark) -> Audit:
    """One thing more. Text of the same unit stays together; none at all is nothing to hold."""
    if mark.what == "text" and not mark.text:
        return audit
    last = audit.marks[-1] if audit.marks else None
    if last is not None and last.what == mark.what == "text" and (last.place, last.unit, last.stage) == (mark.place, mark.unit, mark.stage):
        return replace(audit, marks=(*audit.marks[:-1], replace(last, text=last.text + mark.text)))
    return replace(audit, marks=(*audit.marks, mark))


def let_go(audit: Audit, event: n.OutputOpened | n.OutputReleased | n.OutputClosed) -> Audit:
    """What was held is shown now: it is the oldest mark, or the beginning of its words."""
    if not audit.marks:
        return audit
    first, rest = audit.marks[0], audit.marks[1:]
    if isinstance(event, n.OutputOpened):
        return replace(audit, marks=rest)
    words = (event.text.words if event.text else None) or ""
    passed = max(0, audit.passed - len(words))
    if isinstance(event, n.OutputClosed):
        return replace(audit, marks=rest, passed=passed, prefix="", doubted=False)
    left = first.text[len(words) :]
    marks = (replace(first, text=left), *rest) if left or first.what == "closed" else rest
    before = audit.prefix_of(first.stage)
    prefix = "" if first.stage in audit.settled else before + words
    return replace(audit, marks=marks, passed=passed, prefix=prefix, stage=first.stage)


def evolved(audit: Audit, event: a.AuditEvent, time: int) -> Audit:
    """What the judging comes to."""
    match event:
        case a.AuditAsked():
            asked = Asked(
                event.number,
                event.attempt,
                event.of,
                event.stage,
                event.covers,
                event.piece,
                event.pending,
                event.ends_stage,
                event.ends,
                event.length,
                event.digest,
                time,
            )
            return replace(audit, asked=asked, number=event.number)
        case a.AuditJudged() if audit.asked is not None and audit.asked.number == event.number:
            known = replace(audit, asked=None)
            return _passed(known, audit.asked) if event.verdict == "pass" else replace(known, doubted=audit.asked.pending)
        case a.AuditFailed():
            return replace(audit, asked=None)
        case _:
            return audit


def _passed(audit: Audit, asked: Asked) -> Audit:
    match asked.of:
        case "input":
            return replace(audit, entered=True)
        case "question":
            return replace(audit, cleared=asked.digest)
        case "output" if asked.pending:
            return replace(audit, passed=asked.covers, pieces=asked.piece)
        case "output":
            settled = audit.settled if asked.stage in audit.settled else (*audit.settled, asked.stage)
            return replace(audit, passed=asked.covers, pieces=asked.piece, settled=settled, prefix="", doubted=False)
        case _:
            return audit
