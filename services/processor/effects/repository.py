"""Looking up what a repository says: the effect of a started `wiki-retrieve` node.

In comes a `RepositoryRequest`; out come `Retrieved` (evidence: where the passages stand, never their words) and `Done` with
the passages as outputs, or `Broke`. A retrieval that was cut off is simply done again by the next owner.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from typing import Protocol

from pydantic import JsonValue

from events.node import Problem
from services.core.codes import Code
from services.core.language.values import encodable
from services.core.running.effects import Broke, Done, Outcome, RepositoryRequest, Retrieved
from services.kit.errors import SecretMissing
from services.kit.models.register import Providers
from services.kit.retrieval.port import Filters, Found, RetrievalFailed, Search
from services.kit.retrieval.retrieval import Retrieval
from services.kit.secrets.port import Secrets, is_reference


class World(Protocol):
    """What this effect needs of the world."""

    @property
    def secrets(self) -> Secrets: ...
    @property
    def providers(self) -> Providers: ...
    @property
    def retrieval(self) -> Retrieval: ...


async def perform(request: RepositoryRequest, world: World) -> AsyncGenerator[Outcome, None]:
    """Look it up. Closing the generator ends what is under way."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    missing = await world.providers.missing(request.app, request.provider, request.model)
    if missing:
        yield _broke(missing, temporary=False)
        return
    try:
        search = Search(
            source=request.source,
            query=request.query,
            passages=request.passages,
            file=request.file,
            kind=request.kind,
            token=await _token(request, world.secrets),
            filters=Filters.of(request.filters),
        )
        async with asyncio.timeout(request.quiet_ms / 1000):
            found = await world.retrieval.find(search)
    except RetrievalFailed as failure:
        yield _broke(failure.message, temporary=failure.temporary)
        return
    except TimeoutError:
        yield _broke(f"the repository was not read within {request.quiet_ms / 1000:g} s", temporary=True)
        return
    yield _evidence(found, round((loop.time() - began) * 1000))
    yield Done(outputs=_outputs(request, found))


async def _token(request: RepositoryRequest, secrets: Secrets) -> str:
    if not is_reference(request.token):
        return request.token
    try:
        return await secrets.resolve(request.app, request.token)
    except SecretMissing:
        raise RetrievalFailed("the token of the repository is not known here any more: send it again") from None


def _broke(message: str, *, temporary: bool) -> Broke:
    return Broke(Problem(code=Code.KNOWLEDGE_REQUEST_ERROR, message=message), temporary=temporary)


def _evidence(found: Found, duration_ms: int) -> Retrieved:
    words = hashlib.sha256("\0".join(one.text for one in found.passages).encode("utf-8", "replace")).hexdigest()
    places = tuple((one.path, one.first, one.last) for one in found.passages)
    return Retrieved(found.source, found.revision, found.files, found.skipped, places, words, duration_ms)


def _outputs(request: RepositoryRequest, found: Found) -> dict[str, JsonValue]:
    passages: list[JsonValue] = [
        {"path": encodable(one.path), "first": one.first, "last": one.last, "text": encodable(one.text)} for one in found.passages
    ]
    if not request.file:
        return {"passages": passages, "file": {}}
    problem = "" if found.file is not None else found.file_problem
    file: JsonValue = {"path": request.file, "content": encodable(found.file or ""), "problem": problem}
    return {"passages": passages, "file": file}
