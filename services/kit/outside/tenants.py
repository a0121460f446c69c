"""The tenant service of the running system (astron.md 6.5): who is this app, where does it come from, what is its key?

In comes an app's name; out goes what the service knows of it, after its two calls: the list for the source, the details for the name
and the first key pair. Signed as the original signs, where a key is configured. Used only where its addresses are configured.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import cast
from urllib.parse import urlsplit

from pydantic import JsonValue

from services.kit.clock import Clock
from services.kit.outside.outward import CallFailed, Outward, Sending
from services.kit.settings import Settings

_WHAT = "the tenant service"
_SIGNED = "host date request-line digest"


@dataclass(frozen=True, slots=True)
class Tenant:
    """What the service knows of an app. `source` is the service's word for where it comes from."""

    app: str
    name: str
    source: str
    key: str
    secret: str = field(repr=False)
    disabled: bool = False


class TenantService:
    """The service behind the two addresses of the settings."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._outward = Outward(settings)

    async def find(self, app: str) -> Tenant | None:
        """The app, None where the service has none of this name. Raises `CallFailed`."""
        listed = await self._first(self._settings.app_list_url, app)
        if listed is None:
            return None
        details = await self._first(self._settings.app_details_url, app) or {}
        pairs = details.get("auth_list")
        pair = pairs[0] if isinstance(pairs, list) and pairs and isinstance(pairs[0], dict) else {}
        key, secret = _text(pair, "api_key"), _text(pair, "api_secret")
        if not key or not secret:
            raise CallFailed(f"{_WHAT} told no key pair of the app", kind="no_pair")
        name = _text(details, "name") or app
        return Tenant(app, name, _text(listed, "source"), key, secret, listed.get("is_disable") is True)

    async def _first(self, url: str, app: str) -> dict[str, JsonValue] | None:
        sending = Sending(
            _WHAT, "GET", url, self._settings.app_lookup_s, headers=self._headers(url), query=(("app_ids", app),), trusted=True
        )
        answer = await self._outward.ask(sending)
        if not isinstance(answer, dict) or answer.get("code") != 0:
            raise CallFailed(f"{_WHAT} answered with an error", kind="code")
        data = answer.get("data") or []
        if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
            raise CallFailed(f"{_WHAT} answered with something else than a list of apps", kind="shape")
        found = cast("list[dict[str, JsonValue]]", data)
        return next((one for one in found if one.get("appid", app) == app), None)

    def _headers(self, url: str) -> dict[str, str]:
        key, secret = self._settings.app_lookup_key, self._settings.app_lookup_secret
        if not key or not secret:
            return {}
        parts = urlsplit(url)
        return signed(key, secret, parts.hostname or "", parts.path, formatdate(self._clock.now() / 1000, usegmt=True))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._outward.aclose()


def signed(key: str, secret: str, host: str, path: str, date: str) -> dict[str, str]:
    """The headers of a GET as the original signs them (HMAC-SHA256 over host, date, request line and the empty body's digest)."""
    digest = "SHA256=" + base64.b64encode(hashlib.sha256(b"").digest()).decode()
    text = f"host: {host}\ndate: {date}\nGET {path} HTTP/1.1\ndigest: {digest}"
    signature = base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()
    authorization = f'api_key="{key}", algorithm="hmac-sha256", headers="{_SIGNED}", signature="{signature}"'
    return {"Method": "GET", "Host": host, "Date": date, "Digest": digest, "Authorization": authorization}


def _text(found: dict[str, JsonValue], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""
