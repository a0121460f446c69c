"""What the core says no with: a code of the error table and a sentence.

Raised only while a wish is checked, never while it is remembered.
"""

from services.core.codes import Code


class Problem(Exception):
    """A wish that cannot be granted. `code` is of the error table, `message` names the place and what was expected."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
