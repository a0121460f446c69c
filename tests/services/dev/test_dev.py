"""`prozess dev` as a newcomer meets it: started, its lines pasted, interrupted, started again."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from events.topics import COMMANDS, slot_of_id
from services.cli import main
from services.dev import demo
from services.kit.embedded.file import lock
from services.kit.embedded.view import SqliteView
from services.kit.program.serving import listen
from services.kit.settings import Settings, variable

PATIENCE_S = 50


class Dev:
    """A running `prozess dev`: what it printed, and the process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed = ""

    async def until(self, text: str) -> None:
        assert self.process.stdout is not None
        while text not in self.printed:
            line = await self.process.stdout.readline()
            assert line, f"it ended: {self.printed}"
            self.printed += line.decode()

    @property
    def lines(self) -> list[str]:
        return [line for line in self.printed.splitlines() if line.startswith(("EVENT=", "curl "))]

    async def rest(self) -> None:
        assert self.process.stdout is not None
        self.printed += (await self.process.stdout.read()).decode()

    async def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        await self.rest()
        return await self.process.wait()


def environment(**more: str) -> dict[str, str]:
    ours = {"PORT", *map(variable, Settings.model_fields)}
    return {**{name: value for name, value in os.environ.items() if name not in ours}, **more}


@asynccontextmanager
async def dev(folder: Path, *options: str, **more: str) -> AsyncIterator[Dev]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "dev", "--data", str(folder), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(**more),
    )
    try:
        yield Dev(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def paste(lines: list[str]) -> tuple[str, str]:
    """What a shell prints to standard output and standard error for these lines."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-e", "-c", "\n".join(lines), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment()
    )
    out, err = await shell.communicate()
    assert shell.returncode == 0, err.decode()
    return out.decode(), err.decode()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch):
    for name in [*map(variable, Settings.model_fields), "PORT"]:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.timeout(120)
async def test_the_three_printed_lines_work_and_ctrl_c_exits_0(tmp_path: Path):
    async with asyncio.timeout(PATIENCE_S), dev(tmp_path, PORT="0") as started:
        await started.until("/messages")
        chat, resume, history = started.lines

        said, streamed = await paste([chat, 'echo "$EVENT"'])
        run = said.strip()
        again, _ = await paste([f"EVENT={run}", resume])
        talked, _ = await paste([history])
        code = await started.stop()

    assert slot_of_id(run) >= 0
    frames = [json.loads(line.removeprefix("data: ")) for line in streamed.splitlines() if line.startswith("data: ")]
    answer = "".join(frame["choices"][0]["delta"]["content"] for frame in frames)
    assert answer, streamed
    assert frames[-1]["choices"][0]["finish_reason"] == "stop"
    positions = [int(line.removeprefix("id: ")) for line in again.splitlines() if line.startswith("id: ")]
    assert positions == list(range(4, 4 + len(positions)))
    assert "event: run.completed" in again
    assert answer in [message["content"] for message in json.loads(talked)["messages"]]
    assert (code, started.printed.count("Traceback")) == (0, 0)


@pytest.mark.timeout(120)
async def test_started_again_it_has_the_same_demo_and_wishes_for_nothing_new(tmp_path: Path):
    async with asyncio.timeout(PATIENCE_S), dev(tmp_path, "--port", "0") as first:
        await first.until("/messages")
        assert await first.stop(signal.SIGTERM) == 0
    before = await wished(tmp_path)

    async with asyncio.timeout(PATIENCE_S), dev(tmp_path, "--port", "0") as second:
        await second.until("/messages")
        assert await second.stop(signal.SIGTERM) == 0

    assert (before, await wished(tmp_path)) == (4, 4)
    assert demo.FLOW in first.lines[0]


@pytest.mark.timeout(120)
async def test_the_projector_beside_it_is_measured_and_when_it_dies_everything_ends_with_one_sentence(tmp_path: Path):
    async with asyncio.timeout(PATIENCE_S), dev(tmp_path, "--port", "0") as started, httpx.AsyncClient() as client:
        await started.until("/messages")
        address = next(word for word in started.printed.split() if word.startswith("http://"))
        measured = 'prozess_projector_lag_events{partition="0"}'
        while measured not in (told := (await client.get(f"{address}/metrics")).text):  # noqa: ASYNC110 (no bell rings between processes)
            await asyncio.sleep(0.05)
        (beside,) = children(started.process.pid)
        os.kill(beside, signal.SIGKILL)
        await started.rest()
        code = await started.process.wait()

    batches = next(line for line in told.splitlines() if line.startswith("prozess_projector_batch_seconds_count"))
    assert float(batches.rpartition(" ")[2]) > 0
    assert f"prozess: the projector stopped: its process {beside} ended by signal 9.\n" in started.printed
    assert (code, started.printed.count("Traceback")) == (1, 0)


@pytest.mark.timeout(120)
async def test_a_killed_dev_leaves_no_projector_behind(tmp_path: Path):
    async with asyncio.timeout(PATIENCE_S), dev(tmp_path, "--port", "0") as started:
        await started.until("/messages")
        assert len(children(started.process.pid)) == 1
        started.process.kill()
        await started.rest()  # the end of what is printed is the end of everybody who could print there


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def wished(folder: Path) -> int:
    """How many commands the log holds."""
    view = SqliteView(folder / "log.sqlite")
    await view.start()
    return sum([(await view.bounds(COMMANDS, partition))[1] for partition in range(view.partitions(COMMANDS))])


def test_a_taken_port_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])

        assert main(["dev", "--data", str(tmp_path), "--port", port]) == 2

    assert capsys.readouterr().err == f"prozess: port {port} on 127.0.0.1 is in use; give another with --port.\n"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()

    assert main(["dev", "--data", str(tmp_path / "file" / "data"), "--port", "0"]) == 2

    said = f"prozess: the data folder {tmp_path}/file/data cannot be written: not a directory; give another with --data.\n"
    assert capsys.readouterr().err == said


def test_a_folder_in_use_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with lock(tmp_path / "log.sqlite"):
        assert main(["dev", "--data", str(tmp_path), "--port", "0"]) == 2

    told = capsys.readouterr().err
    assert f"is in use by process {os.getpid()}" in told
    assert told.count("\n") == 1
