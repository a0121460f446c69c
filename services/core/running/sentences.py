"""Where a text is cut to be judged (astron.md 6.6): after sentences, else after weaker marks, else where it is too long.

In come the words that were not judged yet and what was shown of their sentence; out comes how many of them go together. Pure.
"""

LIMIT = 1_500
"""Characters of one judgement."""
_END = "\n。.！!？?；;"
_WEAK = "，,：:、》)）】]}…"


def cut(prefix: str, text: str, *, complete: bool) -> int:
    """How many characters of `text` are judged together with `prefix`; 0 where the sentence is not complete.

    `complete` says that nothing belongs to the text any more.
    """
    window = LIMIT - len(prefix)
    if complete and len(text) <= window:
        return len(text)
    part = text[:window]
    end = _after(part, _END)
    if end or len(text) < window:
        return end
    return _after(part, _WEAK) or max(window, 1)


def _after(text: str, marks: str) -> int:
    """The place after the last of these marks; 0 where there is none."""
    return max(text.rfind(mark) for mark in marks) + 1
