"""The textual way of using tools (astron.md 2.3): Thought, Action, Action Input, Observation, Final Answer.

In comes a model's text as it is streamed; out go pieces by stage as soon as they are known: thoughts are thinking, the final
answer is content, an action is hidden and becomes a function call at the end. Text before any mark is an answer; what the
model writes after `Observation:` is its own invention and is dropped.
"""

from dataclasses import dataclass, field

from events.envelope import Stage
from services.core.running.effects import FunctionCall

THOUGHT, ACTION, INPUT, OBSERVATION, ANSWER = "Thought:", "Action:", "Action Input:", "Observation:", "Final Answer:"
_MARKS = (ACTION, INPUT, THOUGHT, OBSERVATION, ANSWER)
_STAGES: dict[str, Stage] = {"": "content", ANSWER: "content", THOUGHT: "reasoning"}
Said = list[tuple[Stage, str]]


@dataclass
class React:
    """The reader of one turn."""

    section: str = ""
    action: str = ""
    input: str = ""
    _line: str = ""
    _at_start: bool = True
    _gap: str = ""
    _fresh: bool = True
    _said: Said = field(default_factory=list[tuple[Stage, str]])

    def feed(self, text: str) -> Said:
        """What is known after some more text."""
        self._line += text
        while self._line:
            if self._at_start and not self._decided(whole=False):
                break
            head, newline, self._line = self._line.partition("\n")
            self._emit(head)
            if not newline:
                break
            self._gap, self._at_start = self._gap + "\n", True
        said, self._said = self._said, []
        return said

    def finish(self) -> Said:
        """What is left when the turn ends."""
        if self._at_start:
            self._decided(whole=True)
        self._emit(self._line)
        self._line = ""
        said, self._said = self._said, []
        return said

    def call(self, id_: str) -> FunctionCall | None:
        """The action the turn asks for; None where it answers."""
        name = self.action.strip()
        return FunctionCall(id_, name, _unfenced(self.input)) if name and self.section != ANSWER else None

    def _decided(self, *, whole: bool) -> bool:
        """Whether the line's beginning is known to be a mark or none."""
        begun = self._line.lstrip(" ")
        if self.section == OBSERVATION:
            self._at_start = False
            return True
        mark = next((one for one in _MARKS if begun.startswith(one)), None)
        if mark is not None:
            self.section, self._line = mark, begun.removeprefix(mark)
            self._at_start, self._gap, self._fresh = False, "", True
            return True
        if not whole and not begun.strip("\n") and "\n" not in begun:
            return False
        if not whole and "\n" not in begun and any(one.startswith(begun) for one in _MARKS):
            return False
        self._at_start = False
        return True

    def _emit(self, text: str) -> None:
        if self._fresh:
            text = text.lstrip()
        if not text:
            return
        text, self._gap, self._fresh = ("" if self._fresh else self._gap) + text, "", False
        if self.section == ACTION:
            self.action += text
        elif self.section == INPUT:
            self.input += text
        elif self.section in _STAGES:
            self._said.append((_STAGES[self.section], text))


def _unfenced(text: str) -> str:
    plain = text.strip()
    if plain.startswith("```"):
        plain = plain.removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    return plain or "{}"


def written(thought: str, call: FunctionCall) -> str:
    """A turn as the model wrote it, for the next one to read."""
    return f"{THOUGHT} {thought}\n{ACTION} {call.name}\n{INPUT} {call.arguments}"
