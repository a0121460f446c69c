"""Callers that sign instead of showing their secret (001, WebSocket): `signa` = base64(HMAC-SHA1(secret, MD5-hex(appid + ts))).

In come an app's name, a time and a signature; out goes the app, or None. Each signature opens one door once: what was
used is remembered by this process, so behind several api processes it could be used once at each.
"""

import base64
import hashlib
import hmac
from collections import OrderedDict

from projections import apps
from services.kit.errors import NotReady, SecretMissing
from services.kit.world import World

WINDOW_MS = 300_000
_REMEMBERED = 100_000
_MILLISECONDS = 100_000_000_000
"""A time above this is in milliseconds: as seconds it would be in the year 5138."""


def signature(secret: str, app: str, time: str) -> str:
    """What a caller sends as `signa`."""
    digest = hashlib.md5(f"{app}{time}".encode(), usedforsecurity=False).hexdigest()
    return base64.b64encode(hmac.digest(secret.encode(), digest.encode(), "sha1")).decode()


class Signatures:
    """Checks signatures, and remembers those that were used."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._used: OrderedDict[str, int] = OrderedDict()

    async def holder(self, app: str, time: str, signa: str) -> apps.App | None:
        """The app that signed. Raises `NotReady` where too many signatures are remembered."""
        now = self._world.clock.now()
        moment = _moment(time)
        if moment is None or abs(now - moment) > WINDOW_MS or not app:
            return None
        async with self._world.database.connect() as connection:
            known = await apps.find(connection, app)
            references = await apps.sealed(connection, app)
        for reference in references:
            expected = await self._expected(reference, app, time)
            if expected and hmac.compare_digest(expected.encode(), signa.encode(errors="replace")):
                return known if known is not None and known.enabled and self._first_use(f"{app}\0{expected}", now) else None
        return None

    async def _expected(self, reference: str, app: str, time: str) -> str:
        try:
            return signature(await self._world.secrets.resolve(app, reference), app, time)
        except SecretMissing:
            return ""

    def _first_use(self, used: str, now: int) -> bool:
        while self._used and next(iter(self._used.values())) <= now:
            self._used.popitem(last=False)
        if used in self._used:
            return False
        if len(self._used) >= _REMEMBERED:
            raise NotReady("too many signatures were used in the last minutes; try again")
        self._used[used] = now + 2 * WINDOW_MS
        return True


def _moment(time: str) -> int | None:
    """Milliseconds since 1970 of a time in seconds or milliseconds."""
    if not (time.isascii() and time.isdigit() and len(time) < 16):
        return None
    return int(time) if int(time) > _MILLISECONDS else int(time) * 1000
