"""Files over HTTP: checked by name and content, stored under names of our own, read through links that end."""

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.services.api.conftest import House, W, running, serving

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
LARGEST = 2 * 1024 * 1024


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "<x/>")
    return out.getvalue()


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[House]:
    async with running(tmp_path_factory.mktemp("files"), file_max_bytes=LARGEST, files_at_once=3) as world:
        async for house in serving(world):
            yield house


async def uploaded(house: House, name: str, content: bytes) -> dict[str, Any]:
    answer = await house.http.post(f"{W}/upload_file", files={"file": (name, content)})
    assert answer.status_code == 200
    return answer.json()


async def test_a_file_comes_back_through_its_link_as_it_was(house: House):
    content = PDF + b"x" * (LARGEST - len(PDF))
    url = (await uploaded(house, "Report.PDF", content))["data"]["url"]
    assert url.endswith(".pdf")
    answer = await house.http.get(url, headers={"Authorization": ""})
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = await house.http.head(url)
    assert (head.headers["content-length"], head.content) == (str(len(content)), b"")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", PNG),
        ("a.docx", zipped("[Content_Types].xml", "word/document.xml")),
        ("表.csv", "编号,名\n1,茶\n".encode()),
        ("wide.txt", "wide".encode("utf-16")),
        ("empty.txt", b""),
        ("sound.mp3", b"\xff\xfb\x90\x00" + bytes(64)),
    ],
)
async def test_content_that_fits_its_name_is_taken(house: House, name: str, content: bytes):
    assert (await uploaded(house, name, content))["code"] == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.exe", b"MZ"),
        ("noextension", b"x"),
        ("page.html", b"<html>"),
        ("trick.png", b"MZ\x90\x00" + bytes(100)),
        ("trick.txt", b"MZ\x90\x00" + bytes(100)),
        ("trick.pdf", PNG),
        ("trick.docx", b"not a zip"),
        ("a.png\x00.exe", PNG),
        ("large.txt", b"x" * (LARGEST + 1)),
    ],
)
async def test_what_is_not_offered_or_not_what_it_says_is_refused(house: House, name: str, content: bytes):
    said = await uploaded(house, name, content)
    assert (said["code"], "data" in said) == (23601, False)
    assert said["message"].startswith("file: ")


async def test_one_bad_file_among_several_stores_none(house: House):
    before = stored(house)
    answer = await house.http.post(f"{W}/upload_files", files=[("files", ("a.txt", b"1")), ("files", ("b.exe", b"2"))])
    assert answer.json()["code"] == 23601
    assert stored(house) == before
    several = await house.http.post(f"{W}/upload_files", files=[("files", (f"{n}.txt", b"1")) for n in range(4)])
    assert several.json()["code"] == 23601


def stored(house: House) -> set[str]:
    folder = house.world.settings.data / "files"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["../../../etc/passwd.txt", "..\\..\\evil.txt", "/abs/x.txt", "%2e%2e%2fx.txt", "a\r\nX: y.txt"])
async def test_no_part_of_a_name_but_its_extension_reaches_the_store(house: House, name: str):
    before = stored(house)
    said = await uploaded(house, name, b"words")
    assert said["code"] == 0
    (new,) = stored(house) - before
    assert all(part not in new for part in ("passwd", "evil", "abs", "..", "x.txt", "y.txt"))


async def test_a_link_that_was_changed_opens_nothing(house: House):
    url = (await uploaded(house, "a.txt", b"words"))["data"]["url"]
    base, name = url.rsplit("/", 1)
    token = base.rsplit("/", 1)[1]
    for wrong in (f"/files/{token}/other.txt", f"/files/{token[:-3]}abc/{name}", "/files/x/y.txt", f"/files/{token}/..%2f{name}"):
        answer = await house.http.get(wrong)
        assert answer.status_code == 404


async def test_an_upload_is_on_the_record(house: House):
    await uploaded(house, "tea.txt", b"words")
    said = (await house.http.get("/v1/audit/events", params={"type": "file.stored", "limit": 1})).json()
    assert (said["events"][0]["actor"], said["events"][0]["data"]["size"]) == ("demo", 5)


@pytest.mark.parametrize(("trusted", "said", "scheme"), [(True, "https", "https"), (True, "gopher", "http"), (False, "https", "http")])
async def test_a_link_is_spelt_as_the_caller_called_if_a_trusted_proxy_says_so(house: House, trusted: bool, said: str, scheme: str):
    settings = house.world.settings if trusted else house.world.settings.model_copy(update={"trusted_proxies": ()})
    async for one in serving(replace(house.world, settings=settings)):
        files = {"file": ("a.txt", b"words")}
        answer = await one.http.post(f"{W}/upload_file", files=files, headers={"X-Forwarded-Proto": said})
        assert answer.json()["data"]["url"].startswith(f"{scheme}://127.0.0.1:")
