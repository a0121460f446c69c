"""Who calls: a key pair, or an app's name from a proxy that is trusted.

In come a request's headers and the address it came from; out goes the caller's app, or the surface's refusal. A name
from anywhere else is as good as none.
"""

import asyncio
import hashlib
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from events.app import ALL_SCOPES
from projections import apps
from services.api.answers.problems import Refusal, path_of
from services.api.gate.known_apps import KnownApps
from services.api.gate.limits import Limits
from services.api.gate.scopes import scope_of
from services.api.gate.surfaces import SPEAK_HTTP, surface_of
from services.kit.secrets import passwords
from services.kit.telling.metrics import Tally
from services.kit.world import World

HEADER = "x-consumer-username"
_SPELLINGS = (HEADER, "x_consumer_username")
_LONGEST = 128
_REMEMBERED = 10_000
_AT_ONCE = 2
_MISSING = f"Parameter: header->{HEADER}, Error: Field required (missing)"
_WRONG_KEY = "Authorization: the key or the secret is wrong; expected Bearer key:secret"


@dataclass(frozen=True, slots=True)
class Caller:
    """The app that calls. `known` is None for a name that a trusted proxy gave and nobody registered."""

    app: str
    known: apps.App | None
    scopes: frozenset[str] = frozenset(ALL_SCOPES)


TICKET = "prozess.ticket"
"""Where in a request's scope its ticket is."""


class Identity:
    """Checks callers. Verified pairs are remembered by a digest, so that the slow hash runs once a pair, not once a request."""

    def __init__(self, world: World, limits: Limits, known_apps: KnownApps) -> None:
        self._world = world
        self._limits = limits
        self._apps = known_apps
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in world.settings.trusted_proxies]
        self._verified: OrderedDict[bytes, None] = OrderedDict()
        self._tally = world.metrics.caches.watch("keys", Tally(lambda: len(self._verified)))
        self._hashing = asyncio.Semaphore(_AT_ONCE)

    async def caller(self, request: HTTPConnection) -> Caller:
        """The caller. Raises `Refusal`: 460 for nobody, 401 for a wrong key, 403 for one that is for something else, 429 over a limit."""
        found = await self._known(request)
        self._limits.of_app(found.app, request.scope.get(TICKET))
        return found

    async def _known(self, request: HTTPConnection) -> Caller:
        path = path_of(request)
        named = self._named(request)
        pairs = request.headers.getlist("authorization")
        if len(pairs) > 1:
            raise Refusal(20000, "Authorization: the header came more than once", 401, {"WWW-Authenticate": "Bearer"})
        if pairs:
            (pair,) = pairs
            holder = await self._holder(pair)
            if holder is None:
                raise Refusal(20000, _WRONG_KEY, 401, {"WWW-Authenticate": "Bearer"})
            if named and named != holder.app.app:
                raise Refusal(20000, f"Authorization and {HEADER} must name the same app", 401, {"WWW-Authenticate": "Bearer"})
            needed = scope_of(request.scope.get("method", ""), request.scope["route"].path)
            if needed not in holder.scopes:
                raise Refusal(20003, f"Authorization: the key is not for `{needed}`, only for {', '.join(sorted(holder.scopes))}", 403)
            await self._apps.checked(holder.app.app, holder.app)
            return Caller(holder.app.app, holder.app, holder.scopes)
        native = surface_of(path) in SPEAK_HTTP
        if not named:
            if native:
                raise Refusal(20000, "Authorization: Bearer key:secret is needed", 401, {"WWW-Authenticate": "Bearer"})
            raise Refusal(460, _MISSING)
        known = await self._apps.find(named)
        if native and known is None:
            raise Refusal(20000, f"{HEADER}: there is no such app", 401)
        if known is not None and not known.enabled:
            raise Refusal(20001, f"{HEADER}: the app is disabled")
        return Caller(named, known)

    async def visitor(self, request: HTTPConnection, *, again: bool = False) -> Caller:
        """The caller, or the app for which callers on this machine act who name none. For the wiki's doors only. Raises as `caller`.

        Whoever came through a proxy is not on this machine. `again` asks a second time about one connection, which counts as one.
        """
        app = self._world.settings.anonymous_app
        nameless = not any(name in request.headers for name in ("authorization", *_SPELLINGS, "forwarded", "x-forwarded-for"))
        if not app or not nameless or not _is_loopback(request):
            return await (self._known(request) if again else self.caller(request))
        async with self._world.database.connect() as connection:
            known = await apps.find(connection, app)
        if known is None or not known.enabled:
            raise Refusal(20000, "anonymous_app: there is no such app, or it is disabled", 401)
        return Caller(app, known)

    def scheme(self, request: HTTPConnection) -> str:
        """`http` or `https`, as the caller called; a trusted proxy says which it was."""
        said = request.headers.get("x-forwarded-proto", "").lower()
        return said if said in {"http", "https"} and self._is_trusted(request) else request.url.scheme

    def _named(self, request: HTTPConnection) -> str:
        """The name in the header, if whoever sent it is trusted."""
        found = {value for spelling in _SPELLINGS for value in request.headers.getlist(spelling) if value}
        if not found or not self._is_trusted(request):
            return ""
        if len(found) > 1:
            raise Refusal(460, f"Parameter: header->{HEADER}, Error: the header names different apps (contradiction)")
        (name,) = found
        if len(name) > _LONGEST:
            raise Refusal(460, f"Parameter: header->{HEADER}, Error: String should have at most {_LONGEST} characters (string_too_long)")
        return name

    def _is_trusted(self, request: HTTPConnection) -> bool:
        try:
            address = ipaddress.ip_address(request.client.host if request.client else "")
        except ValueError:
            return False
        return any(address in network for network in self._trusted)

    async def _holder(self, authorization: str) -> apps.KeyHolder | None:
        """The holder of `key:secret`, or of the token `key.secret`."""
        scheme, _, pair = authorization.partition(" ")
        key, colon, secret = pair.strip().partition(":" if ":" in pair else ".")
        if scheme.lower() != "bearer" or not (key and colon and secret):
            return None
        holders = await self._world.database.ask(lambda rows: apps.holders_of(rows, key), "key", key)
        for holder in holders:
            if await self._fits(secret, holder.secret_hash):
                return holder
        return None

    async def _fits(self, secret: str, secret_hash: str) -> bool:
        digest = hashlib.sha256(f"{secret_hash}\0{secret}".encode()).digest()
        if digest in self._verified:
            self._tally.hits += 1
            self._verified.move_to_end(digest)
            return True
        self._tally.misses += 1
        async with self._hashing:
            fits = await asyncio.to_thread(passwords.verify, secret, secret_hash)
        if fits:
            self._verified[digest] = None
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)
        return fits


def _is_loopback(request: HTTPConnection) -> bool:
    try:
        return ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False
