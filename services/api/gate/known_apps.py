"""Which apps there are: those of the rows, and where a tenant service is configured, those that only it knows (astron.md 6.5).

In comes a name; out goes the app, or None, or a refusal that says why the service's app cannot be used. What the service tells is put
on the record as everything else is, with its origin, and asked anew when it is older than `app_lookup_ttl_s`: an app that is disabled
or gone there opens nothing here. If the service does not answer, what is on the record stands, and who is not on it stays outside.
"""

import asyncio
import re
from collections import OrderedDict
from dataclasses import dataclass

from events.app import Key
from events.commands import RegisterApp
from events.topics import app_stream, slot_of
from projections import apps
from services.api.answers.problems import Refusal
from services.api.asking.commander import Commander
from services.api.gate.limits import SOON_S, TOO_MANY, over
from services.kit.outside.outward import CallFailed
from services.kit.outside.tenants import Tenant, TenantService
from services.kit.secrets import passwords
from services.kit.telling import logs
from services.kit.world import World

ORIGIN = "tenant service"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REMEMBERED = 10_000
_AT_ONCE = 10
_WAITING = 1_000
"""So many apps may be asked about at the same time, those that wait for their turn included."""
_AGAIN_MS = 10_000
"""After so long the service is asked again about an app that it did not know, or did not tell of."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the service said, and until when (ms since 1970) it is believed. `no` is a code and its words."""

    until: int
    no: tuple[int, str] | None = None


class KnownApps:
    """The apps that may be named."""

    def __init__(self, world: World, commander: Commander) -> None:
        self._world = world
        self._commander = commander
        self._service = TenantService(world.settings, world.clock) if world.settings.app_list_url else None
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._asking: dict[str, asyncio.Task[_Answer]] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def find(self, name: str) -> apps.App | None:
        """The app. Raises `Refusal`: 20001 for one that the service does not tell of, 20002 for a source that is not ours, 20903."""
        return await self.checked(name, await self._row(name))

    async def checked(self, name: str, known: apps.App | None) -> apps.App | None:
        """The same for an app as the rows know it. One that did not come from the service stays as it is. Raises `Refusal`."""
        if self._service is None or (known is not None and known.origin != ORIGIN) or not _NAME.fullmatch(name):
            return known
        answer = self._answers.get(name)
        if answer is not None and answer.until > self._world.clock.now():
            self._answers.move_to_end(name)
        else:
            asking = self._asking.get(name)
            if asking is None:
                if len(self._asking) >= _WAITING:
                    words = "too many apps are asked about at the tenant service"
                    raise over(self._world.metrics, "app_lookups", TOO_MANY, words, SOON_S)
                asking = self._asking[name] = asyncio.create_task(self._asked(self._service, name, known))
                asking.add_done_callback(lambda _: self._asking.pop(name, None))
            answer = await asyncio.shield(asking)
            known = await self._row(name)
        if answer.no is not None:
            raise Refusal(*answer.no)
        return known

    async def aclose(self) -> None:
        """Close every connection."""
        if self._service is not None:
            await self._service.aclose()

    async def _row(self, name: str) -> apps.App | None:
        async with self._world.database.connect() as connection:
            return await apps.find(connection, name)

    async def _asked(self, service: TenantService, name: str, known: apps.App | None) -> _Answer:
        answer = await self._answered(service, name, known)
        self._answers[name] = answer
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return answer

    async def _answered(self, service: TenantService, name: str, known: apps.App | None) -> _Answer:
        settings, count = self._world.settings, self._world.metrics.app_lookups
        try:
            async with self._at_once:
                found = await service.find(name)
        except CallFailed as failed:
            count.labels("failed").inc()
            logs.logger(__name__).warning("the tenant service told nothing of an app", kind=failed.kind, known=known is not None)
            return self._until(_AGAIN_MS, None if known is not None else (20001, f"app_id: {failed.message}"))
        if found is None or found.disabled:
            count.labels("unknown").inc()
            said = "knows no such app" if found is None else "says that the app is disabled"
            return self._until(_AGAIN_MS, (20001, f"app_id: the tenant service {said}"))
        source = settings.app_sources.get(found.source)
        if source is None:
            count.labels("unknown").inc()
            return self._until(_AGAIN_MS, (20002, "app_id: the app comes from a source that is not set up here (app_sources)"))
        count.labels("found").inc()
        await self._register(found, source, known)
        return self._until(int(settings.app_lookup_ttl_s * 1000))

    async def _register(self, found: Tenant, source: int, known: apps.App | None) -> None:
        """Put on the record what the service told, if it is news."""
        reference = await self._world.secrets.put(found.app, found.secret)
        async with self._world.database.connect() as connection:
            same = reference in await apps.sealed(connection, found.app)
        if known is not None and same and (known.name, known.source) == (found.name, source):
            return
        secret_hash = await asyncio.to_thread(passwords.create, found.secret)
        wish = RegisterApp(
            app=found.app,
            name=found.name,
            is_tenant=False,
            source=source,
            platform_rights=0,
            audit_policy=0,
            keys=(Key(key=found.key, secret_hash=secret_hash, secret_ref=reference),),
            origin=ORIGIN,
        )
        stream = app_stream(found.app)
        try:
            await self._commander.change(wish, stream=stream, slot=slot_of(stream), app=found.app, actor=ORIGIN)
        except Refusal as no:
            logs.logger(__name__).info("an app of the tenant service is one of ours meanwhile", code=no.code)

    def _until(self, milliseconds: int, no: tuple[int, str] | None = None) -> _Answer:
        return _Answer(self._world.clock.now() + milliseconds, no)
