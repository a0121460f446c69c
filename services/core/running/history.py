"""What of an earlier conversation a node is given (astron.md 7): the last rounds, as far as they fit.

In come the turns that the caller sent, or that the chat remembers; out go those that are put before the node's question.
A round is what a person said and what was answered. Pictures belong to models that see them, of which there is none here.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from events.run import Turn

SHARE = 0.95
"""How much of the room that a node's own texts leave may be filled."""
TOKENS_A_CHARACTER = 1.5
"""The original's estimate, for models whose tokenizer is not known."""

Count = Callable[[str, str], int | None]
"""How many tokens a model (named first) sees in a text; None where its tokenizer is not known."""


class ChatHistory(BaseModel):
    """`enableChatHistoryV2` of a node: whether it is given history, and how many rounds of it."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    is_enabled: bool = Field(default=False, alias="isEnabled")
    rounds: int = Field(default=1, gt=0)

    @property
    def wanted(self) -> int:
        """So many rounds, 0 where it is off."""
        return self.rounds if self.is_enabled else 0


@dataclass(frozen=True, slots=True)
class Budget:
    """How much fits: the model, its tokens, and the texts that are there beside the history."""

    model: str
    tokens: int
    texts: tuple[str, ...] = ()


def unknown(_model: str, _text: str) -> None:
    """No tokenizer is known."""
    return


def chosen(turns: Sequence[Turn], rounds: int, budget: Budget | None, count: Count = unknown) -> tuple[Turn, ...]:
    """The turns of the last `rounds` rounds, without the oldest as long as they do not fit."""
    kept = _rounds(turns)[-rounds:] if rounds else []
    if budget is not None:
        room = SHARE * (budget.tokens - sum(_long(budget.model, text, count) for text in budget.texts))
        while kept and _long(budget.model, _listed(kept), count) > room:
            kept = kept[1:]
    return tuple(turn for one in kept for turn in one)


def _rounds(turns: Sequence[Turn]) -> list[list[Turn]]:
    """A round begins with the first thing that a person says after an answer. What was said before any question belongs to none."""
    found: list[list[Turn]] = []
    for turn in turns:
        if turn.content_type == "image":
            continue
        if turn.role == "user" and (not found or found[-1][-1].role == "assistant"):
            found.append([turn])
        elif found:
            found[-1].append(turn)
    return found


def _listed(rounds: Sequence[Sequence[Turn]]) -> str:
    return json.dumps([{"role": turn.role, "content": turn.content} for one in rounds for turn in one], ensure_ascii=False)


def _long(model: str, text: str, count: Count) -> float:
    known = count(model, text)
    return len(text) * TOKENS_A_CHARACTER if known is None else known
