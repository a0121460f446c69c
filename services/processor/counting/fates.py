"""How runs end, counted: by surface and status, with the time that they took.

In comes a step that was decided; children are part of the run that started them and not counted. A step that is never written
(the ownership ended before) is counted all the same, by the next owner again: these are measures, not the record.
"""

from typing import get_args

from events.run import RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut
from services.kit.telling.metrics import Metrics
from services.processor.steps.deciding import Step

_End = RunCompleted | RunFailed | RunTimedOut | RunCancelled
_ENDS = get_args(_End)


def count(metrics: Metrics, step: Step) -> None:
    """A step of a run."""
    end = step.envelopes[-1] if step.envelopes else None
    if end is None or not isinstance(end.data, _ENDS):
        return
    terms, began, idle = None, 0, 0
    if step.before is not None:
        terms, began, idle = step.before.terms, step.before.began, step.before.idle_ms
        if step.before.idle_since is not None:
            idle += max(0, end.meta.time - step.before.idle_since)
    elif isinstance(first := step.envelopes[0].data, RunStarted):
        terms, began = first, step.envelopes[0].meta.time
    if terms is None or terms.parent is not None:
        return
    status = "failed" if isinstance(end.data, RunFailed) else end.data.type.removeprefix("run.")
    metrics.runs_finished.labels(terms.surface, status).inc()
    metrics.run_seconds.labels(terms.surface, status).observe(max(0, end.meta.time - began - idle) / 1000)
