"""What happens to files that people hand in: they are stored. Their content is not a part of the log.

These names are the storage format.
"""

from typing import ClassVar

from events.envelope import Event, Fact, Words


class FileTerms(Fact):
    """A file under its key in the store. `name` is what the person called it, `digest` the SHA-256 of its `size` bytes."""

    file: str
    key: str
    app: str
    name: Words
    size: int
    digest: str


class FileStored(FileTerms, Event):
    """An app handed a file in."""

    type: ClassVar[str] = "file.stored"
