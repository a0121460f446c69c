"""Whether a file is what its name says: the extension must be offered, and the first bytes must fit it.

In come a name and the first bytes; out goes the extension in lower case, or a refusal with 23601 (astron.md 1.11). A name is
read for its extension only; it is never a part of a path.
"""

from typing import cast

import puremagic

from services.api.answers.problems import Refusal

HEAD_BYTES = 64 * 1024
_BAD_FILE = 23601
_TEXT = frozenset({"txt", "csv"})
_FRAMES = frozenset({"mp3", "aac"})
"""Sounds that may begin with a bare frame: eleven bits that are set."""
_SAME = ({"jpg", "jpeg", "jfif", "jpe"}, {"midi", "mid"}, {"ogg", "oga", "opus"}, {"m4a", "mp4", "m4b"}, {"wma", "asf", "wmv"})
_WIDE = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16, in which text has zero bytes."""
TYPES = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "bmp": "image/bmp",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "wma": "audio/x-ms-wma",
    "midi": "audio/midi",
}


def extension_of(name: str, offered: tuple[str, ...]) -> str:
    """What follows the last dot, in lower case. Raises `Refusal` for one that is not offered."""
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    if extension not in offered:
        raise Refusal(_BAD_FILE, f"file: its name must end in one of {', '.join(offered)}")
    return extension


def check(extension: str, head: bytes) -> None:
    """Compare the first bytes with the extension. Raises `Refusal`."""
    fits = _is_text(head) if extension in _TEXT else _is(extension, head)
    if not fits:
        raise Refusal(_BAD_FILE, f"file: the content is not what the extension .{extension} says")


def _is_text(head: bytes) -> bool:
    return head.startswith(_WIDE) or (b"\0" not in head and not head.startswith(b"%PDF-"))


def _is(extension: str, head: bytes) -> bool:
    accepted = next((same for same in _SAME if extension in same), {extension})
    if accepted & _seen(head):
        return True
    return extension in _FRAMES and len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0


def _seen(head: bytes) -> set[str]:
    """The extensions of all formats that begin like this."""
    try:
        matches = cast("list[tuple[bytes, int, str, str, str, float]]", puremagic.magic_string(head))  # pyright: ignore[reportUnknownMemberType]
        return {extension.removeprefix(".") for _, _, extension, *_ in matches}
    except (puremagic.PureError, ValueError):
        return set()
