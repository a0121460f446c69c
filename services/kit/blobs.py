"""Values that are too large for the log. The port, its folder, and the codec that uses it.

Values over 64 KiB travel as a reference (`ce_dataref`, the CloudEvents extension) to a blob named by its SHA-256.
"""

import asyncio
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from events.envelope import Record, StoredRecord
from services.kit.errors import AppendFailed, BlobMissing, Unreachable

INLINE_LIMIT = 64 * 1024
_REFERENCE = "ce_dataref"
_SCHEME = "sha256:"


class Blobs(Protocol):
    """A content-addressed store."""

    async def put(self, content: bytes) -> str:
        """Store durably; the reference (`sha256:` and the digest in hexadecimal). The same content has the same reference.

        Raises `AppendFailed` where there is no room.
        """
        ...

    async def get(self, reference: str) -> bytes:
        """The content. Raises `BlobMissing`, `Unreachable`."""
        ...


class FolderBlobs:
    """Blobs as files in a folder, written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, content: bytes) -> str:
        """See `Blobs.put`."""
        digest = hashlib.sha256(content).hexdigest()
        try:
            await asyncio.to_thread(self._write, digest, content)
        except OSError as wrong:
            raise AppendFailed(f"a large value could not be stored in {self._folder}: {wrong.strerror or wrong}") from None
        return _SCHEME + digest

    async def get(self, reference: str) -> bytes:
        """See `Blobs.get`."""
        path = self._path(reference.removeprefix(_SCHEME))
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            raise BlobMissing(f"blob {reference} is not in {self._folder}") from None
        except OSError as wrong:
            raise Unreachable(f"blob {reference} cannot be read from {self._folder}: {wrong.strerror or wrong}") from None

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    def _write(self, digest: str, content: bytes) -> None:
        path = self._path(digest)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{digest}.{os.getpid()}.{id(content)}")
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


async def pack(record: Record, blobs: Blobs) -> Record:
    """The record as it may be appended: a large value replaced by its reference."""
    if len(record.value) <= INLINE_LIMIT:
        return record
    reference = await blobs.put(record.value)
    return replace(record, value=b"", headers=(*record.headers, (_REFERENCE, reference.encode())))


def is_packed(record: Record) -> bool:
    """Whether the value is elsewhere."""
    return not record.value and any(name == _REFERENCE for name, _ in record.headers)


async def unpack(stored: StoredRecord, blobs: Blobs) -> StoredRecord:
    """The record with its whole value. Raises `BlobMissing`."""
    if not is_packed(stored.record):
        return stored
    reference = dict(stored.record.headers)[_REFERENCE].decode()
    return StoredRecord(stored.offset, replace(stored.record, value=await blobs.get(reference)))
