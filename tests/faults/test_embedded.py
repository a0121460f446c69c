"""Everything in one process on the embedded log: killed while an answer streams, and with a disk that is full for a while."""

import asyncio
import contextlib
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from infra.bench.fleet import Fleet, environment
from infra.bench.reader import Reader
from services.kit.ids import new_id
from tests.support.fleets import answering, attempts, clients, events_of, found, published, said
from tests.support.model_server import ModelServer, model

pytestmark = pytest.mark.timeout(400)
WORDS = [f"w{index} " for index in range(1, 41)]
TEXT = "".join(WORDS)
DEV = "dev-1"
_LIMIT = 64 * 1024
"""The log of the program is smaller, what it writes its rows and records to is larger."""


class Disk:
    """A small disk of its own where we may mount one, else a limit to the size of each file. `how` says which."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = ["mount", "-t", "tmpfs", "-o", "size=64m", "prozess-test", str(folder)]
        tried = subprocess.run(command, capture_output=True, check=False) if os.geteuid() == 0 else None
        self.mounted = tried is not None and tried.returncode == 0
        self._filler = folder / "filler"
        self._pid = 0

    def fill(self, pid: int) -> None:
        """From now on nothing more can be written."""
        self._pid = pid
        if not self.mounted:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_LIMIT, hard))
            return
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def free(self) -> None:
        """There is room again. Safe to call twice."""
        self._filler.unlink(missing_ok=True)
        if self._pid and not self.mounted:
            _, hard = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (hard, hard))

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)  # the projector ends a moment after the killed rest


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "data"
    folder.mkdir()
    disk = Disk(folder)
    yield disk
    disk.close()


@pytest.fixture
def fleet(disk: Disk, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(environment("", "", disk.folder, "", partitions=2), tmp_path, [DEV]) as fleet:
        fleet.start()
        fleet.wait_ready()
        yield fleet


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    async with clients(fleet.urls[0]) as client:

        async def settled() -> bool:
            return (await client.get("/v1/runs")).status_code == httpx.codes.OK

        await found("demo app", settled)
        yield client


async def test_the_process_is_killed_and_started_again_and_the_answer_goes_on(
    client: httpx.AsyncClient, fleet: Fleet, model_server: ModelServer
) -> None:
    key = new_id()
    flow = await published(client, answering(model_server, model("say", text=TEXT, hold=1, prefill=1, key=key)))
    reader = Reader(client, fleet.urls)
    model_server.release(key, 5)
    await reader.ask(flow, until=5)
    await asyncio.to_thread(fleet.kill, DEV)
    fleet.start(DEV)
    model_server.wait_aborted(key)
    model_server.release(key, len(WORDS))
    await reader.come_back()
    assert reader.text == TEXT
    events = await events_of(client, reader.run)
    assert said(events) == TEXT
    assert attempts(events) == [1, 2]
    assert [event["type"] for event in events].count("run.completed") == 1


async def test_a_full_disk_refuses_and_is_told_and_everything_goes_on_when_there_is_room(
    client: httpx.AsyncClient, fleet: Fleet, disk: Disk, model_server: ModelServer
) -> None:
    key = new_id()
    flow = await published(client, answering(model_server, model("say", text=TEXT, hold=1, prefill=1, key=key)))
    reader = Reader(client, fleet.urls)
    model_server.release(key, 5)
    reading = asyncio.create_task(reader.whole(flow, key))

    async def streaming() -> bool:
        return len(reader.words) == 5

    await found("five words", streaming)
    before = fleet.pid(DEV)
    await asyncio.to_thread(disk.fill, before)
    try:
        model_server.release(key, 20 * len(WORDS))
        body = {"flow_id": flow, "parameters": {"AGENT_USER_INPUT": "x"}}

        async def refused() -> bool:
            return (await client.post("/workflow/v1/chat/completions", json=body)).json()["code"] != 0

        await found("refusal", refused)
        await asyncio.to_thread(fleet.wait_health, 503, DEV)

        async def told() -> bool:
            return '"event": "waiting"' in fleet.said(DEV)

        await found("word of what is waited for", told)
    finally:
        await asyncio.to_thread(disk.free)
    await reading
    await asyncio.to_thread(fleet.wait_ready)
    late = Reader(client, fleet.urls)
    await late.whole(flow, new_id())
    for one in (reader, late):
        assert one.text == TEXT
        events = await events_of(client, one.run)
        assert said(events) == TEXT
        assert [event["type"] for event in events].count("run.completed") == 1
    assert fleet.pid(DEV) == before
    assert fleet.runs(DEV)
