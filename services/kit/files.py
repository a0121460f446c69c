"""Files that people hand in: an object store, and links to it that end.

In comes a file object, out goes a key; a key becomes a link whose signature is a part of its path and which ends in the
file's extension. Nothing in the store is public: whoever has a link of the last days may read, nobody else. The store is a
folder or anything `obstore` opens by URL (S3, Google, Azure).
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import obstore
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from services.kit.errors import FileGone, Refused, Unreachable

if TYPE_CHECKING:
    from obstore.store import RetryConfig

_CHUNK = 256 * 1024
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}


@dataclass(frozen=True, slots=True)
class Stored:
    """A file on its way out: its size in bytes and its content in pieces."""

    size: int
    pieces: AsyncIterator[bytes]


class Files(Protocol):
    """A store of files by key."""

    async def put(self, key: str, content: IO[bytes]) -> None:
        """Store a whole file, streamed. Raises `Unreachable`."""
        ...

    async def get(self, key: str) -> Stored:
        """Read a file. Raises `FileGone`, `Unreachable`."""
        ...

    async def size(self, key: str) -> int:
        """How large a file is, in bytes. Raises `FileGone`, `Unreachable`."""
        ...

    def link(self, key: str) -> str:
        """The path of a link to the file, from `/files/` on."""
        ...

    def key_of(self, token: str, name: str) -> str:
        """The key that a link stands for. Raises `FileGone` for one that ended or was not made here."""
        ...


class ObjectFiles:
    """Files in an object store."""

    def __init__(self, place: str, folder: Path, signing: bytes | Sequence[bytes], lasting_s: int) -> None:
        """`place` is a URL, or empty for the folder; the last of `signing` signs, all are believed. Raises `Refused` for a wrong URL."""
        try:
            self._store = from_url(place, retry_config=_RETRIES) if place else LocalStore(folder, mkdir=True)
        except (BaseError, ValueError, OSError):
            raise Refused("PROZESS_FILES is not right: expected a URL such as s3://bucket/folder that this program can open.") from None
        self._tokens = URLSafeTimedSerializer([signing] if isinstance(signing, bytes) else list(signing), salt="prozess files")
        self._lasting_s = lasting_s

    async def put(self, key: str, content: IO[bytes]) -> None:
        """See `Files.put`."""
        try:
            await obstore.put_async(self._store, key, content)
        except (BaseError, OSError):
            raise Unreachable("the store of files does not answer") from None

    async def get(self, key: str) -> Stored:
        """See `Files.get`."""
        try:
            found = await obstore.get_async(self._store, key)
        except FileNotFoundError:
            raise FileGone("there is no such file") from None
        except (BaseError, OSError):
            raise Unreachable("the store of files does not answer") from None

        async def pieces() -> AsyncIterator[bytes]:
            async for piece in found.stream(min_chunk_size=_CHUNK):
                yield bytes(piece)

        return Stored(found.meta["size"], pieces())

    async def size(self, key: str) -> int:
        """See `Files.size`."""
        try:
            return (await obstore.head_async(self._store, key))["size"]
        except FileNotFoundError:
            raise FileGone("there is no such file") from None
        except (BaseError, OSError):
            raise Unreachable("the store of files does not answer") from None

    def link(self, key: str) -> str:
        """See `Files.link`."""
        folder, _, name = key.rpartition("/")
        return f"/files/{self._tokens.dumps([folder, name])}/{name}"

    def key_of(self, token: str, name: str) -> str:
        """See `Files.key_of`."""
        try:
            folder, signed = self._tokens.loads(token, max_age=self._lasting_s)
        except SignatureExpired:
            raise FileGone("the link has ended; upload the file again") from None
        except BadSignature:
            raise FileGone("there is no such file") from None
        if signed != name:
            raise FileGone("there is no such file")
        return f"{folder}/{name}"
