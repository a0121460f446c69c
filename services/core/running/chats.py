"""What the chats of a partition were last about: the newest rounds of each, folded from its runs.

In come runs that were completed; out go the turns that a new run of the same chat may be given (astron.md 7), at once, without
waiting for rows. Memory is bounded: a chat that was quiet for long is forgotten here, and recalled from the rows when it is
needed again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from events.run import Turn

MAX_ROUNDS = 100
"""Rounds of one chat that are remembered."""
MAX_CHARACTERS = 32_000_000
"""Characters of all chats that are remembered."""

Chat = tuple[str, str]
"""An app and its chat id."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One round: what the person said, and what was shown in answer. `run` is where."""

    run: str
    asked: str
    answered: str

    @property
    def length(self) -> int:
        """Its characters."""
        return len(self.asked) + len(self.answered)


@dataclass
class Chats:
    """By chat, the one that spoke last at the end.

    `begun` is the offset from which on runs were folded; `forgot` says that chats were forgotten since. `recalled` are chats of
    which everything that the rows know is here.
    """

    said: dict[Chat, tuple[Exchange, ...]] = field(default_factory=dict[Chat, tuple[Exchange, ...]])
    recalled: set[Chat] = field(default_factory=set[Chat])
    characters: int = 0
    begun: int = 0
    forgot: bool = False

    def add(self, chat: Chat, exchanges: Iterable[Exchange]) -> None:
        """A run of the chat was completed. Rounds without words on one side are no rounds."""
        fresh = [one for one in exchanges if one.asked and one.answered]
        if fresh:
            self._put(chat, (*self.said.get(chat, ()), *fresh))

    def lacks(self, chat: Chat, rounds: int) -> bool:
        """Whether the rows may know more of these last rounds."""
        partial = self.begun > 0 or self.forgot
        return partial and chat not in self.recalled and len(self.said.get(chat, ())) < min(rounds, MAX_ROUNDS)

    def recall(self, chat: Chat, exchanges: Iterable[Exchange]) -> None:
        """What the rows know of the chat; what is in memory is newer."""
        known = self.said.get(chat, ())
        runs = {one.run for one in known}
        self._put(chat, (*(one for one in exchanges if one.run not in runs), *known))
        self.recalled.add(chat)

    def turns(self, chat: Chat, rounds: int) -> tuple[Turn, ...]:
        """The last rounds as turns, oldest first."""
        last = self.said.get(chat, ())[-rounds:] if rounds else ()
        return tuple(turn for one in last for turn in (Turn(role="user", content=one.asked), Turn(role="assistant", content=one.answered)))

    def _put(self, chat: Chat, exchanges: tuple[Exchange, ...]) -> None:
        self._drop(chat)
        self.said[chat] = kept = exchanges[-MAX_ROUNDS:]
        self.characters += sum(one.length for one in kept)
        while self.characters > MAX_CHARACTERS and len(self.said) > 1:
            self.forgot = True
            oldest = next(iter(self.said))
            self._drop(oldest)
            self.recalled.discard(oldest)

    def _drop(self, chat: Chat) -> None:
        self.characters -= sum(one.length for one in self.said.pop(chat, ()))
