"""Secrets in the rows, sealed: the adapter of the `Secrets` port.

In comes a value, out goes a reference. The reference is an HMAC of app and value, so that the same value of the same app is the
same reference and a definition's hash stays; the value is sealed with AES-256-GCM, bound to app and reference, under the first
master key of the ring, whose id stands beside it. Keys never enter the database or the log. A ring whose file has changed is read
again: before a value is sealed, and where a key is asked for that is not in it.
"""

import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from services.kit.clock import Clock
from services.kit.database import Database, is_gone
from services.kit.errors import Refused, SecretMissing
from services.kit.secrets.keyring import Keyring, MasterKey, derived
from services.kit.secrets.port import is_reference
from services.kit.secrets.table import secrets as table
from services.kit.telling.logs import logger

NAMING = "naming"
"""In place of a reference: the row whose value names all others. It is written by the first rotation; until then it is derived."""
_NONCE_BYTES = 12
_SEALED = select(table.c.sealed, table.c.key_id).where(table.c.reference == bindparam("wanted"), table.c.app == bindparam("whose"))
_PATIENT = AsyncRetrying(
    retry=retry_if_exception(is_gone), wait=wait_random_exponential(multiplier=0.05, max=1), stop=stop_after_delay(45), reraise=True
)
"""An effect that needs a key waits for a database that is away, but not longer than it may be silent."""


class StoredSecrets:
    """Secrets in the table `secrets`."""

    def __init__(self, database: Database, master: bytes | Keyring, clock: Clock) -> None:
        self.ring = master if isinstance(master, Keyring) else Keyring([MasterKey.of(master)])
        self._database = database
        self._clock = clock
        self._sealing: dict[str, AESGCM] = {}

    async def put(self, app: str, value: str) -> str:
        """See `Secrets.put`."""
        self._refresh()
        reference = "secret:" + hmac.digest(await self._naming(), f"{app}\0{value}".encode(), "sha256").hex()[:32]
        async with self._database.connect() as connection:
            known = await connection.scalar(select(table.c.reference).where(table.c.reference == reference))
        if known is None:
            sealed_with = await self._insert(app, reference, value)
            self._refresh()
            if self.ring.current != sealed_with:  # a rotation began meanwhile, and may have passed this row by
                async with self._database.begin(durable=True) as connection:
                    await connection.execute(update(table).where(table.c.reference == reference).values(self.seal(app, reference, value)))
        return reference

    async def resolve(self, app: str, reference: str) -> str:
        """See `Secrets.resolve`."""
        if not is_reference(reference):
            raise SecretMissing("this is no reference to a secret")
        found: tuple[bytes, str] | None = await _PATIENT.copy()(self._sealed, app, reference)
        if found is None:
            raise SecretMissing(f"{reference} is not a secret of this app")
        value = self.open(app, reference, *found)
        if value is None and self._refresh():
            value = self.open(app, reference, *found)
        if value is None:
            raise SecretMissing(f"{reference} was sealed with another master key")
        return value

    async def check(self) -> None:
        """Raises `Refused` where the rows hold secrets that none of the keys opens."""
        counts = await self.counts()
        missing = {id_: count for id_, count in counts.items() if id_ and self.ring.find(id_) is None}
        if counts.get("") and not await self._opens_unnamed():
            missing[""] = counts[""]
        if not missing:
            return
        wanted = ", ".join(f"the key {id_}" if id_ else "an earlier key" for id_ in sorted(missing))
        here = f"here is only {', '.join(key.id for key in self.ring.keys)}"
        if self.ring.is_new and self.ring.path is not None:
            self.ring.path.unlink(missing_ok=True)
            here = f"there was none in {self.ring.path}"
        raise Refused(
            f"the master key is not the right one: {sum(missing.values())} secrets in the rows were sealed with {wanted}, and {here}; "
            "give that key with PROZESS_MASTER_KEY_FILE, or behind the newer one in its file."
        )

    async def counts(self) -> dict[str, int]:
        """How many secrets each key has sealed, by its id; "" for those of before there were ids."""
        counted = select(table.c.key_id, func.count().label("total")).group_by(table.c.key_id)
        async with self._database.connect() as connection:
            return {row.key_id: int(row.total) for row in await connection.execute(counted)}

    def seal(self, app: str, reference: str, value: str) -> dict[str, object]:
        """What of a row depends on the key: the current one."""
        key, nonce = self.ring.current, secrets.token_bytes(_NONCE_BYTES)
        return {"sealed": nonce + self._cipher(key).encrypt(nonce, value.encode(), _bound(app, reference)), "key_id": key.id}

    def open(self, app: str, reference: str, sealed: bytes, key_id: str) -> str | None:
        """The value; None where no key of the ring opens it."""
        named = self.ring.find(key_id)
        for key in (named,) if named else () if key_id else self.ring.keys:
            try:
                return self._cipher(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(app, reference)).decode()
            except InvalidTag:
                continue
        return None

    async def keep_naming(self) -> None:
        """Write down what names the secrets, before the key that it is derived from goes."""
        async with self._database.connect() as connection:
            known = await connection.scalar(select(table.c.reference).where(table.c.reference == NAMING))
        if known is None:
            await self._insert("", NAMING, (await self._naming()).hex())

    async def _naming(self) -> bytes:
        found = await self._sealed("", NAMING)
        if found is None:
            return derived(self.ring.oldest.value, b"prozess secrets: references")
        kept = self.open("", NAMING, *found)
        if kept is None and self._refresh():
            kept = self.open("", NAMING, *found)
        if kept is None:
            raise Refused("the master key is not the right one: it does not open what names the secrets.")
        return bytes.fromhex(kept)

    async def _insert(self, app: str, reference: str, value: str) -> MasterKey:
        key = self.ring.current
        row = {"reference": reference, "app": app, "created": self._clock.now(), **self.seal(app, reference, value)}
        try:
            async with self._database.begin(durable=True) as connection:
                await connection.execute(insert(table).values(row))
        except IntegrityError:
            pass  # another caller put the same value meanwhile
        return key

    async def _sealed(self, app: str, reference: str) -> tuple[bytes, str] | None:
        def find(rows: Connection) -> tuple[bytes, str] | None:
            row = rows.execute(_SEALED, {"wanted": reference, "whose": app}).one_or_none()
            return None if row is None else (row.sealed, row.key_id)

        return await self._database.ask(find, "secret", app, reference)

    async def _opens_unnamed(self) -> bool:
        wanted = select(table.c.app, table.c.reference, table.c.sealed).where(table.c.key_id == "").limit(1)
        async with self._database.connect() as connection:
            row = (await connection.execute(wanted)).one_or_none()
        return row is None or self.open(row.app, row.reference, row.sealed, "") is not None

    def _refresh(self) -> bool:
        if not self.ring.refresh():
            return False
        logger(__name__).info("master_key_changed", key_id=self.ring.current.id, keys=len(self.ring.keys))
        return True

    def _cipher(self, key: MasterKey) -> AESGCM:
        known = self._sealing.get(key.id)
        if known is None:
            known = self._sealing[key.id] = AESGCM(derived(key.value, b"prozess secrets: values"))
        return known


def _bound(app: str, reference: str) -> bytes:
    return f"{app}\0{reference}".encode()
