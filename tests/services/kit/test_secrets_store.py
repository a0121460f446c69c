"""Secrets are references for everybody but the app that put them, and sealed in the rows."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from services.kit.clock import SystemClock
from services.kit.database import Database
from services.kit.errors import Refused, SecretMissing
from services.kit.secret_table import secrets as table
from services.kit.secrets import is_reference
from services.kit.secrets_store import StoredSecrets, master_key
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

    first = master_key(settings)

    assert master_key(settings) == first
    assert stat.S_IMODE((tmp_path / "data" / "master.key").stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["master.key"]


def test_a_given_key_wins_over_the_file_and_makes_none(tmp_path: Path):
    settings = load(data=tmp_path, master_key=MASTER.hex())

    assert master_key(settings) == MASTER
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "short", "g" * 64, "0" * 63, "ü" * 64])
def test_a_key_file_with_something_else_is_refused_with_its_name(tmp_path: Path, text: str):
    file = tmp_path / "key"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(Refused, match="key must hold 64 hexadecimal digits"):
        master_key(load(data=tmp_path, master_key_file=file))


def test_a_wrong_key_in_the_environment_is_refused_by_the_name_of_its_variable(tmp_path: Path):
    with pytest.raises(Refused, match=r"^PROZESS_MASTER_KEY must hold 64") as no:
        master_key(load(data=tmp_path, master_key="sausage"))

    assert "sausage" not in str(no.value)


def test_a_named_key_file_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(Refused, match="cannot be read: no such file"):
        master_key(load(data=tmp_path, master_key_file=tmp_path / "nothing"))
