"""Uploads that want to be something else: names that lead elsewhere, content of two kinds, forms that are none."""

import gc
from pathlib import Path

import pytest

from tests.services.api.conftest import House, W
from tests.services.api.test_uploads import PNG, stored, uploaded

NAMES = {
    "a way up": "../../../../tmp/evil.txt",
    "a way up in the middle, as in archives": "a/../../evil.txt",
    "a way up of the other kind": "..\\..\\evil.txt",
    "a drive": "C:\\Windows\\evil.txt",
    "a share": "\\\\host\\share\\evil.txt",
    "an escaped way up": "..%2f..%2fevil.txt",
    "a way up in wide dots": "．．／．．／evil.txt",
    "an overlong way up": "\udcc0\udcae\udcc0\udcae/evil.txt",
    "a device": "CON.txt",
    "a stream of a file": "evil.txt:hidden.txt",
    "a name read from the right": "evil\u202etxt.exe.txt",
    "a hidden file": ".htaccess.txt",
    "only an extension": ".txt",
    "two extensions": "evil.php.txt",
    "line ends": "a\r\nX-Evil: 1.txt",
    "quotes": 'a"; filename="evil.exe.txt',
    "a name of 2,000 characters": "a" * 2_000 + ".txt",
    "an address": "http://evil.example/x.txt",
    "a command": "$(touch evil).txt",
}
REFUSED = {
    "a name of 10,000 characters": "a" * 10_000 + ".txt",
    "a NUL": "evil.txt\x00.exe",
    "a dot at the end": "evil.txt.",
    "a blank at the end": "evil.txt ",
    "wide letters": "evil.ｔｘｔ",
    "a letter that becomes another in lower case": "evil.Tﬂt",
    "SVG": "evil.svg",
    "HTML": "evil.html",
    "a script after a semicolon": "evil.txt;.php",
    "nothing": "",
    "two dots": "..",
}


@pytest.mark.parametrize("kind", NAMES)
async def test_a_name_gives_its_extension_and_nothing_else(house: House, kind: str):
    before = stored(house)
    name = NAMES[kind].encode("utf-8", "surrogateescape").decode("latin-1") if "\udcc0" in NAMES[kind] else NAMES[kind]
    said = await uploaded(house, name, b"words")
    assert said["code"] == 0
    (new,) = stored(house) - before
    assert Path(new).suffix == ".txt"
    assert Path(new).stem.isalnum()
    assert "evil" not in new


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_name_whose_extension_is_another_is_refused(house: House, kind: str):
    before = stored(house)
    assert (await uploaded(house, REFUSED[kind], b"words"))["code"] in {23601, 460}
    assert stored(house) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", PNG + b"<script>alert(1)</script>"),
        ("a.txt", b"<html><script>alert(1)</script>"),
        ("a.csv", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
        ("a.pdf", b"%PDF-1.4\n<script>alert(1)</script>"),
    ],
)
async def test_content_of_two_kinds_is_given_back_as_a_file_that_no_browser_runs(house: House, name: str, content: bytes):
    url = (await uploaded(house, name, content))["data"]["url"]
    headers = (await house.http.get(url)).headers
    assert headers["content-disposition"].startswith("attachment; ")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert "html" not in headers["content-type"]
    assert "svg" not in headers["content-type"]


FORMS = {
    "no form": b"just words",
    "no end": b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nwords',
    "no name": b"--b\r\nContent-Disposition: form-data\r\n\r\nwords\r\n--b--\r\n",
    "a field for the file": b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nwords\r\n--b--\r\n',
    "a header without an end": b"--b\r\nContent-Disposition: " + b"a" * 100_000,
    "many headers": b"--b\r\n" + b"X: y\r\n" * 5_000 + b"\r\nwords\r\n--b--\r\n",
    "many fields": b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n' * 3_000 + b"--b--\r\n",
    "many files": b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nx\r\n' * 3_000 + b"--b--\r\n",
    "a form in a form": b'--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n',
}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("path", ["upload_file", "upload_files"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # starlette leaves a part without an end to the collector
async def test_a_form_that_is_none_gets_the_surfaces_error(house: House, kind: str, path: str):
    before = stored(house)
    answer = await house.http.post(f"{W}/{path}", content=FORMS[kind], headers={"Content-Type": "multipart/form-data; boundary=b"})
    said = answer.json()
    assert (answer.status_code, said["code"]) == (200, 460)
    assert said["message"].startswith("Parameter: body")
    assert stored(house) == before
    gc.collect()
