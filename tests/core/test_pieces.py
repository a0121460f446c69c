"""Growing texts are values."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from services.core.running.pieces import NOTHING, Pieces


def test_old_holders_keep_seeing_what_they_saw():
    first = Pieces("a")
    second = first.add("b")
    other = first.add("c")
    assert (first.text, second.text, other.text) == ("a", "ab", "ac")
    assert second.add("d").text == "abd"
    assert NOTHING.add("x").text == "x"
    assert NOTHING.text == ""


def test_nothing_has_no_seal_and_an_empty_piece_has_one():
    assert NOTHING.seal is None
    seal = Pieces("").seal
    assert seal is not None
    assert (seal.length, seal.digest) == (0, hashlib.sha256(b"").hexdigest())


@given(st.lists(st.text(alphabet="ab ü")))
def test_growing_is_joining(texts):
    grown = NOTHING
    for text in texts:
        grown = grown.add(text)
    assert grown == Pieces(*texts)
    assert hash(grown) == hash(Pieces(*texts))
    assert (grown.text, grown.length, len(grown)) == ("".join(texts), len("".join(texts)), len(texts))
    assert repr(grown) == repr(Pieces(*texts))
    assert grown != Pieces(*texts, "more")
