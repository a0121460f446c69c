"""The store of files, as a folder and as S3 (a real server of its protocol, over a socket)."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.kit.errors import FileGone, Refused, Unreachable
from services.kit.files import Files, ObjectFiles
from tests.support.s3 import s3_server

LARGE = bytes(range(256)) * 40_000


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(params=["folder", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    if request.param == "folder":
        return ObjectFiles("", tmp_path / "files", bytes(32), 60)
    url: str = request.getfixturevalue("s3")
    given = {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "any", "SECRET_ACCESS_KEY": "any", "REGION": "us-east-1", "ALLOW_HTTP": "true"}
    for name, value in given.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    bucket(url)
    return ObjectFiles("s3://papers/of/prozess", tmp_path, bytes(32), 60)


def bucket(url: str) -> None:
    made = httpx.put(f"{url}/papers", trust_env=False, timeout=10)
    assert made.status_code == 200, made.text


async def whole(files: Files, key: str) -> bytes:
    stored = await files.get(key)
    content = b"".join([piece async for piece in stored.pieces])
    assert stored.size == len(content)
    return content


@pytest.mark.parametrize("content", [b"", b"words", LARGE])
async def test_a_file_is_read_as_it_was_stored(files: Files, content: bytes):
    await files.put("app/a.txt", io.BytesIO(content))
    assert await whole(files, "app/a.txt") == content


async def test_a_file_that_is_not_there_is_gone(files: Files):
    with pytest.raises(FileGone):
        await files.get("app/nothing.txt")


def test_a_link_ends_in_the_extension_and_stands_for_its_key(files: Files):
    link = files.link("app/a.txt")
    assert link.endswith("/a.txt")
    token, name = link.removeprefix("/files/").split("/")
    assert files.key_of(token, name) == "app/a.txt"
    with pytest.raises(FileGone):
        files.key_of(token, "b.txt")


def test_a_link_ends(tmp_path: Path):
    files = ObjectFiles("", tmp_path, bytes(32), -1)
    token, name = files.link("a/b.txt").removeprefix("/files/").split("/")
    with pytest.raises(FileGone, match="ended"):
        files.key_of(token, name)


def test_a_link_of_another_house_opens_nothing(tmp_path: Path):
    token, name = ObjectFiles("", tmp_path, bytes(32), 60).link("a/b.txt").removeprefix("/files/").split("/")
    with pytest.raises(FileGone):
        ObjectFiles("", tmp_path, bytes([1]) * 32, 60).key_of(token, name)


def test_a_store_that_nothing_opens_is_refused_in_one_sentence(tmp_path: Path):
    with pytest.raises(Refused, match="PROZESS_FILES"):
        ObjectFiles("nonsense", tmp_path, bytes(32), 60)


async def test_a_store_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"ACCESS_KEY_ID": "any", "SECRET_ACCESS_KEY": "any", "REGION": "us-east-1", "ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    files = ObjectFiles("s3://papers", tmp_path, bytes(32), 60)
    with pytest.raises(Unreachable):
        await files.put("a/b.txt", io.BytesIO(b"x"))
