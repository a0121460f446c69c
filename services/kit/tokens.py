"""How many tokens a text has for a model, where a library brings the model's tables with it. Nothing is downloaded.

In come a model's name and a text; out goes a number, or None for models whose tokenizer is not here: who asks has an estimate
for those. The tables take a second and some memory, so they are read when the first model needs them.
"""

import warnings
from functools import lru_cache
from typing import Protocol, cast

_FAMILIES = (
    ("gpt-4o", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4.5", "o200k_base"),
    ("gpt-5", "o200k_base"),
    ("chatgpt-4o", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-3.5", "cl100k_base"),
)
"""The first that a name begins with counts."""


class _Encoding(Protocol):
    def encode_ordinary(self, text: str) -> list[int]: ...


def tables_of(model: str) -> str | None:
    """The name of the model's tables; a provider before a slash is no part of the model's name."""
    name = model.rpartition("/")[2].lower()
    return next((tables for family, tables in _FAMILIES if name == family or name.startswith((f"{family}-", f"{family}:"))), None)


def count(model: str, text: str) -> int | None:
    """The text's tokens for this model; None where its tokenizer is not known."""
    tables = tables_of(model)
    return None if tables is None else len(_encoding(tables).encode_ordinary(text))


def load(model: str) -> None:
    """Have the model's tables at hand. Takes a while the first time: not for an event loop."""
    tables = tables_of(model)
    if tables is not None:
        _encoding(tables)


@lru_cache
def _encoding(tables: str) -> _Encoding:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how it reads its own files is not ours to mend
        import bpe_openai

        return cast("_Encoding", bpe_openai.get_encoding(tables))
