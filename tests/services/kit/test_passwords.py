"""Secrets of apps are kept as salted hashes."""

import pytest

from services.kit.secrets import passwords


def test_only_the_same_secret_fits():
    stored = passwords.create("demo-secret")

    assert passwords.verify("demo-secret", stored)
    assert not passwords.verify("demo-secret ", stored)


def test_the_same_secret_is_stored_differently_each_time():
    assert passwords.create("demo-secret") != passwords.create("demo-secret")


def test_the_secret_is_not_in_what_is_stored_and_the_form_is_two_hexadecimal_parts():
    stored = passwords.create("demo-secret")

    salt, digest = stored.split("$")
    assert (len(bytes.fromhex(salt)), len(bytes.fromhex(digest))) == (16, 32)


@pytest.mark.parametrize("stored", ["", "$", "zz$zz", "00", "00$", "00$00", "ü$ü"])
def test_a_damaged_hash_fits_no_secret(stored: str):
    assert not passwords.verify("", stored)
    assert not passwords.verify("demo-secret", stored)
