"""Code in CPython, with its whole standard library, inside namespaces of Linux: bubblewrap holds the process.

It sees its interpreter, read-only, and an empty folder: no network, no environment, no other process, no file of this
service. Memory, CPU time and the number of processes are limited, too. Opt-in: where bubblewrap is missing, or may not make
namespaces, the program does not start.
"""

import asyncio
import json
import math
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from services.kit.errors import Refused
from services.kit.sandbox.port import MAX_RESULT, Code, CodeFailed, failed

_INSIDE = Path(__file__).with_name("inside.py")
_MIB = 1 << 20
_ANSWER = 8 * MAX_RESULT
_PROBE_S = 10.0
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_ENDED = "the sandbox ended while the code ran (too much memory, or too much CPU time)"
MISSING = "PROZESS_CODE_SANDBOX is bubblewrap, but {why}. The default, monty, needs nothing."


class InBubblewrap:
    """One process for each code."""

    def __init__(self, memory_mb: int) -> None:
        self._memory = memory_mb * _MIB
        self._command: list[str] = []

    async def open(self) -> None:
        """Run an empty code. Raises `Refused` with one sentence."""
        if os.geteuid() == 0:
            raise Refused(MISSING.format(why="the limits of the system do not hold for root: run as another user"))
        found = shutil.which("bwrap")
        if found is None:
            raise Refused(MISSING.format(why="there is no bwrap on this machine: install bubblewrap"))
        self._command = _command(found)
        try:
            async with asyncio.timeout(_PROBE_S):
                await self.run(Code("def main(a):\n    return a\n", {"a": 1}, _PROBE_S), {"a": 1})
        except (CodeFailed, TimeoutError):
            raise Refused(MISSING.format(why="bwrap cannot hold a process here: allow user namespaces")) from None

    async def close(self) -> None:
        """Each process ends with its code."""

    async def run(self, code: Code, given: Mapping[str, JsonValue]) -> str:
        """Start a process, hand it the code, take its answer, end it. Raises `CodeFailed`."""
        asked = {"source": code.source, "given": dict(given), "memory": self._memory, "longest": MAX_RESULT}
        line = json.dumps({**asked, "seconds": math.ceil(code.seconds) + 1}).encode() + b"\n"
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_ANSWER,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line)
            await process.stdin.drain()
            answer = await process.stdout.readline()
        except (OSError, ValueError):
            answer = b""
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        return _told(code, answer)


def _told(code: Code, answer: bytes) -> str:
    """What the process said. It may have been forged by the code, so nothing in it is believed."""
    try:
        told: Any = json.loads(answer)
        reason, text = told.get("reason"), told.get("text")
        said, line = str(told.get("said", "")), told.get("line")
    except (ValueError, AttributeError, RecursionError):
        raise CodeFailed("failed", _ENDED) from None
    if reason == "failed":
        raise failed(code, said, line if isinstance(line, int) else None)
    if reason == "result":
        raise CodeFailed("result", f"main must return what JSON can hold ({said[:40]})")
    if not isinstance(text, str) or len(text) > MAX_RESULT:
        raise CodeFailed("result", f"the result of main is longer than {MAX_RESULT} characters")
    return text


def _command(bwrap: str) -> list[str]:
    seen = [*_SYSTEM, sys.base_prefix]
    binds = [part for path in dict.fromkeys(seen) for part in ("--ro-bind-try", path, path)]
    held = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    inside = "/tmp/inside.py"  # noqa: S108 (a folder that only this sandbox has)
    own = ["--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", str(_INSIDE), inside, "--chdir", "/tmp"]  # noqa: S108 (the same folder)
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return [bwrap, *held, *binds, *own, "--", str(python), "-I", "-S", inside]
