"""Secrets of apps as they are kept: scrypt, in the text form `salt$hash`, both hexadecimal.

In comes a secret, out goes something that cannot be turned back. Verification takes about 20 ms of one core on
purpose (and lets other threads run meanwhile); who verifies on every request remembers the answer for a while.
"""

import hashlib
import hmac
import secrets

_SALT_BYTES = 16
_COST = 2**13
_BLOCK = 8
_PARALLEL = 1


def create(secret: str) -> str:
    """A new `salt$hash` of the secret; another one each time."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{salt.hex()}${_digest(secret, salt).hex()}"


def verify(secret: str, stored: str) -> bool:
    """Whether `stored` was made from this secret. A damaged `stored` fits no secret."""
    salt, _, digest = stored.partition("$")
    try:
        expected = bytes.fromhex(digest)
        found = _digest(secret, bytes.fromhex(salt))
    except ValueError:
        return False
    return hmac.compare_digest(found, expected)


def _digest(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, dklen=32)
