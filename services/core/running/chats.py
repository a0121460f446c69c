"""What the chats of a partition were last about: the newest rounds of each, folded from its runs.

In come runs that were completed; out go the turns that a new run of the same chat may be given (astron.md 7), at once, without
waiting for rows. Memory is bounded: a chat that was quiet for long is forgotten here when a snapshot is written (then its place
in the log is known, up to which the rows must have read), and recalled from the rows when it is needed again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from events.run import Turn

MAX_ROUNDS = 100
"""Rounds of one chat that are remembered."""
MAX_WEIGHT = 2_000_000
"""Of all chats that are remembered. Above it, the quiet ones are forgotten until half of it is left."""
_ROUND = _CHAT = 500
"""What a round and a chat weigh besides characters: about what else is kept of them."""

Chat = tuple[str, str]
"""An app and its chat id."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One round: what the person said, and what was shown in answer. `run` is where."""

    run: str
    asked: str
    answered: str

    @property
    def weight(self) -> int:
        """About the bytes that it takes."""
        return _ROUND + len(self.asked) + len(self.answered)


@dataclass
class Chats:
    """By chat, the one that spoke last at the end.

    `begun` is the offset up to which runs may be missing here. `recalled` are chats of which everything that the rows know is here,
    `fresh` those that were asked for or spoke since the last mark.
    """

    said: dict[Chat, tuple[Exchange, ...]] = field(default_factory=dict[Chat, tuple[Exchange, ...]])
    recalled: set[Chat] = field(default_factory=set[Chat])
    fresh: set[Chat] = field(default_factory=set[Chat])
    weight: int = 0
    begun: int = 0

    def add(self, chat: Chat, exchanges: Iterable[Exchange]) -> None:
        """A run of the chat was completed. Rounds without words on one side are no rounds."""
        fresh = [one for one in exchanges if one.asked and one.answered]
        if fresh:
            self._put(chat, (*self.said.get(chat, ()), *fresh))
            self.fresh.add(chat)

    def mark(self) -> None:
        """A snapshot will say what stands now."""
        self.fresh.clear()

    def settle(self, offset: int) -> None:
        """Everything said before the last mark stands below `offset`: what is too much may be forgotten."""
        if self.weight <= MAX_WEIGHT:
            return
        for chat in [chat for chat in self.said if chat not in self.fresh]:
            if self.weight <= MAX_WEIGHT // 2:
                break
            self._drop(chat)
            self.recalled.discard(chat)
            self.begun = max(self.begun, offset)

    def lacks(self, chat: Chat, rounds: int) -> bool:
        """Whether the rows may know more of these last rounds."""
        return self.begun > 0 and chat not in self.recalled and len(self.said.get(chat, ())) < min(rounds, MAX_ROUNDS)

    def recall(self, chat: Chat, exchanges: Iterable[Exchange]) -> None:
        """What the rows know of the chat; what is in memory is newer."""
        known = self.said.get(chat, ())
        runs = {one.run for one in known}
        self._put(chat, (*(one for one in exchanges if one.run not in runs), *known))
        self.recalled.add(chat)
        self.fresh.add(chat)

    def turns(self, chat: Chat, rounds: int) -> tuple[Turn, ...]:
        """The last rounds as turns, oldest first."""
        last = self.said.get(chat, ())[-rounds:] if rounds else ()
        return tuple(turn for one in last for turn in (Turn(role="user", content=one.asked), Turn(role="assistant", content=one.answered)))

    def _put(self, chat: Chat, exchanges: tuple[Exchange, ...]) -> None:
        self._drop(chat)
        self.said[chat] = kept = exchanges[-MAX_ROUNDS:]
        self.weight += _weight(kept)

    def _drop(self, chat: Chat) -> None:
        said = self.said.pop(chat, None)
        if said is not None:
            self.weight -= _weight(said)


def _weight(said: tuple[Exchange, ...]) -> int:
    return _CHAT + sum(one.weight for one in said)
