"""Deep research (deepwiki_and_stream.md A9): which round of which question a conversation has reached.

In come the messages of a conversation; out goes the round. The protocol is the client's: a tag switches it on, a fixed
wish goes on with it, and the round is counted by the answers so far.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

TAG = "[DEEP RESEARCH]"
LAST_ROUND = 5
_GO_ON = re.compile(r"\W*(please\s+)?continue\s+(with\s+)?(the\s+|your\s+|this\s+)?research\W*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Round:
    """`number` counts from 1; `question` is what is asked in truth: the topic, without its tag."""

    deep: bool
    number: int
    question: str


def round_of(messages: Sequence[tuple[str, str]]) -> Round:
    """The round of a conversation of (role, content) whose last message is the user's."""
    newest = messages[-1][1]
    if not any(TAG in content for _, content in messages):
        return Round(deep=False, number=1, question=newest)
    number = 1 + sum(role == "assistant" for role, _ in messages)
    question = newest
    if _wishes_to_go_on(newest):
        asked = [content for role, content in messages[:-1] if role == "user" and _GO_ON.fullmatch(_plain(content)) is None]
        tagged = [content for content in asked if TAG in content]
        question = (tagged[-1:] or asked[:1] or [newest])[0]
    return Round(deep=True, number=number, question=_plain(question))


def _wishes_to_go_on(text: str) -> bool:
    said = text.lower().replace(TAG.lower(), "")
    return "continue" in said and "research" in said


def _plain(text: str) -> str:
    return text.replace(TAG, "").strip()
