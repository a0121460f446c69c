"""Secrets are references for everybody but the app that put them, and sealed in the rows."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from services.kit.clock import SystemClock
from services.kit.database import Database
from services.kit.errors import Refused, SecretMissing
from services.kit.secrets.keyring import Keyring, MasterKey, keyring
from services.kit.secrets.port import is_reference
from services.kit.secrets.rotation import Resealed, reseal
from services.kit.secrets.store import StoredSecrets
from services.kit.secrets.table import secrets as table
from services.kit.settings import load

MASTER = bytes(range(32))
VALUE = "sk-very-secret-value"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    async with database.begin() as connection:
        await connection.run_sync(table.create)
    yield database
    await database.dispose()


@pytest.fixture
def store(database: Database) -> StoredSecrets:
    return StoredSecrets(database, MASTER, SystemClock())


def whole(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_what_was_put_is_resolved_by_its_reference(store: StoredSecrets):
    reference = await store.put("demo", VALUE)

    assert is_reference(reference)
    assert await store.resolve("demo", reference) == VALUE


async def test_the_same_value_of_the_same_app_has_the_same_reference_and_one_row(store: StoredSecrets, database: Database):
    first = await store.put("demo", VALUE)

    assert await store.put("demo", VALUE) == first
    async with database.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(table)) == 1


async def test_another_value_and_another_app_have_other_references(store: StoredSecrets):
    references = {await store.put("demo", VALUE), await store.put("demo", VALUE + "2"), await store.put("other", VALUE)}

    assert len(references) == 3


async def test_app_and_value_cannot_be_shifted_into_each_other(store: StoredSecrets):
    assert await store.put("demo", "xy") != await store.put("demox", "y")


async def test_another_app_cannot_resolve_it(store: StoredSecrets):
    reference = await store.put("demo", VALUE)

    with pytest.raises(SecretMissing, match="not a secret of this app"):
        await store.resolve("other", reference)


@pytest.mark.parametrize("reference", ["", VALUE, "secret:", "secret:" + "0" * 32])
async def test_what_is_no_reference_or_unknown_is_missing_and_not_repeated(store: StoredSecrets, reference: str):
    with pytest.raises(SecretMissing) as missing:
        await store.resolve("demo", reference)

    assert VALUE not in str(missing.value)


async def test_nothing_in_the_table_or_its_file_is_the_value(store: StoredSecrets, database: Database, tmp_path: Path):
    await store.put("demo", VALUE)

    async with database.connect() as connection:
        (row,) = (await connection.execute(select(table))).all()
    assert VALUE not in repr(row)
    assert VALUE.encode() not in whole(tmp_path)


async def test_another_master_key_gives_other_references_and_opens_nothing(store: StoredSecrets, database: Database):
    reference = await store.put("demo", VALUE)
    other = StoredSecrets(database, bytes(32), SystemClock())

    assert await other.put("demo", VALUE) != reference
    with pytest.raises(SecretMissing, match="another master key"):
        await other.resolve("demo", reference)


async def test_a_sealed_value_that_was_moved_to_another_row_does_not_open(store: StoredSecrets, database: Database):
    reference = await store.put("demo", VALUE)
    other = await store.put("demo", "harmless")
    async with database.begin() as connection:
        stolen = select(table.c.sealed).where(table.c.reference == reference).scalar_subquery()
        await connection.execute(table.update().where(table.c.reference == other).values(sealed=stolen))

    with pytest.raises(SecretMissing):
        await store.resolve("demo", other)


def test_the_key_file_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path):
    settings = load(data=tmp_path / "data", master_key=None)

    first = keyring(settings)

    assert (first.is_new, keyring(settings).keys) == (True, first.keys)
    assert stat.S_IMODE((tmp_path / "data" / "master.key").stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["master.key"]


def test_a_given_key_wins_over_the_file_and_makes_none(tmp_path: Path):
    settings = load(data=tmp_path, master_key=MASTER.hex())

    assert keyring(settings).current.value == MASTER
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "short", "g" * 64, "0" * 63, "ü" * 64])
def test_a_key_file_with_something_else_is_refused_with_its_name(tmp_path: Path, text: str):
    file = tmp_path / "key"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(Refused, match="key must hold 64 hexadecimal digits"):
        keyring(load(data=tmp_path, master_key_file=file))


def test_a_wrong_key_in_the_environment_is_refused_by_the_name_of_its_variable(tmp_path: Path):
    with pytest.raises(Refused, match=r"^PROZESS_MASTER_KEY must hold 64") as no:
        keyring(load(data=tmp_path, master_key="sausage"))

    assert "sausage" not in str(no.value)


def test_a_named_key_file_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(Refused, match="cannot be read: no such file"):
        keyring(load(data=tmp_path, master_key_file=tmp_path / "nothing"))


def ring_of(tmp_path: Path, *keys: bytes) -> Keyring:
    file = tmp_path / "ring"
    file.write_text("\n".join(key.hex() for key in keys))
    return keyring(load(data=tmp_path, master_key=None, master_key_file=file))


async def test_each_ciphertext_names_the_key_that_sealed_it(store: StoredSecrets):
    await store.put("demo", VALUE)
    assert await store.counts() == {MasterKey.of(MASTER).id: 1}


async def test_what_an_older_key_sealed_is_read_beside_the_new_one(store: StoredSecrets, database: Database, tmp_path: Path):
    reference = await store.put("demo", VALUE)
    both = StoredSecrets(database, ring_of(tmp_path, bytes(32), MASTER), SystemClock())
    assert await both.resolve("demo", reference) == VALUE
    assert await both.put("demo", VALUE) == reference


async def test_a_rotation_seals_everything_anew_and_references_stay(store: StoredSecrets, database: Database, tmp_path: Path):
    references = [await store.put("demo", f"{VALUE}{number}") for number in range(250)]
    told: list[tuple[int, int]] = []
    both = StoredSecrets(database, ring_of(tmp_path, bytes(32), MASTER), SystemClock())
    assert await reseal(database, both, lambda done, total: told.append((done, total))) == Resealed(250, 0)
    assert (told[0], told[-1]) == ((0, 250), (250, 250))
    new = StoredSecrets(database, bytes(32), SystemClock())
    assert await new.resolve("demo", references[7]) == f"{VALUE}7"
    assert await new.put("demo", f"{VALUE}7") == references[7]
    assert await new.counts() == {MasterKey.of(bytes(32)).id: 251}
    assert await reseal(database, new, lambda *_: None) == Resealed(0, 0)


async def test_an_interrupted_rotation_goes_on_where_it_stopped(store: StoredSecrets, database: Database, tmp_path: Path):
    for number in range(250):
        await store.put("demo", f"{VALUE}{number}")
    both = StoredSecrets(database, ring_of(tmp_path, bytes(32), MASTER), SystemClock())

    def stop(done: int, _total: int) -> None:
        if done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await reseal(database, both, stop)
    assert (await both.counts())[MasterKey.of(MASTER).id] == 150
    assert await reseal(database, both, lambda *_: None) == Resealed(150, 0)


async def test_a_program_that_runs_sees_the_new_key_in_the_file(database: Database, tmp_path: Path):
    running = StoredSecrets(database, ring_of(tmp_path, MASTER), SystemClock())
    first = await running.put("demo", VALUE)
    rotating = StoredSecrets(database, ring_of(tmp_path, MASTER), SystemClock())
    rotating.ring.write([MasterKey.of(bytes(32)), MasterKey.of(MASTER)])
    await reseal(database, rotating, lambda *_: None)
    assert await running.resolve("demo", first) == VALUE
    await running.put("demo", "another")
    assert MasterKey.of(MASTER).id not in await running.counts()


async def test_a_wrong_key_is_refused_at_the_start_with_what_to_do(store: StoredSecrets, database: Database):
    await StoredSecrets(database, bytes(32), SystemClock()).check()
    await store.put("demo", VALUE)
    await store.check()
    with pytest.raises(Refused) as no:
        await StoredSecrets(database, bytes(32), SystemClock()).check()
    assert all(said in str(no.value) for said in ("1 secrets", MasterKey.of(MASTER).id, "PROZESS_MASTER_KEY_FILE"))


async def test_a_lost_key_is_refused_and_no_other_takes_its_place(store: StoredSecrets, database: Database, tmp_path: Path):
    await store.put("demo", VALUE)
    made = keyring(load(data=tmp_path, master_key=None))
    with pytest.raises(Refused, match="there was none in"):
        await StoredSecrets(database, made, SystemClock()).check()
    assert not (tmp_path / "master.key").exists()


async def test_secrets_of_before_there_were_ids_are_read_and_checked(store: StoredSecrets, database: Database):
    reference = await store.put("demo", VALUE)
    async with database.begin() as connection:
        await connection.execute(table.update().values(key_id=""))
    await store.check()
    assert await store.resolve("demo", reference) == VALUE
    with pytest.raises(Refused, match="an earlier key"):
        await StoredSecrets(database, bytes(32), SystemClock()).check()


async def test_every_secret_that_is_put_while_the_key_changes_is_sealed_with_the_new_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ring = ring_of(tmp_path, MASTER)
    store, changed = StoredSecrets(database, ring, SystemClock()), MasterKey.of(bytes(32))
    insert, both = store._insert, asyncio.Barrier(2)  # pyright: ignore[reportPrivateUsage]

    async def both_then_a_change(app: str, reference: str, value: str) -> MasterKey:
        sealed_with = await insert(app, reference, value)
        await both.wait()
        (tmp_path / "ring").write_text(f"{changed.value.hex()}\n{MASTER.hex()}\n")
        return sealed_with

    monkeypatch.setattr(store, "_insert", both_then_a_change)
    await asyncio.gather(store.put("demo", VALUE), store.put("demo", VALUE + "2"))
    assert await store.counts() == {changed.id: 2}
