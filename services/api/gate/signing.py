"""Callers that sign instead of showing their secret (001, WebSocket): `signa` = base64(HMAC-SHA1(secret, MD5-hex(appid + ts))).

In come an app's name, a time and a signature; out goes the app, or None. Each signature opens one door once, whichever api
process is asked and however often processes are started anew: that it was used is an event of its app, decided by the
stream's owner. `until` it fits no more, and by then nobody needs to remember it.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from events.commands import UseSignature
from events.topics import app_stream, slot_of
from projections import apps
from services.api.answers.problems import Refusal
from services.api.asking.commander import Commander
from services.kit.errors import SecretMissing
from services.kit.world import World

WINDOW_MS = 300_000
_MILLISECONDS = 100_000_000_000
"""A time above this is in milliseconds: as seconds it would be in the year 5138."""
_USED = 460


@dataclass(frozen=True, slots=True)
class Signer:
    """An app that signed, and the reference to the secret that it signed with."""

    app: apps.App
    reference: str


def signature(secret: str, app: str, time: str) -> str:
    """What a caller sends as `signa`."""
    digest = hashlib.md5(f"{app}{time}".encode(), usedforsecurity=False).hexdigest()
    return base64.b64encode(hmac.digest(secret.encode(), digest.encode(), "sha1")).decode()


class Signatures:
    """Checks signatures, and puts on the record that they were used."""

    def __init__(self, world: World, commander: Commander) -> None:
        self._world = world
        self._commander = commander

    async def signer(self, app: str, time: str, signa: str) -> Signer | None:
        """The app that signed, None where nobody did or not for the first time.

        Raises `Refusal` (429) where too many signatures are remembered, `NotReady` where nobody decides in time.
        """
        moment = _moment(time)
        if moment is None or abs(self._world.clock.now() - moment) > WINDOW_MS or not app:
            return None
        async with self._world.database.connect() as connection:
            known = await apps.find(connection, app)
            references = await apps.sealed(connection, app)
        for reference in references:
            expected = await self._expected(reference, app, time)
            if expected and hmac.compare_digest(expected.encode(), signa.encode(errors="replace")):
                fits = known is not None and await self._first_use(app, expected, moment + 2 * WINDOW_MS)
                return Signer(known, reference) if known is not None and fits else None
        return None

    async def still(self, signer: Signer) -> bool:
        """Whether the app and the key that signed may still be used."""
        async with self._world.database.connect() as connection:
            return signer.reference in await apps.sealed(connection, signer.app.app)

    async def _expected(self, reference: str, app: str, time: str) -> str:
        try:
            return signature(await self._world.secrets.resolve(app, reference), app, time)
        except SecretMissing:
            return ""

    async def _first_use(self, app: str, signa: str, until: int) -> bool:
        stream = app_stream(app)
        command = UseSignature(app=app, signature=hashlib.sha256(signa.encode()).hexdigest(), until=until)
        try:
            await self._commander.submit(command, stream=stream, slot=slot_of(stream), app=app, actor=app)
        except Refusal as no:
            if no.code == _USED:
                return False
            raise Refusal(no.code, no.message, 429) from None
        return True


def _moment(time: str) -> int | None:
    """Milliseconds since 1970 of a time in seconds or milliseconds."""
    if not (time.isascii() and time.isdigit() and len(time) < 16):
        return None
    return int(time) if int(time) > _MILLISECONDS else int(time) * 1000
