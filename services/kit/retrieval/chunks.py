"""Cutting a text into passages: 350 words, of which 100 are those of the passage before (deepwiki_and_stream.md A8).

In comes a file; out go passages with their lines. The text between the words stays as it is.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

from services.kit.retrieval.port import Passage

WORDS, OVERLAP = 350, 100
_WORD = re.compile(r"\S{1,200}")
"""Longer words are cut, so that a passage has a bound."""


def passages(path: str, text: str) -> Iterator[Passage]:
    """The passages of one file; none for one without words."""
    spans = [match.span() for match in _WORD.finditer(text)]
    breaks = [match.start() for match in re.finditer("\n", text)]
    for begin in range(0, len(spans), WORDS - OVERLAP):
        last = min(begin + WORDS, len(spans)) - 1
        start, stop = spans[begin][0], spans[last][1]
        start = text.rfind("\n", 0, start) + 1 if not text[text.rfind("\n", 0, start) + 1 : start].strip() else start
        yield Passage(path, bisect_right(breaks, start - 1) + 1, bisect_right(breaks, stop - 1) + 1, text[start:stop])
        if last == len(spans) - 1:
            return
