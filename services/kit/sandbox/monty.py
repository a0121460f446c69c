"""Code in Monty, a small Python written for strangers' code: no files, no environment, no network, no process of the machine.

Each code runs in a worker process of a bounded pool, with limits on time, memory and recursion inside the worker; whoever
is cancelled or too late has the worker killed, and the pool makes a new one. What Monty lacks of Python is said where a
code runs into it.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
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


class InMonty:
    """The pool of workers; they are started when the first code comes."""

    def __init__(self, processes: int, memory_mb: int) -> None:
        self._processes = processes
        self._memory = memory_mb * _MIB
        self._pool: monty.AsyncMonty | None = None
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Nothing is needed before the first code."""

    async def close(self) -> None:
        """End all workers."""
        await self._stack.aclose()
        self._pool = None

    async def run(self, code: Code, given: Mapping[str, JsonValue]) -> str:
        """Define the module, call `main`, and take its result as JSON text. Raises `CodeFailed`."""
        pool = await self._opened()
        limits: monty.ResourceLimits = {
            "max_feed_duration_secs": code.seconds,
            "max_memory": self._memory,
            "max_recursion_depth": _RECURSION,
            "max_total_sleep_secs": code.seconds,
        }
        async with pool.checkout(limits=limits) as session:
            printed = monty.CollectString(_PRINTED)
            try:
                await session.feed_run(code.source, print_callback=printed)
                await session.feed_run(_CALL, inputs={"_prozess_given": dict(given)}, print_callback=printed)
            except monty.MontyError as error:
                raise _failure(code, error) from None
            try:
                text: Any = await session.feed_run(_TELL)
            except monty.MontyError as error:
                if _is_late(error):
                    raise CodeFailed("timeout", f"the code was stopped after {code.seconds:g} s") from None
                raise CodeFailed("result", f"main must return what JSON can hold ({type_of(error)})") from None
        if not isinstance(text, str):
            raise CodeFailed("result", f"the result of main is longer than {MAX_RESULT} characters")
        return text

    async def _opened(self) -> monty.AsyncMonty:
        if self._pool is None:
            self._pool = monty.AsyncMonty(min_processes=0, max_processes=self._processes, max_checkouts_per_worker=1_000)
            await self._stack.enter_async_context(self._pool)
        return self._pool


def type_of(error: monty.MontyError) -> str:
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
