"""Reading a folder: all its texts that the filters let through, within bounds. Blocking; called in a thread.

In comes a folder; out go its files as text, and a digest of all that was read. Links are not followed and files that are
too large or no text are counted, not read: nothing outside the folder is ever opened.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from services.kit.retrieval.filters import Chooser, is_code
from services.kit.retrieval.port import Filters, RetrievalFailed

MAX_FILES = 50_000
CODE_CHARACTERS, TEXT_CHARACTERS = 4 * 81_920, 4 * 8_192
"""The largest code file and the largest document that are read: four characters for each token that the document allows."""
_BYTES = 4
"""The most that a character takes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`files` by path, in order of their paths."""

    files: dict[str, str]
    skipped: int
    revision: str


def read(folder: Path, filters: Filters, max_bytes: int) -> Reading:
    """Everything that may be read. Raises `RetrievalFailed` for more than the bounds."""
    files: dict[str, str] = {}
    skipped = size = 0
    choose, seen = Chooser(filters), hashlib.sha256()
    for path in _paths(folder, choose):
        limit = CODE_CHARACTERS if is_code(path) else TEXT_CHARACTERS
        text = _text(folder / path, limit)
        if text is None:
            skipped += 1
            continue
        size += len(text)
        if size > max_bytes or len(files) >= MAX_FILES:
            raise RetrievalFailed(
                f"the repository is larger than what is read here ({max_bytes // 1_048_576} MiB of text, {MAX_FILES} files); "
                "narrow it with included_dirs"
            )
        files[path] = text
        seen.update(f"{path}\0{len(text)}\0{text}".encode("utf-8", "replace"))
    return Reading(files, skipped, seen.hexdigest())


def one_file(folder: Path, path: str) -> tuple[str | None, str]:
    """The text of one file of the folder, or why it cannot be had. Never leaves the folder."""
    parts = PurePosixPath(path.removeprefix("./")).parts
    if not parts or ".." in parts or path.startswith("/") or "\0" in path or any(part.startswith(".git") for part in parts[:1]):
        return None, "the path does not lead into the repository"
    wanted = folder.joinpath(*parts)
    if not wanted.resolve().is_relative_to(folder.resolve()) or not wanted.is_file():
        return None, "there is no such file"
    text = _text(wanted, CODE_CHARACTERS)
    return (text, "") if text is not None else (None, "it is too large or no text")


def _paths(folder: Path, choose: Chooser) -> list[str]:
    found: list[str] = []
    for at, folders, names in os.walk(folder, followlinks=False):
        here = Path(at).relative_to(folder).as_posix()
        prefix = "" if here == "." else f"{here}/"
        folders[:] = sorted(name for name in folders if choose.walks(prefix + name) and not Path(at, name).is_symlink())
        found += [prefix + name for name in names if choose.reads(prefix + name)]
        if len(found) > 4 * MAX_FILES:
            raise RetrievalFailed(f"the repository has more than {4 * MAX_FILES} files; narrow it with included_dirs")
    return sorted(found)


def _text(path: Path, characters: int) -> str | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode) or about.st_size > characters * _BYTES:
            return None
        content = opened.read(characters * _BYTES + 1)
    if b"\0" in content:
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return text if len(text) <= characters else None
