"""Code in Monty, a small Python written for strangers' code: no files, no environment, no network, no process of the machine.

Each code runs in a worker process of a bounded pool, with limits on time, memory and recursion inside the worker; whoever
is cancelled or too late has the worker killed, and the pool makes a new one. What Monty lacks of Python is said where a
code runs into it.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pydantic_monty as monty
from pydantic import JsonValue

from services.kit.sandbox.port import MAX_RESULT, Code, CodeFailed, failed

MODULES = (
    "asyncio", "base64", "binascii", "bisect", "collections", "copy", "csv", "dataclasses", "datetime", "decimal", "functools",
    "hashlib", "itertools", "json", "math", "random", "re", "time", "tomllib", "typing", "unicodedata",
)  # fmt: skip
"""What a code may import and use."""
LACKS = (
    f" (code runs in a sandbox without files, environment and network, without yield and del; it may import {', '.join(MODULES)};"
    " PROZESS_CODE_SANDBOX=bubblewrap gives it the whole standard library)"
)
_LACKING = ("ModuleNotFoundError", "ImportError", "NotImplementedError", "PermissionError", "is not supported in this environment")
_RECURSION = 500
_PRINTED = 1_000_000
_MIB = 1 << 20
_SOURCE = "<python-input-0>"
_CALL = "_prozess_result = main(**_prozess_given)"
_TELL = (
    "import json as _prozess_json\n"
    "_prozess_text = _prozess_json.dumps(_prozess_result, ensure_ascii=False)\n"
    f"_prozess_text if len(_prozess_text) <= {MAX_RESULT} else None"
)


class _Turn:
    """One code's time in its worker, so that whoever stops waiting can end that worker and no other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: int | None = None
        self._stopped = False

    def begin(self, worker: int | None) -> None:
        """The worker is this code's. Raises `CodeFailed` where nobody waits any more."""
        with self._lock:
            if self._stopped:
                raise CodeFailed("timeout", "the code was stopped before it began")
            self._worker = worker

    def end(self) -> None:
        """The worker is somebody else's from now on."""
        with self._lock:
            self._worker = None

    def stop(self) -> None:
        """Kill the worker, or do not begin."""
        with self._lock:
            self._stopped = True
            if self._worker is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._worker, signal.SIGKILL)


class InMonty:
    """The pool of workers, started when the first code comes, and a thread for each that waits for it.

    Threads of our own, since those of the library's asynchronous pool may outlive the interpreter and abort it (Python 3.11).
    """

    def __init__(self, processes: int, memory_mb: int) -> None:
        self._processes = processes
        self._memory = memory_mb * _MIB
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="code")
        self._stack = contextlib.ExitStack()
        self._pool: monty.Monty | None = None
        self._turns: set[_Turn] = set()

    async def open(self) -> None:
        """Nothing is needed before the first code."""

    async def close(self) -> None:
        """End all workers."""
        for turn in self._turns:
            turn.stop()
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._stack.close)
        self._pool = None

    async def run(self, code: Code, given: Mapping[str, JsonValue]) -> str:
        """Define the module, call `main`, and take its result as JSON text. Raises `CodeFailed`."""
        if self._pool is None:
            self._pool = self._stack.enter_context(
                monty.Monty(min_processes=0, max_processes=self._processes, max_checkouts_per_worker=1_000)
            )
        turn = _Turn()
        self._turns.add(turn)
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._work, self._pool, code, given, turn)
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.shield(work)
        finally:
            self._turns.discard(turn)
            if not work.done():
                turn.stop()

    def _work(self, pool: monty.Monty, code: Code, given: Mapping[str, JsonValue], turn: _Turn) -> str:
        limits: monty.ResourceLimits = {
            "max_feed_duration_secs": code.seconds,
            "max_memory": self._memory,
            "max_recursion_depth": _RECURSION,
            "max_total_sleep_secs": code.seconds,
        }
        with pool.checkout(limits=limits) as session:
            turn.begin(session.worker_pid)
            try:
                return _fed(session, code, given)
            finally:
                turn.end()


def _fed(session: monty.MontySession, code: Code, given: Mapping[str, JsonValue]) -> str:
    printed = monty.CollectString(_PRINTED)
    try:
        session.feed_run(code.source, print_callback=printed)
        session.feed_run(_CALL, inputs={"_prozess_given": dict(given)}, print_callback=printed)
    except monty.MontyError as error:
        raise _failure(code, error) from None
    try:
        text: Any = session.feed_run(_TELL)
    except monty.MontyError as error:
        if _is_late(error):
            raise CodeFailed("timeout", f"the code was stopped after {code.seconds:g} s") from None
        raise CodeFailed("result", f"main must return what JSON can hold ({_type_of(error)})") from None
    if not isinstance(text, str):
        raise CodeFailed("result", f"the result of main is longer than {MAX_RESULT} characters")
    return text


def _type_of(error: monty.MontyError) -> str:
    """The name of the error inside the sandbox."""
    return str(error).partition(":")[0] if isinstance(error, monty.MontyRuntimeError) else "the sandbox ended"


def _is_late(error: monty.MontyError) -> bool:
    if isinstance(error, monty.MontyCrashedError):
        return error.timed_out
    return str(error).startswith(("TimeoutError: feed time limit exceeded", "TimeoutError: sleep limit exceeded"))


def _failure(code: Code, error: monty.MontyError) -> CodeFailed:
    if _is_late(error):
        return CodeFailed("timeout", f"the code was stopped after {code.seconds:g} s")
    if isinstance(error, monty.MontyCrashedError):
        return CodeFailed("failed", "the sandbox ended while the code ran (too much memory, or nested too deep)")
    if not isinstance(error, monty.MontyRuntimeError | monty.MontySyntaxError):
        return CodeFailed("failed", "an input cannot be handed to the sandbox")
    said = error.display("type-msg")
    lines = [frame.line for frame in error.traceback() if frame.filename == _SOURCE]
    lacks = any(word in said for word in _LACKING)
    return failed(code, said, lines[-1] if lines else None, LACKS if lacks else "")
