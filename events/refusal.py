"""What became of a command that changed nothing. These events live on the refusals stream of the calling app.

These names are the storage format.
"""

from typing import ClassVar

from events.envelope import Event


class CommandRefused(Event):
    """The stream said no. `code` is of the error table; the message names the field and what was expected."""

    type: ClassVar[str] = "command.refused"
    wished: str
    target: str
    code: int
    message: str


class CommandRepeated(Event):
    """The command, or its idempotency key, was seen before: the first one stands. `first` is that command's id, `target` its stream."""

    type: ClassVar[str] = "command.repeated"
    wished: str
    target: str
    first: str
