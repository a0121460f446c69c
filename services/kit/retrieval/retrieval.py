"""Searching a repository: read it, cut it, index it, find. The one thing that node kinds with knowledge stand on.

In comes a `Search`; out goes a `Found`. Indexes are kept by what was read: a local folder is read each time and indexed
when its content is new; a clone is made when the newest commit is new, and asking for that commit shows each time that
the caller's credential may read. The work is done in threads, a few at a time, so that the loop is never held up.
"""

import asyncio
import hashlib
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from services.kit.retrieval.bm25 import Index
from services.kit.retrieval.chunks import passages
from services.kit.retrieval.git import Git, Remote
from services.kit.retrieval.port import NOTHING, Found, Passage, RetrievalFailed, Search
from services.kit.retrieval.reading import Reading, one_file, read
from services.kit.settings import Settings

KEPT = 16
"""Indexes that are kept in memory."""
AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class _Known:
    """An index and what it was made of; the texts are kept for a wanted file."""

    reading: Reading
    index: Index


class Retrieval:
    """All searches of one program."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.wiki_root
        self._max_bytes = settings.wiki_max_mb * 1_048_576
        self._git = Git(settings.wiki_networks, settings.wiki_clone_s, 4 * self._max_bytes)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._working = asyncio.Semaphore(AT_ONCE)

    async def find(self, search: Search) -> Found:
        """The passages. Raises `RetrievalFailed`."""
        async with self._working:
            if search.source.startswith(("http://", "https://")):
                return await self._remote(search)
            return await self._local(search)

    async def _local(self, search: Search) -> Found:
        folder = await asyncio.to_thread(self._folder, search.source)
        reading = await asyncio.to_thread(read, folder, search.filters, self._max_bytes)
        known = await self._indexed(reading.revision, reading)
        file, problem = await asyncio.to_thread(one_file, folder, search.file) if search.file else (None, "")
        return await _found(search, str(folder), reading.revision, known, file, problem)

    async def _remote(self, search: Search) -> Found:
        url = without_credentials(search.source)[0]
        remote = Remote(url, search.kind, search.token)
        commit = await self._git.newest(remote)
        key = hashlib.sha256(repr((url, commit, search.filters)).encode()).hexdigest()
        known = self._known.get(key)
        file, problem = None, ""
        if known is None or (search.file and search.file not in known.reading.files):
            with tempfile.TemporaryDirectory(prefix="prozess-wiki-") as made:
                folder = Path(made) / "repository"
                await self._git.clone(remote, folder)
                reading = await asyncio.to_thread(read, folder, search.filters, self._max_bytes)
                if search.file:
                    file, problem = await asyncio.to_thread(one_file, folder, search.file)
            known = await self._indexed(key, reading)
        else:
            self._known.move_to_end(key)
            file = known.reading.files.get(search.file)
        return await _found(search, url, commit, known, file, problem)

    async def _indexed(self, key: str, reading: Reading) -> _Known:
        known = self._known.get(key)
        if known is None:
            index = await asyncio.to_thread(_index, reading)
            known = self._known[key] = _Known(reading, index)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return known

    def _folder(self, source: str) -> Path:
        """A folder below the root that the settings name. Nothing is said about folders elsewhere."""
        if self._root is None:
            raise RetrievalFailed("repo_url: folders are not read here; name one with --wiki-root, or give an http(s) address")
        try:
            path = unquote(urlsplit(source).path) if source.startswith("file://") else source
            folder = (self._root / Path(path).expanduser()).resolve()
            inside = folder.is_relative_to(self._root.resolve())
        except (ValueError, OSError, RuntimeError):
            raise RetrievalFailed("repo_url: this cannot be the name of a folder") from None
        if not inside:
            raise RetrievalFailed("repo_url: the folder is not below the folder that --wiki-root names")
        if not folder.is_dir():
            raise RetrievalFailed("repo_url: there is no such folder")
        return folder


def without_credentials(url: str) -> tuple[str, str]:
    """An address without user and password, and the password (or a lone user, as forges write tokens) that stood there."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, ""
    user, colon, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), unquote(password if colon else user)


def _index(reading: Reading) -> Index:
    cut = [passage for path, text in reading.files.items() for passage in passages(path, text)]
    if not cut:
        raise RetrievalFailed(NOTHING)
    return Index(cut)


async def _found(search: Search, source: str, revision: str, known: _Known, file: str | None, problem: str) -> Found:
    best: list[Passage] = []
    if search.passages:
        best = await asyncio.to_thread(known.index.best, search.query, search.passages)
    return Found(source, revision, len(known.reading.files), known.reading.skipped, tuple(best), file, problem)
