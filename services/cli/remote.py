"""Asking a running api from the command line: where it is, as whom, and its words where it says no."""

from dataclasses import dataclass
from typing import Annotated, Any

import httpx
from cyclopts import Group, Parameter

from services.kit.errors import Refused

GROUP = Group("Apps and keys", sort_key=5)
_PATIENCE_S = 30.0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Remote:
    """Which api is asked, and as whom."""

    url: Annotated[str, Parameter(help="Address of an api.", env_var="PROZESS_URL")] = "http://127.0.0.1:8080"
    key: Annotated[str, Parameter(help="`key:secret` or a token with the scope admin.", env_var="PROZESS_KEY", show_default=False)] = ""


async def asked(remote: Remote, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the api answers. Raises `Refused` with its words."""
    if not remote.key:
        raise Refused("say as whom: --key key:secret, or PROZESS_KEY.")
    headers = {"Authorization": f"Bearer {remote.key}"}
    try:
        async with httpx.AsyncClient(base_url=remote.url, headers=headers, timeout=_PATIENCE_S) as client:
            answer = await client.request(method, path, json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as wrong:
        raise Refused(f"{remote.url} does not answer ({type(wrong).__name__}); is the api running there?") from None
    try:
        said: dict[str, Any] = answer.json()
    except ValueError:
        said = {}
    if answer.is_error:
        raise Refused(f"{said.get('detail', 'the api refused')} (HTTP {answer.status_code})")
    return said
