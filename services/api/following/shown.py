"""What a person sees of a run: a pure fold of its events.

In come the accepted events of one run in order; out come pieces of text by stage, in the order in which output nodes show
them, and questions to the person. Text that no output node shows (a model's answer that only feeds another node) is
ignored on purpose.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from events.delta import NodeDelta
from events.envelope import Event, Fact, Stage, Words
from events.node import DeltaRange, OutputClosed, OutputReleased
from events.question import QuestionAsked

_Source = tuple[str, tuple[int, ...], Stage]


def spoken(words: Words | None) -> str:
    """The words, or nothing where they were erased."""
    return "" if words is None or words.words is None else words.words


class Shown(NamedTuple):
    """One piece that the output node `node` shows."""

    node: str
    path: tuple[int, ...]
    stage: Stage
    text: str


@dataclass
class Screen:
    """The fold. It remembers deltas, since they may be shown later, and more than once."""

    _deltas: dict[_Source, list[str]] = field(default_factory=dict[_Source, list[str]])

    def show(self, event: Event | Fact) -> list[Shown]:
        """The pieces this event puts on the screen; the last one of an output node may be empty."""
        match event:
            case NodeDelta():
                text = spoken(event.text)
                self._deltas.setdefault((event.node, event.path, event.stage), []).append(text)
                return [Shown(event.shown, event.path, event.stage, text)] if event.shown else []
            case OutputReleased(of=None):
                return [Shown(event.node, event.path, event.stage, spoken(event.text))]
            case OutputReleased(of=DeltaRange() as of):
                return [Shown(event.node, event.path, event.stage, text) for text in self._range(of)]
            case OutputClosed():
                return [Shown(event.node, event.path, "content", spoken(event.text))]
            case QuestionAsked():
                return [Shown(event.node, event.path, "content", event.spoken)]
            case _:
                return []

    def _range(self, of: DeltaRange) -> list[str]:
        return self._deltas.get((of.node, of.path, of.stage), [])[of.start : of.stop]


@dataclass
class Text:
    """The whole text of a run so far, by stage."""

    content: str = ""
    reasoning: str = ""
    _screen: Screen = field(default_factory=Screen)

    def add(self, event: Event | Fact) -> None:
        """Take the next event."""
        for piece in self._screen.show(event):
            if piece.stage == "content":
                self.content += piece.text
            else:
                self.reasoning += piece.text
