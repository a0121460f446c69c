"""The sandbox of a program: one interpreter, as the settings say, shared fairly by the apps.

In comes a `Code`; out comes the JSON text of what its `main` returned, or `CodeFailed`. Waiting for a free process counts
as time of the code, and no app may take all processes, so that one app's endless loops do not stop the others.
"""

import asyncio
from collections import Counter

from services.kit.sandbox.bubblewrap import InBubblewrap
from services.kit.sandbox.monty import InMonty
from services.kit.sandbox.parameters import parameters_of
from services.kit.sandbox.port import MAX_SOURCE, Code, CodeFailed, Interpreter
from services.kit.settings import Settings


class Sandbox:
    """Runs code for anybody who asks."""

    def __init__(self, settings: Settings) -> None:
        self._longest = settings.code_limit_s
        self._interpreter: Interpreter
        if settings.code_sandbox == "bubblewrap":
            self._interpreter = InBubblewrap(settings.code_memory_mb)
        else:
            self._interpreter = InMonty(settings.code_processes, settings.code_memory_mb)
        self._free = asyncio.Semaphore(settings.code_processes)
        self._share = max(1, settings.code_processes - 1)
        self._apps: dict[str, asyncio.Semaphore] = {}
        self._asking: Counter[str] = Counter()

    async def open(self) -> None:
        """Make sure that code can be run as the settings say. Raises `Refused`."""
        await self._interpreter.open()

    async def close(self) -> None:
        """End all processes."""
        await self._interpreter.close()

    async def run(self, code: Code) -> str:
        """The JSON text of what `main` returned. Raises `CodeFailed`."""
        if len(code.source) > MAX_SOURCE:
            raise CodeFailed("build", f"a code may have {MAX_SOURCE} characters at most")
        if "\0" in code.source:
            raise CodeFailed("build", "a code may not hold the character NUL")
        taken = parameters_of(code.source)
        if taken is None:
            raise CodeFailed("build", "there is no function main with parameters: expected def main(…): at the left edge")
        seconds = min(code.seconds, self._longest)
        code = Code(code.source, code.inputs, seconds, code.app)
        began = False
        try:
            async with asyncio.timeout(seconds), self._turn(code.app), self._free:
                began = True
                return await self._interpreter.run(code, taken.of(code.inputs))
        except TimeoutError:
            said = f"the code was stopped after {seconds:g} s" if began else f"no process was free for this code within {seconds:g} s"
            raise CodeFailed("timeout", said) from None

    def _turn(self, app: str) -> "_Turn":
        return _Turn(self._apps, self._asking, app, self._share)


class _Turn:
    """One app's share of the processes, remembered only while the app asks."""

    def __init__(self, apps: dict[str, asyncio.Semaphore], asking: Counter[str], app: str, share: int) -> None:
        self._apps, self._asking, self._app, self._share = apps, asking, app, share

    async def __aenter__(self) -> None:
        self._asking[self._app] += 1
        try:
            await self._apps.setdefault(self._app, asyncio.Semaphore(self._share)).acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._apps[self._app].release()
        self._leave()

    def _leave(self) -> None:
        self._asking[self._app] -= 1
        if not self._asking[self._app]:
            del self._asking[self._app], self._apps[self._app]
