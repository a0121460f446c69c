"""The master key, and those before it that may still be read: a ring of keys, the first of which seals.

In come the settings; out goes the ring, made at first use where nobody gave one. A file is read again when it has changed, so
that a rotation reaches programs that run. Keys are known by ids that tell nothing about them.
"""

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.kit.errors import Refused
from services.kit.settings import Settings

KEY_BYTES = 32
MOST = 8
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
_HOW = "64 hexadecimal digits, as `openssl rand -hex 32` writes them (older keys, still read, behind it)"


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A key of 32 bytes, and the id under which ciphertexts name it."""

    id: str
    value: bytes = field(repr=False)

    @classmethod
    def of(cls, value: bytes) -> "MasterKey":
        """The key with its id."""
        return cls(derived(value, b"prozess secrets: id").hex()[:8], value)


class Keyring:
    """The keys, newest first. `path` is the file they came from, None for those of the environment; `is_new` says that it was made now."""

    def __init__(self, keys: Sequence[MasterKey], path: Path | None = None, *, is_new: bool = False) -> None:
        self.keys = tuple(keys)
        self.path = path
        self.is_new = is_new
        self._stamp: tuple[int, int, int] | None = _stamp(path)

    @property
    def current(self) -> MasterKey:
        """The key that seals."""
        return self.keys[0]

    @property
    def oldest(self) -> MasterKey:
        """The key that was there first, as far as it is known."""
        return self.keys[-1]

    def find(self, id_: str) -> MasterKey | None:
        """The key with this id."""
        return next((key for key in self.keys if key.id == id_), None)

    def refresh(self) -> bool:
        """Read the file again where it has changed; whether the keys did. A file that cannot be read leaves them as they are."""
        stamp = _stamp(self.path)
        if self.path is None or stamp is None or stamp == self._stamp:
            return False
        try:
            keys = tuple(map(MasterKey.of, _read(self.path)))
        except Refused:
            return False
        changed = keys != self.keys
        self.keys, self._stamp = keys, stamp
        return changed

    def write(self, keys: Sequence[MasterKey]) -> None:
        """Put these keys into the file, in its place at once. Raises `Refused`."""
        assert self.path is not None, "keys of the environment are not written"
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            write(draft, "".join(f"{key.value.hex()}\n" for key in keys))
            draft.replace(self.path)
        except OSError as wrong:
            draft.unlink(missing_ok=True)
            why = (wrong.strerror or "unknown").lower()
            raise Refused(
                f"the master key file {self.path} cannot be written: {why}; write the new key before the old one yourself."
            ) from None
        self.keys, self._stamp = tuple(keys), _stamp(self.path)


def keyring(settings: Settings) -> Keyring:
    """The ring: of the setting, of the named file, or of `master.key` in the data folder, made if missing. Raises `Refused`."""
    if settings.master_key:
        return Keyring([MasterKey.of(one) for one in _parsed(settings.master_key, "PROZESS_MASTER_KEY")])
    if settings.master_key_file is not None:
        return _of_file(settings.master_key_file)
    path = settings.data / "master.key"
    is_new = not path.exists()
    if is_new:
        _make(path)
    return _of_file(path, is_new=is_new)


def new_key() -> MasterKey:
    """A key that nobody had before."""
    return MasterKey.of(secrets.token_bytes(KEY_BYTES))


def derived(master: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose only."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(master)


def write(path: Path, text: str) -> None:
    """A file that only its owner may read, on the disk when this returns. Raises `OSError`, also where it is there."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def _of_file(path: Path, *, is_new: bool = False) -> Keyring:
    return Keyring([MasterKey.of(one) for one in _read(path)], path, is_new=is_new)


def _make(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(draft, secrets.token_hex(KEY_BYTES) + "\n")
        try:
            os.link(draft, path)  # appears whole, and only one of several programs starting together wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    except OSError as wrong:
        raise Refused(f"the master key cannot be written to {path}: {(wrong.strerror or 'unknown').lower()}.") from None


def _read(path: Path) -> list[bytes]:
    try:
        return _parsed(path.read_text(encoding="ascii"), str(path))
    except OSError as wrong:
        raise Refused(f"the master key file {path} cannot be read: {(wrong.strerror or 'unknown').lower()}.") from None
    except UnicodeDecodeError:
        raise Refused(f"{path} must hold {_HOW}.") from None


def _parsed(text: str, where: str) -> list[bytes]:
    parts = [part for part in re.split(r"[\s,]+", text) if part]
    if not parts or len(parts) > MOST or not all(map(_HEX_KEY.fullmatch, parts)):
        raise Refused(f"{where} must hold {_HOW}.")
    return list(dict.fromkeys(map(bytes.fromhex, parts)))


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_ino, found.st_size)
