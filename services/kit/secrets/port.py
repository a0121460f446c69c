"""Keys of models and tools: put in before a command is written, resolved by the effect that uses them.

The log only ever sees references (`secret:` and 32 hexadecimal digits). The same value of the same app gives the same
reference, so that a definition's hash does not change when it is saved again.
"""

import re
from typing import Protocol

REFERENCE = re.compile(r"secret:[0-9a-f]{32}")


class Secrets(Protocol):
    """A store of secret values."""

    async def put(self, app: str, value: str) -> str:
        """Keep the value for this app; its reference."""
        ...

    async def resolve(self, app: str, reference: str) -> str:
        """The value. Raises `SecretMissing` for an unknown reference or another app's."""
        ...


def is_reference(text: str) -> bool:
    """Whether this is a reference and not a value."""
    return REFERENCE.fullmatch(text) is not None
