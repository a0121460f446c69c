"""Parameters that are links to files (astron.md 4.9.1): what can be said of them without asking the world.

In come the outputs of a start node and the values of a run; out go the links whose sizes must be asked, or the `Problem` of
the first one that is wrong: 23602 for the variable, 23601 for a type that is not taken, 23603 for the link itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from services.core.codes import Code
from services.core.language.kind import Output
from services.core.problems import Problem

TYPES: Mapping[str, tuple[str, ...]] = {
    "image": ("jpg", "jpeg", "png", "bmp"),
    "pdf": ("pdf",),
    "doc": ("doc", "docx"),
    "ppt": ("ppt", "pptx"),
    "excel": ("xls", "xlsx", "csv"),
    "txt": ("txt",),
    "audio": ("wav", "mp3", "flac", "m4a", "aac", "ogg", "wma", "midi"),
}
MOST_LINKS, LONGEST_LINK = 50, 8_192
_MARK = "file"

Link = tuple[str, str]
"""The variable, and an address."""


def links(outputs: Sequence[Output], given: Mapping[str, JsonValue]) -> tuple[Link, ...]:
    """The links of all file variables. Raises `Problem`."""
    found = tuple(link for one in outputs if one.file_type is not None for link in _of(one, given.get(one.name)))
    if len(found) > MOST_LINKS:
        raise Problem(Code.FILE_VARIABLE_PROTOCOL_ERROR, f"parameters: at most {MOST_LINKS} files are taken")
    return found


def _of(one: Output, value: JsonValue) -> Iterator[Link]:
    extensions = _extensions(one)
    several = value if isinstance(value, list) else [] if value in (None, "") else [value]
    if one.required and not several:
        raise Problem(Code.FILE_VARIABLE_PROTOCOL_ERROR, f"{one.name}: this file is required")
    for link in several:
        yield one.name, _checked(one.name, link, extensions)


def _extensions(one: Output) -> tuple[str, ...]:
    if one.file_type != _MARK:
        raise Problem(Code.FILE_VARIABLE_PROTOCOL_ERROR, f"{one.name}: its fileType must be {_MARK}")
    allowed = one.allowed or list(TYPES)
    if not isinstance(allowed, list) or not all(isinstance(kind, str) and kind in TYPES for kind in allowed):
        raise Problem(Code.FILE_VARIABLE_PROTOCOL_ERROR, f"{one.name}: its allowedFileType must be a list of {', '.join(TYPES)}")
    return tuple(extension for kind in allowed for extension in TYPES[str(kind)])


def _checked(name: str, link: JsonValue, extensions: Sequence[str]) -> str:
    if not isinstance(link, str):
        raise Problem(Code.FILE_VARIABLE_PROTOCOL_ERROR, f"{name}: expected the address of a file, or a list of them")
    path = _path(link)
    if path is None:
        raise Problem(Code.FILE_INVALID_TYPE_ERROR, f"{name}: expected an address such as https://host/file.pdf")
    _, dot, extension = path.rpartition("/")[2].rpartition(".")
    if not dot or extension.lower() not in extensions:
        raise Problem(Code.FILE_INVALID_ERROR, f"{name}: the address must end in one of {', '.join(extensions)}")
    return link


def _path(link: str) -> str | None:
    """The path of an HTTP address; None for anything else."""
    try:
        parts = urlsplit(link)
        is_address = len(link) <= LONGEST_LINK and link.isprintable() and parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return None
    return unquote(parts.path) if is_address else None
