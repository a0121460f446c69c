"""What the content audit asks a provider and what it gives back, in the kit's own words.

In comes a `Passage`; out comes an `Opinion`, or `NoOpinion` with a sentence that holds no words of people, no address and no key.
A provider keeps nothing of what it was asked.
"""

from dataclasses import dataclass, field
from typing import Protocol

from events.audit import Judged
from events.envelope import Stage
from services.kit.errors import OutsideFailed


class NoOpinion(OutsideFailed):
    """The provider gave no verdict."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Words to be judged, and where they stand; see `events.audit`. `history` is what was said before, as (role, words)."""

    app: str
    run: str
    of: Judged
    stage: Stage
    text: str = field(repr=False)
    history: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    piece: int = 0
    pending: bool = False
    ends_stage: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Opinion:
    """The verdict. `action`, `categories` and `reference` are the provider's own; `tries` is how often it was asked."""

    passed: bool
    action: str = ""
    categories: tuple[str, ...] = ()
    reference: str = ""
    tries: int = 1


class Judge(Protocol):
    """A provider."""

    @property
    def name(self) -> str: ...

    async def judge(self, passage: Passage) -> Opinion:
        """The verdict. Raises `NoOpinion`; the time is bounded."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class Nobody:
    """Where no provider is set: what has to be judged is not shown."""

    name = "off"

    async def judge(self, passage: Passage) -> Opinion:
        """See `Judge.judge`."""
        raise NoOpinion(f"the words of app {passage.app} have to be judged, and no audit provider is set (PROZESS_AUDIT)", kind="setting")

    async def aclose(self) -> None:
        """See `Judge.aclose`."""
