"""The pages about the doors, as text: what each takes and gives, with samples that the tests run."""

from importlib import resources

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from services.api.answers.errors import TABLE, Entry
from services.api.answers.problems import Missing
from services.api.api import TheApi
from services.kit import settings_table
from services.kit.telling import metrics_table

router = APIRouter(prefix="/docs", tags=["doors"])
_PAGES = resources.files("services.api") / "docs"


@router.get("/doors")
async def pages() -> Response:
    """The names of the pages."""
    names = sorted(page.name.removesuffix(".md") for page in _PAGES.iterdir() if page.name.endswith(".md"))
    return PlainTextResponse("".join(f"/docs/doors/{name}\n" for name in names))


@router.get("/doors/{name}")
async def page(name: str) -> Response:
    """One page, in Markdown."""
    found = _PAGES / f"{name}.md"
    if not name.isidentifier() or not found.is_file():
        raise Missing("there is no such page; /docs/doors lists them")
    return PlainTextResponse(found.read_text(encoding="utf-8"), media_type="text/markdown; charset=utf-8")


@router.get("/errors")
async def errors() -> Response:
    """The table of errors as a page, in Markdown."""
    head = "# Errors\n\n| code | symbol | in the documents | HTTP | what it says | what to do |\n|---|---|---|---|---|---|\n"
    rows = "".join(_row(entry) for entry in TABLE.values())
    return PlainTextResponse(head + rows, media_type="text/markdown; charset=utf-8")


@router.get("/settings")
async def settings() -> Response:
    """All settings as a page, in Markdown."""
    return PlainTextResponse(settings_table.page(), media_type="text/markdown; charset=utf-8")


@router.get("/metrics")
async def metrics(api: TheApi) -> Response:
    """All metrics as a page, in Markdown."""
    return PlainTextResponse(metrics_table.page(api.world.metrics), media_type="text/markdown; charset=utf-8")


def _row(entry: Entry) -> str:
    documents = ", ".join(f"{document}: {code}" for document, code in entry.documents.items())
    return f"| {entry.code} | {entry.symbol} | {documents} | {entry.status} | {entry.message} | {entry.advice} |\n"
