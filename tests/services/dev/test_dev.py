"""`prozess dev` as a newcomer meets it: started, its lines pasted, interrupted, started again."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from events.topics import slot_of_id
from services.dev import demo
from services.kit.serving import listen
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

    async def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        assert self.process.stdout is not None
        self.printed += (await self.process.stdout.read()).decode()
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
    assert answer
    assert frames[-1]["choices"][0]["finish_reason"] == "stop"
    positions = [int(line.removeprefix("id: ")) for line in again.splitlines() if line.startswith("id: ")]
    assert positions == list(range(4, 4 + len(positions)))
    assert "event: run.completed" in again
    assert answer in [message["content"] for message in json.loads(talked)["messages"]]
    assert (code, started.printed.count("Traceback")) == (0, 0)


@pytest.mark.timeout(120)
async def test_started_again_it_has_the_same_demo_and_no_second_one(tmp_path: Path):
    async with asyncio.timeout(PATIENCE_S), dev(tmp_path, "--port", "0") as first:
        await first.until("/messages")
        assert await first.stop(signal.SIGTERM) == 0
    size = (tmp_path / "log.sqlite").stat().st_size

    async with asyncio.timeout(PATIENCE_S), dev(tmp_path, "--port", "0") as second:
        await second.until("/messages")
        out, _ = await paste([second.lines[0], 'echo "$EVENT"'])
        assert await second.stop() == 0

    assert re.fullmatch(r"\d{19}", out.strip())
    assert demo.FLOW in first.lines[0]
    assert size > 0


async def test_a_taken_port_is_one_sentence_and_exit_code_2(tmp_path: Path):
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        async with asyncio.timeout(PATIENCE_S), dev(tmp_path, PORT=port) as started:
            await started.process.wait()
            printed = (await started.process.communicate())[0].decode()

    assert printed == f"prozess: port {port} on 127.0.0.1 is in use; give another with --port.\n"
    assert started.process.returncode == 2


async def test_a_folder_that_cannot_be_written_is_one_sentence_and_exit_code_2(tmp_path: Path):
    (tmp_path / "file").touch()
    async with asyncio.timeout(PATIENCE_S), dev(tmp_path / "file" / "data", "--port", "0") as started:
        printed = (await started.process.communicate())[0].decode()

    assert printed == f"prozess: the data folder {tmp_path}/file/data cannot be written: not a directory; give another with --data.\n"
    assert started.process.returncode == 2


async def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path):
    async with asyncio.timeout(PATIENCE_S), dev(tmp_path, "--port", "0") as first:
        await first.until("/messages")
        async with dev(tmp_path, "--port", "0") as second:
            printed = (await second.process.communicate())[0].decode()
        assert await first.stop() == 0

    assert second.process.returncode == 2
    assert f"is in use by process {first.process.pid}" in printed
    assert printed.count("\n") == 1
