"""What happens to a question that a run puts to its person. Each event names the node run that asks, and the question's number in the run.

These names are the storage format. A question ends with an answer, with its deadline, or with its run.
"""

from typing import ClassVar, Literal

from events.envelope import Protected, Value, Words
from events.node import NodeEvent

AnswerType = Literal["resume", "ignore", "abort", "other"]
"""What an answer wants: go on with its content, go on without, end the run; `other` is anything that is none of these."""


class Option(Value):
    """One answer that is offered: answers name it by `name`; `handle` is the branch that it opens."""

    name: str
    text: str
    handle: str
    content_type: str = "string"
    is_default: bool = False


class QuestionAsked(NodeEvent):
    """A question was put. `question` counts those of the run from 1; `deadline` is in milliseconds since 1970; `chat` is the run's.

    `follow_up` is how often this node had asked before, because an answer left something open.
    """

    type: ClassVar[str] = "question.asked"
    question: int
    kind: Literal["direct", "option"]
    text: Words
    options: Protected[tuple[Option, ...]] | None = None
    need_reply: bool
    deadline: int
    follow_up: int = 0
    chat: str = ""

    @property
    def spoken(self) -> str:
        """The question as one text, with the options that an answer can name."""
        options = (self.options.words if self.options else None) or ()
        return "\n".join([self.text.words or "", *(f"{one.name}: {one.text}" for one in options if not one.is_default)])


class QuestionAnswered(NodeEvent):
    """Somebody answered; `by` is the app that handed the answer in. What the answer leads to follows."""

    type: ClassVar[str] = "question.answered"
    question: int
    event_type: AnswerType
    content: Words
    by: str


class QuestionExpired(NodeEvent):
    """Nobody answered for `limit_ms`. What follows is the failure of the node."""

    type: ClassVar[str] = "question.expired"
    question: int
    limit_ms: int


class AnswerHeld(NodeEvent):
    """Somebody answered, and the answer is judged before it counts; `by` is the app that handed it in.

    `question.answered` follows, or `answer.refused`; the question may expire before.
    """

    type: ClassVar[str] = "answer.held"
    question: int
    event_type: AnswerType
    content: Words
    by: str


class AnswerRefused(NodeEvent):
    """The content audit refused an answer, or could not judge it. The question is open as before."""

    type: ClassVar[str] = "answer.refused"
    question: int
    code: int
    message: str
