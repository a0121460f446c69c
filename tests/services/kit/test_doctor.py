"""The doctor finds what is wrong, part by part, and says what to do."""

import asyncio
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from services.kit.doctor import Finding, checked, examine
from services.kit.embedded.log import SqliteLog
from services.kit.settings import Settings, load


async def found(settings: Settings) -> dict[str, Finding]:
    return {finding.part: finding async for finding in examine(settings)}


@pytest.fixture
def endpoint() -> Iterator[str]:
    class Models(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Authorization"] == "Bearer right"
            self.send_response(200 if wanted else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Models)
    server.daemon_threads = False
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


async def test_a_new_folder_has_notes_and_only_the_migrations_are_missing(tmp_path: Path):
    findings = await found(load(data=tmp_path))

    assert {part: finding.state for part, finding in findings.items()} == {
        "data folder": "good",
        "log": "note",
        "database": "good",
        "migrations": "bad",
        "clock": "good",
        "master key": "note",
        "model endpoint": "note",
        "content audit": "good",
    }
    assert "prozess migrate" in findings["migrations"].said


async def test_every_finding_is_a_sentence(tmp_path: Path):
    for finding in (await found(load(data=tmp_path))).values():
        assert finding.said.endswith("."), finding
        assert "\n" not in finding.said


async def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("")

    finding = (await found(load(data=tmp_path / "file" / "data")))["data folder"]

    assert finding == Finding(
        "data folder", "bad", f"The data folder {tmp_path}/file/data cannot be written: not a directory; give another with --data."
    )


async def test_a_log_with_other_partitions_says_how_many(tmp_path: Path):
    log = SqliteLog(tmp_path / "log.sqlite", 3)
    await log.start()
    await log.stop()

    assert "PROZESS_PARTITIONS=3" in (await found(load(data=tmp_path, partitions=8)))["log"].said
    assert (await found(load(data=tmp_path, partitions=3)))["log"].state == "good"


async def test_the_model_endpoint_is_asked_with_the_key(tmp_path: Path, endpoint: str):
    right = await found(load(data=tmp_path, openai_base_url=endpoint, openai_api_key="right"))
    wrong = await found(load(data=tmp_path, openai_base_url=endpoint, openai_api_key="wrong"))

    assert right["model endpoint"].state == "good"
    assert wrong["model endpoint"] == Finding("model endpoint", "bad", f"{endpoint} does not accept the key: check OPENAI_API_KEY.")


async def test_a_model_endpoint_that_is_not_there_is_bad(tmp_path: Path):
    finding = (await found(load(data=tmp_path, openai_base_url="http://127.0.0.1:9/v1")))["model endpoint"]

    assert (finding.state, "check OPENAI_BASE_URL" in finding.said) == ("bad", True)


async def test_a_database_that_is_not_there_is_bad_and_its_password_is_not_shown(tmp_path: Path):
    findings = await found(load(data=tmp_path, database="postgresql://prozess:hush@127.0.0.1:9/rows"))

    assert findings["database"].state == "bad"
    assert all("hush" not in finding.said for finding in findings.values())


async def test_a_check_that_takes_too_long_is_a_finding():
    async def endless() -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    finding = await checked("database", endless, 0.01)

    assert finding == Finding("database", "bad", "It did not answer within 0.01 seconds: check its address and the network.")
