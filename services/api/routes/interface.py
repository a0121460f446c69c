"""The interface's document as a page to try it, at /docs: everything it needs is served from here, nothing from another host."""

from importlib import resources

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from services.api.answers.problems import Missing

router = APIRouter(prefix="/docs", include_in_schema=False)
_ASSETS = resources.files("fastapi_offline") / "static"
_NAMES = frozenset({"swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"})
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page has one script of its own; no word of a caller is ever in it."""


@router.get("")
async def interface(request: Request) -> Response:
    """The page."""
    at = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{at}/openapi.json",
        title="Prozess",
        swagger_js_url=f"{at}/docs/assets/swagger-ui-bundle.js",
        swagger_css_url=f"{at}/docs/assets/swagger-ui.css",
        swagger_favicon_url=f"{at}/docs/assets/favicon.png",
    )
    page.headers["Content-Security-Policy"] = _POLICY
    return page


@router.get("/assets/{name}")
async def asset(name: str) -> Response:
    """A script, a style or an image of the page."""
    if name not in _NAMES:
        raise Missing("the page has no such part")
    with resources.as_file(_ASSETS / name) as path:
        return FileResponse(path, headers={"Cache-Control": "public, max-age=86400"})
