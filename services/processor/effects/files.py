"""Whether the files of a run are there and small enough (astron.md 4.9.1): the effect of a start node with file variables.

In comes a `FilesRequest`; out come `ToolSent` and `ToolAnswered`, and last `Done`, or `Broke` with 23601 for a file that is too
large and 23603 for a link that leads to none. Our own links are read by their signature, without a call; all others are
asked with HEAD, behind the guard of `egress`.
"""

import asyncio
import math
from collections.abc import AsyncGenerator
from typing import Protocol
from urllib.parse import urlsplit

from events.node import Problem
from services.core.codes import Code
from services.core.running.effects import Broke, Done, FilesRequest, Outcome
from services.kit.errors import FileGone, Unreachable
from services.kit.files import Files
from services.kit.outside.outward import CallFailed, Sending, refused
from services.kit.settings import Settings
from services.processor.tools.evidence import Evidence
from services.processor.tools.toolbox import Toolbox

_AT_ONCE = 8
_KIND = "files"


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def settings(self) -> Settings: ...
    @property
    def files(self) -> Files: ...
    @property
    def toolbox(self) -> Toolbox: ...


class _Refused(Exception):
    """A file that is not taken."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


async def perform(request: FilesRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Ask for all of them, some at once; the first in their order that is wrong is told."""
    evidence = Evidence(_KIND, "HEAD", [list(link) for link in request.links], {"prozess.files": len(request.links)})
    yield evidence.sent
    gate = asyncio.Semaphore(_AT_ONCE)
    seconds = request.quiet_ms / 1000 / math.ceil(len(request.links) / _AT_ONCE)

    async def one(name: str, link: str) -> int:
        async with gate:
            return await _size(name, link, seconds, world)

    found = await asyncio.gather(*(one(*link) for link in request.links), return_exceptions=True)
    wrong = next((size for size in found if isinstance(size, BaseException)), None)
    match wrong:
        case None:
            yield evidence.answered([size for size in found if isinstance(size, int)])
            yield Done(outputs={})
        case _Refused():
            yield evidence.failed(CallFailed(wrong.message, kind=str(int(wrong.code))), wrong.code)
            yield Broke(Problem(code=wrong.code, message=wrong.message))
        case _:
            raise wrong


async def _size(name: str, link: str, seconds: float, world: World) -> int:
    try:
        size = await _own(link, world)
        if size is None:
            size = await _asked(f"{name}: the link", link, seconds, world.toolbox)
    except (CallFailed, FileGone, Unreachable) as failure:
        said = failure.message if isinstance(failure, CallFailed) else f"{name}: {failure}"
        raise _Refused(Code.FILE_INVALID_TYPE_ERROR, said) from None
    if size > world.settings.file_max_bytes:
        raise _Refused(Code.FILE_INVALID_ERROR, f"{name}: at most {world.settings.file_max_bytes} bytes are taken")
    return size


async def _own(link: str, world: World) -> int | None:
    """The size of a file that was handed in here; None for a link of somebody else."""
    parts = urlsplit(link)
    base = urlsplit(world.settings.public_url)
    folder, _, rest = parts.path.rpartition("/files/")
    if base.netloc and (parts.scheme, parts.netloc, folder) != (base.scheme, base.netloc, base.path.rstrip("/")):
        return None
    token, slash, name = rest.partition("/")
    if not slash or "/" in name:
        return None
    try:
        key = world.files.key_of(token, name)
    except FileGone:
        if base.netloc:
            raise
        return None
    return await world.files.size(key)


async def _asked(what: str, link: str, seconds: float, toolbox: Toolbox) -> int:
    answer = await toolbox.outward.call(Sending(what=what, method="HEAD", url=link, seconds=seconds))
    if not 200 <= answer.status < 300:
        raise refused(what, answer.status)
    if answer.length is None:
        raise CallFailed(f"{what} does not say how large the file is", kind="length")
    return answer.length
