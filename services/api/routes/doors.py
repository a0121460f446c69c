"""The pages about the doors, as text: what each takes and gives, with samples that the tests run."""

from importlib import resources

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from services.api.problems import Missing

router = APIRouter(prefix="/docs/doors", tags=["doors"])
_PAGES = resources.files("services.api") / "docs"


@router.get("")
async def pages() -> Response:
    """The names of the pages."""
    names = sorted(page.name.removesuffix(".md") for page in _PAGES.iterdir() if page.name.endswith(".md"))
    return PlainTextResponse("".join(f"/docs/doors/{name}\n" for name in names))


@router.get("/{name}")
async def page(name: str) -> Response:
    """One page, in Markdown."""
    found = _PAGES / f"{name}.md"
    if not name.isidentifier() or not found.is_file():
        raise Missing("there is no such page; /docs/doors lists them")
    return PlainTextResponse(found.read_text(encoding="utf-8"), media_type="text/markdown; charset=utf-8")
