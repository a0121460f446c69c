"""Files handed in and read again (astron.md 1.11).

In come multipart bodies, spooled to disk; out go links that end. Every file is checked before it is stored, stored before it
is put on record, and on record before its link is told.
"""

import asyncio
import hashlib
from typing import BinaryIO

from fastapi import APIRouter, Request, UploadFile
from starlette.responses import Response, StreamingResponse

from events.commands import StoreFile
from events.envelope import Words
from events.topics import file_stream, slot_of
from services.api.answers.envelopes import success
from services.api.answers.problems import Refusal
from services.api.api import Api, KnownCaller, TheApi
from services.api.asking.subjects import subject_of
from services.api.documents import file_types
from services.api.gate.identity import Caller
from services.kit.errors import Unreachable
from services.kit.ids import new_id

router = APIRouter(tags=["files"])
_BAD_FILE, _NOT_STORED = 23601, 23604
_PIECE = 1024 * 1024


@router.post("/workflow/v1/upload_file")
async def upload(request: Request, file: UploadFile, api: TheApi, caller: KnownCaller) -> Response:
    """Hand one file in."""
    return success({"url": _link(request, api, await _taken(api, caller, file))})


@router.post("/workflow/v1/upload_files")
async def upload_several(request: Request, files: list[UploadFile], api: TheApi, caller: KnownCaller) -> Response:
    """Hand several files in. The first that cannot be taken ends it; all are checked before any is stored."""
    most = api.world.settings.files_at_once
    if len(files) > most:
        raise Refusal(_BAD_FILE, f"files: at most {most} at once")
    for file in files:
        await _checked(api, file)
    keys = [await _taken(api, caller, file) for file in files]
    return success({"urls": [_link(request, api, key) for key in keys]})


@router.get("/files/{token}/{name}")
async def read(token: str, name: str, api: TheApi) -> Response:
    """A file by its link, which is its own permission. 404 for a link that ended."""
    found = await api.world.files.get(api.world.files.key_of(token, name))
    extension = name.rpartition(".")[2]
    headers = {
        "Content-Length": str(found.size),
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private",
    }
    return StreamingResponse(found.pieces, headers=headers, media_type=file_types.TYPES.get(extension, "application/octet-stream"))


async def _checked(api: Api, file: UploadFile) -> str:
    settings = api.world.settings
    extension = file_types.extension_of(file.filename or "", settings.file_types)
    if (file.size or 0) > settings.file_max_bytes:
        raise Refusal(_BAD_FILE, f"file: at most {settings.file_max_bytes} bytes are taken")
    await file.seek(0)
    file_types.check(extension, await file.read(file_types.HEAD_BYTES))
    return extension


async def _taken(api: Api, caller: Caller, file: UploadFile) -> str:
    """The key under which the file is stored and on record."""
    key = f"{subject_of(caller.app)}/{new_id()}.{await _checked(api, file)}"
    digest = await asyncio.to_thread(_digest, file.file)
    try:
        await api.world.files.put(key, file.file)
    except Unreachable:
        raise Refusal(_NOT_STORED, "file: the store of files did not take it; try again") from None
    await _recorded(api, caller, file, key, digest)
    return key


async def _recorded(api: Api, caller: Caller, file: UploadFile, key: str, digest: str) -> None:
    id_ = new_id()
    stream = file_stream(id_)
    name = Words(subject=subject_of(caller.app, run=id_), words=(file.filename or "")[:255])
    wish = StoreFile(file=id_, key=key, app=caller.app, name=name, size=file.size or 0, digest=digest)
    await api.commander.change(wish, stream=stream, slot=slot_of(stream), app=caller.app, actor=caller.app)


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()


def _link(request: Request, api: Api, key: str) -> str:
    base = api.world.settings.public_url or str(request.base_url.replace(scheme=api.identity.scheme(request)))
    return base.rstrip("/") + api.world.files.link(key)
