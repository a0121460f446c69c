"""Secrets in the rows, sealed: the adapter of the `Secrets` port.

In comes a value, out goes a reference. The reference is an HMAC of app and value, so that the same value of the same
app is the same reference and a definition's hash stays; the value is sealed with AES-256-GCM, bound to app and
reference. Both keys are derived from one master key, which never enters the database or the log.
"""

import hmac
import os
import re
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from services.kit.clock import Clock
from services.kit.database import Database, is_gone
from services.kit.errors import Refused, SecretMissing
from services.kit.secret_table import secrets as table
from services.kit.secrets import is_reference
from services.kit.settings import Settings

_KEY_BYTES = 32
_NONCE_BYTES = 12
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
_PATIENT = AsyncRetrying(
    retry=retry_if_exception(is_gone), wait=wait_random_exponential(multiplier=0.05, max=1), stop=stop_after_delay(45), reraise=True
)
"""An effect that needs a key waits for a database that is away, but not longer than it may be silent."""
_HOW = "64 hexadecimal digits, as `openssl rand -hex 32` writes them"


class StoredSecrets:
    """Secrets in the table `secrets`."""

    def __init__(self, database: Database, master: bytes, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._naming = derived(master, b"prozess secrets: references")
        self._sealing = AESGCM(derived(master, b"prozess secrets: values"))

    async def put(self, app: str, value: str) -> str:
        """See `Secrets.put`."""
        reference = "secret:" + hmac.digest(self._naming, f"{app}\0{value}".encode(), "sha256").hex()[:32]
        async with self._database.connect() as connection:
            known = await connection.scalar(select(table.c.reference).where(table.c.reference == reference))
        if known is None:
            nonce = secrets.token_bytes(_NONCE_BYTES)
            sealed = nonce + self._sealing.encrypt(nonce, value.encode(), _bound(app, reference))
            try:
                async with self._database.begin(durable=True) as connection:
                    row = {"reference": reference, "app": app, "sealed": sealed, "created": self._clock.now()}
                    await connection.execute(insert(table).values(row))
            except IntegrityError:
                pass  # another caller put the same value meanwhile
        return reference

    async def resolve(self, app: str, reference: str) -> str:
        """See `Secrets.resolve`."""
        if not is_reference(reference):
            raise SecretMissing("this is no reference to a secret")
        sealed: bytes | None = await _PATIENT.copy()(self._sealed, app, reference)
        if sealed is None:
            raise SecretMissing(f"{reference} is not a secret of this app")
        try:
            return self._sealing.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(app, reference)).decode()
        except InvalidTag:
            raise SecretMissing(f"{reference} was sealed with another master key") from None

    async def _sealed(self, app: str, reference: str) -> bytes | None:
        async with self._database.connect() as connection:
            return await connection.scalar(select(table.c.sealed).where(table.c.reference == reference, table.c.app == app))


def master_key(settings: Settings) -> bytes:
    """The 32 bytes: from the setting, from the named file, or from `master.key` in the data folder, made if missing. Raises `Refused`."""
    if settings.master_key:
        return _parsed(settings.master_key, "PROZESS_MASTER_KEY")
    if settings.master_key_file is not None:
        return _read(settings.master_key_file)
    path = settings.data / "master.key"
    return _read(path) if path.exists() else _made(path)


def _made(path: Path) -> bytes:
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as out:
            out.write(secrets.token_hex(_KEY_BYTES) + "\n")
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(draft, path)  # appears whole, and only one of several programs starting together wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    except OSError as wrong:
        raise Refused(f"the master key cannot be written to {path}: {(wrong.strerror or 'unknown').lower()}.") from None
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        return _parsed(path.read_text(encoding="ascii").strip(), str(path))
    except OSError as wrong:
        raise Refused(f"the master key file {path} cannot be read: {(wrong.strerror or 'unknown').lower()}.") from None
    except UnicodeDecodeError:
        raise Refused(f"{path} must hold {_HOW}.") from None


def _parsed(text: str, where: str) -> bytes:
    if _HEX_KEY.fullmatch(text) is None:
        raise Refused(f"{where} must hold {_HOW}.")
    return bytes.fromhex(text)


def derived(master: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose only."""
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(master)


def _bound(app: str, reference: str) -> bytes:
    return f"{app}\0{reference}".encode()
