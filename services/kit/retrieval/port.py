"""What is asked of retrieval and what it gives back, in the kit's own words.

In comes a `Search`; out comes a `Found`, or `RetrievalFailed` with one sentence that holds no credentials.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kit.errors import ProzessError

NOTHING = (
    "No valid document embeddings found. This may be due to embedding size inconsistencies or API errors during document processing. "
    "Please try again or check your repository content."
)
"""The words of the wiki's document (deepwiki_and_stream.md A3) for a repository in which nothing can be read."""


class RetrievalFailed(ProzessError):
    """The source could not be read. `temporary` says that trying again may help."""

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class Filters:
    """Names or patterns of folders and files. Anything included turns the exclusions off."""

    excluded_dirs: tuple[str, ...] = ()
    excluded_files: tuple[str, ...] = ()
    included_dirs: tuple[str, ...] = ()
    included_files: tuple[str, ...] = ()

    @classmethod
    def of(cls, lists: Mapping[str, tuple[str, ...]]) -> "Filters":
        """From lists by name; others are ignored."""
        return cls(**{name: lists.get(name, ()) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Search:
    """`source` is an address (http, https) or a folder; `token` its credential, resolved; `kind` the forge (github, gitlab, …).

    `passages` is how many are wanted at most, 0 for none; `file` one file that is wanted whole.
    """

    source: str
    query: str
    passages: int
    file: str = ""
    kind: str = ""
    token: str = field(default="", repr=False)
    filters: Filters = Filters()


@dataclass(frozen=True, slots=True)
class Passage:
    """Some lines of a file, numbered from 1."""

    path: str
    first: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. `file` is the wanted file's text; where it is None, `file_problem` says why."""

    source: str
    revision: str
    files: int
    skipped: int
    passages: tuple[Passage, ...]
    file: str | None = None
    file_problem: str = ""
