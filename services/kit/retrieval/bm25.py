"""Finding passages by their words: BM25. Blocking; called in a thread.

In come passages; out go the best for a question, best first. Names are also found by their parts (`readRows`, `read_rows`),
Chinese and Japanese by pairs of signs, and a passage also by the words of its path.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from services.kit.retrieval.port import Passage

MAX_CHARACTERS = 60_000
"""Of all passages of one answer together; the best one is always there."""
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SIGNS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")


class Index:
    """Passages that can be searched."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        import bm25s

        self.passages = passages
        self._bm25: Any = bm25s.BM25()
        words = [[*_words(one.path), *_words(one.text)] or ["."] for one in passages]
        self._bm25.index(words, show_progress=False)
        self._known: frozenset[str] = frozenset(self._bm25.vocab_dict)

    def best(self, query: str, count: int) -> list[Passage]:
        """At most so many, within `MAX_CHARACTERS`. Where few fit, others fill up in order: a small repository is told whole."""
        words = sorted({word for word in _words(query) if word in self._known})
        scores: list[float] = self._bm25.get_scores(words).tolist() if words else [0.0] * len(self.passages)
        order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
        found: list[Passage] = []
        left = MAX_CHARACTERS
        for index in order[:count]:
            left -= len(self.passages[index].text)
            if found and left < 0:
                break
            found.append(self.passages[index])
        return found


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        word = match[0]
        if _SIGNS.search(word):
            for signs in _SIGNS.findall(word):
                yield from (signs[at : at + 2] for at in range(max(1, len(signs) - 1)))
            continue
        yield word.lower()
        parts = _PART.findall(word)
        if len(parts) > 1:
            yield from (part.lower() for part in parts)
