"""A text that grows piece by piece, as a value: old holders keep seeing what they saw, and growing costs nothing."""

import hashlib
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from events.node import TextSeal


class Pieces:
    """An immutable sequence of strings; `add` gives a longer one. Appending to the newest shares its storage."""

    __slots__ = ("_count", "_length", "_shared")

    def __init__(self, *texts: str) -> None:
        self._shared = list(texts)
        self._count = len(texts)
        self._length = sum(map(len, texts))

    def add(self, *texts: str) -> "Pieces":
        """This and further pieces."""
        grown = object.__new__(Pieces)
        grown._shared = self._shared if len(self._shared) == self._count else self._shared[: self._count]
        grown._shared += texts
        grown._count = self._count + len(texts)
        grown._length = self._length + sum(map(len, texts))
        return grown

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._shared[: self._count])

    def after(self, count: int) -> str:
        """The text without its first `count` pieces."""
        return "".join(self._shared[count : self._count])

    def between(self, start: int, stop: int) -> str:
        """The text of the pieces from `start` on, `stop` not included."""
        return "".join(self._shared[start : min(stop, self._count)])

    @property
    def length(self) -> int:
        """Characters in all pieces."""
        return self._length

    @property
    def seal(self) -> TextSeal | None:
        """Length and digest; None where there never was a piece."""
        if not self._count:
            return None
        return TextSeal(length=self._length, digest=hashlib.sha256(self.text.encode()).hexdigest())

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Remembered as the list of its pieces."""
        return core_schema.no_info_after_validator_function(
            lambda texts: cls(*texts),
            handler(list[str]),
            serialization=core_schema.plain_serializer_function_ser_schema(cls._texts, return_schema=handler(list[str])),
        )

    def _texts(self) -> list[str]:
        return self._shared[: self._count]

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pieces) and self._shared[: self._count] == other._shared[: other._count]

    def __hash__(self) -> int:
        return hash((self._count, self._length))

    def __repr__(self) -> str:
        return f"Pieces({', '.join(map(repr, self._shared[: self._count]))})"


NOTHING = Pieces()
