"""The veil over a run whose words are judged: readers get its events without the words that nobody let pass.

In come accepted events of one run from the first on, or from anywhere with what the run said of its audit; out go the same
events at the same positions. Shown are what the person said, and what was released: text, questions, answers. Everything
else that holds words (a model's pieces, what nodes took and gave, results of tools) is there without them, and why something
failed is said by its code alone. Of a run that works for an audited one nothing has passed yet: none of its words are
shown. The record itself keeps them, for its operators.
"""

from typing import Any, cast

from events.acceptance import Accepted
from events.envelope import Fact, Protected
from events.node import NodeCompleted, NodeEvent, NodeFailed, NodeStarted, OutputClosed, OutputHeld, OutputReleased, Problem
from events.question import AnswerHeld, QuestionAnswered, QuestionAsked
from events.run import Audit, RunCompleted, RunFailed, RunStarted
from services.api.answers.errors import TABLE

START = "node-start"
AUDIT_CODES = range(21100, 21105)
_PASSED = (OutputReleased, OutputClosed, QuestionAsked, QuestionAnswered, AnswerHeld)


class Veil:
    """One reader's."""

    def __init__(self, audit: Audit | None = None) -> None:
        self._audit: Audit | None = audit

    def over(self, event: Accepted) -> Accepted:
        """The event as readers get it."""
        data = event.envelope.data
        if isinstance(data, RunStarted):
            self._audit = data.audit
        if not self._audit:
            return event
        shown = self._shown(data)
        return event if shown is data else event._replace(envelope=event.envelope._replace(data=shown))

    def _shown(self, data: Fact) -> Fact:
        if self._audit == "own" and (isinstance(data, _PASSED) or _of_the_caller(data)):
            return data
        return wordless(data) if isinstance(data, NodeEvent | RunCompleted | RunFailed | RunStarted) else data


def plain(code: int, message: str, node: str = "") -> str:
    """Why something failed in a run whose words are judged: what the code means, since a sentence may repeat words of a model."""
    if code in AUDIT_CODES or _is_start(node):
        return message
    return TABLE[code].message if code in TABLE else "it failed"


def wordless(data: Fact) -> Fact:
    """The event without its words. What would have been shown is not even said to be of a node's text."""
    changed: dict[str, Any] = {}
    for name in type(data).model_fields:
        value = getattr(data, name)
        if isinstance(value, Protected) and cast("Protected[Any]", value).words is not None:
            changed[name] = cast("Protected[Any]", value).model_copy(update={"words": None})
        elif isinstance(value, Problem):
            changed[name] = Problem(code=value.code, message=plain(value.code, value.message))
    if isinstance(data, OutputHeld):
        changed["of"] = None
    if isinstance(data, RunFailed):
        changed["message"] = plain(data.code, data.message, data.node)
    return data.model_copy(update=changed) if changed else data


def _of_the_caller(data: Fact) -> bool:
    """Whether it only says what the run was started with."""
    return isinstance(data, RunStarted) or (isinstance(data, NodeStarted | NodeCompleted | NodeFailed) and _is_start(data.node))


def _is_start(node: str) -> bool:
    return node.partition("::")[0] == START
