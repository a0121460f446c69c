"""What is remembered of commands, idempotency keys and ended runs, longer than commands are kept (architecture 2, law 3).

In come ids as their events are folded; out comes what one was for. The young ones are in memory; those that the newest snapshot
has are kept elsewhere, so that a partition of many runs needs no more memory than one of few.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

Id = tuple[str, ...]
"""A kind (`command`, `key` or `ended`), what it is, what it stands for, and at the end its time (ms since 1970)."""

_NAMED: dict[str, tuple[int, int]] = {"command": (2, 4), "key": (3, 6), "ended": (2, 4)}
"""Of each kind: how many of its parts name it, and how many there are."""


def name_of(one: Id) -> Id:
    """The parts by which it is found. Raises `ValueError` at what is nothing that is remembered."""
    named, length = _NAMED.get(one[0] if one else "", (0, -1))
    if len(one) != length:
        raise ValueError(f"{one[:1]} is nothing that is remembered")
    return one[:named]


def time_of(one: Id) -> int:
    """When it was said (ms since 1970)."""
    return int(one[-1])


class Kept(Protocol):
    """Ids that need not be in memory: the newest snapshot has them."""

    def keep(self, ids: Iterable[Id]) -> None:
        """Keep these; what is kept already and not forgotten stays as it is. Raises `ValueError` at what is nothing that is remembered."""
        ...

    def find(self, name: Id) -> Id | None:
        """The one with this name."""
        ...

    def forget(self, since: int) -> None:
        """Drop what is older (ms since 1970), not necessarily all of it at once."""
        ...

    def all(self) -> Iterable[Id]:
        """Every one."""
        ...


class MemoryKept(dict[Id, Id]):
    """Ids in a dictionary, for tests and the simulation."""

    def keep(self, ids: Iterable[Id]) -> None:
        """See `Kept.keep`."""
        for one in ids:
            self.setdefault(name_of(one), one)

    def find(self, name: Id) -> Id | None:
        """See `Kept.find`."""
        return self.get(name)

    def forget(self, since: int) -> None:
        """See `Kept.forget`."""
        for name in [name for name, one in self.items() if time_of(one) < since]:
            del self[name]

    def all(self) -> Iterable[Id]:
        """See `Kept.all`."""
        return self.values()


class Ids:
    """All ids of one partition, the first of each name."""

    def __init__(self, kept: Kept | None = None) -> None:
        self._young: dict[Id, Id] = {}
        self._kept: Kept = MemoryKept() if kept is None else kept
        self._since = 0

    def note(self, one: Id) -> bool:
        """Remember it; whether it is new."""
        name = name_of(one)
        if self._find(name) is not None:
            return False
        self._young[name] = one
        return True

    def settle(self, ids: Iterable[Id]) -> None:
        """The newest snapshot has these. Raises `ValueError` at what is nothing that is remembered."""
        ids = list(ids)
        self._kept.keep(ids)
        for one in ids:
            self._young.pop(name_of(one), None)

    def command(self, command: str) -> str | None:
        """The stream that this command was decided for."""
        found = self._find(("command", command))
        return found[2] if found else None

    def __contains__(self, command: object) -> bool:
        return self.command(str(command)) is not None

    def key(self, app: str, key: str) -> tuple[str, str] | None:
        """The run that was started with this idempotency key, and the command that did."""
        found = self._find(("key", app, key))
        return (found[3], found[4]) if found else None

    def ended(self, run: str) -> tuple[str, int] | None:
        """The app of a run that ended, and when (ms since 1970)."""
        found = self._find(("ended", run))
        return (found[2], int(found[3])) if found else None

    def forget(self, since: int) -> None:
        """Drop what is older (ms since 1970)."""
        self._since = since
        for name in [name for name, one in self._young.items() if time_of(one) < since]:
            del self._young[name]
        self._kept.forget(since)

    def __iter__(self) -> Iterator[Id]:
        yield from (one for one in self._kept.all() if time_of(one) >= self._since)
        yield from self._young.values()

    def __eq__(self, other: object) -> bool:
        """Whether the same is remembered, wherever it is kept."""
        return isinstance(other, Ids) and set(self) == set(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def _find(self, name: Id) -> Id | None:
        young = self._young.get(name)
        if young is not None:
            return young
        kept = self._kept.find(name)
        return kept if kept is not None and time_of(kept) >= self._since else None
