"""How long a text is for a model, without a tokenizer: four plain characters count as one token, every other one as one.

It is meant to be a little high for English and about right for Chinese; limits are what it is for, not bills.
"""


def estimate(text: str) -> int:
    """Tokens, roughly. Never more than there are characters."""
    others = len(text) - len(text.encode("ascii", "ignore"))
    return (len(text) - others + 3) // 4 + others
