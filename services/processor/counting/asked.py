"""Counts of the questions of one partition: asked, answered, expired, and those that are open now."""

from collections.abc import Iterable

from events.acceptance import ENDS_A_RUN
from events.envelope import Envelope
from events.question import QuestionAnswered, QuestionAsked, QuestionExpired
from services.kit.telling.metrics import Metrics
from services.processor.memory.runs import Runs

_CLOSES = ENDS_A_RUN | {QuestionAnswered.type, QuestionExpired.type}


class Asked:
    """One ownership's, with the runs that rest, which wait for people. `close` it, so that the next owner's count is the only one."""

    def __init__(self, metrics: Metrics, partition: int, runs: Runs) -> None:
        self._metrics = metrics
        self._gauge = metrics.questions_open.labels(str(partition))
        self._open = {run for run, state in runs.awake.items() if state.question is not None}
        self._open |= {stream.removeprefix("run-") for stream, *_, rests in runs.rows.rows() if rests and stream.startswith("run-")}
        self._gauge.set(len(self._open))

    def note(self, run: str, envelopes: Iterable[Envelope]) -> None:
        """What was decided of a run."""
        for envelope in envelopes:
            if envelope.meta.type == QuestionAsked.type:
                self._open.add(run)
                self._metrics.questions_asked.inc()
            elif envelope.meta.type in _CLOSES:
                self._open.discard(run)
                self._count(envelope)
            else:
                continue
            self._gauge.set(len(self._open))

    def close(self) -> None:
        """The ownership ended."""
        self._gauge.set(0)

    def _count(self, envelope: Envelope) -> None:
        if isinstance(envelope.data, QuestionAnswered):
            self._metrics.questions_answered.labels(envelope.data.event_type).inc()
        elif isinstance(envelope.data, QuestionExpired):
            self._metrics.questions_expired.inc()
