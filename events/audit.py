"""What happens when a run's words are judged before anybody sees them: the content audit.

These names are the storage format. No words stand here, only how long they are and their digest: the words themselves are
where they were said. Between a question to the provider and its verdict nothing of what it is about is shown.
"""

from typing import ClassVar, Literal

from events.envelope import Event, Stage
from events.node import Problem

Judged = Literal["input", "output", "question", "answer"]
"""What is judged: what the run was started with, a piece of what it shows, a question that it puts, the answer of a person."""
Verdict = Literal["pass", "refuse"]


class AuditEvent(Event):
    """The parent of what happens to one judgement. `number` counts those of the run from 1, `attempt` how often its provider was asked."""

    number: int
    attempt: int = 1


class AuditAsked(AuditEvent):
    """The provider is asked. `length` (characters) and `digest` (SHA-256) are those of the words that are judged.

    Of output, `covers` is how many held characters a pass releases, `piece` its ordinal from 1, `pending` that the sentence is
    not complete; `ends_stage` and `ends` say that the thinking (or the answer), or the whole run's text, ends with it.
    """

    type: ClassVar[str] = "audit.asked"
    of: Judged
    stage: Stage = "content"
    length: int
    digest: str
    covers: int = 0
    piece: int = 0
    pending: bool = False
    ends_stage: bool = False
    ends: bool = False


class AuditJudged(AuditEvent):
    """The provider's verdict. `action` and `categories` are its own words for it, `reference` is its number of the call."""

    type: ClassVar[str] = "audit.judged"
    of: Judged
    provider: str
    verdict: Verdict
    action: str = ""
    categories: tuple[str, ...] = ()
    digest: str
    reference: str = ""
    tries: int = 1
    duration_ms: int = 0


class AuditFailed(AuditEvent):
    """No verdict could be had. What follows ends the run, or refuses the answer: nothing that was not judged is shown."""

    type: ClassVar[str] = "audit.failed"
    of: Judged
    problem: Problem
