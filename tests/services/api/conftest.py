"""A whole house in one loop for the tests of the api: embedded log, processor, projector, and the api on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from events.app import Key
from events.commands import RegisterApp
from events.topics import app_stream
from services.api import app as api
from services.api.api import Api
from services.dev.asking import ask
from services.kit.ids import new_id
from services.kit.program.serving import listen, serve
from services.kit.secrets import passwords
from services.kit.settings import LOOPBACK
from services.kit.world import World
from services.processor import app as processor
from services.projector import app as projector
from tests.support.fixtures.model_server import model_server
from tests.support.worlds import embedded_world

__all__ = ["model_server"]
W = "/workflow/v1"
PING_S = 0.15
BODY_LIMIT = 64 * 1024


def bearer(app: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {app}-key:{app}-secret"}


@dataclass
class House:
    """A running service. `http` calls as the app `demo`, which is a tenant; `other` is an app that is none."""

    world: World
    api: Api
    http: httpx.AsyncClient

    async def good(self, path: str, body: Any, **more: Any) -> Any:
        answer = (await self.http.post(path, json=body, **more)).json()
        assert answer["code"] == 0, answer
        return answer.get("data")

    async def add(self, document: dict[str, Any], **more: Any) -> str:
        flow = await self.good(f"{W}/protocol/add", {"name": "a flow", "app_id": "demo", "status": 0, "data": document, **more})
        return str(flow["flow_id"])

    async def deploy(self, document: dict[str, Any], version: str = "") -> str:
        flow = await self.add(document)
        await self.good(f"{W}/publish", {"flow_id": flow, "release_status": 1, "plat": 1, "version": version})
        await self.good(f"{W}/auth", {"flow_id": flow, "app_id": "demo"})
        return flow

    def chat(self, flow: str, said: str = "bob", *, debug: bool = False, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """The request of a chat, to be used with `async with`."""
        body = {"flow_id": flow, "uid": "u-1", "parameters": {"AGENT_USER_INPUT": said}, **more}
        path = f"{W}/debug/chat/completions" if debug else f"{W}/chat/completions"
        return self.http.stream("POST", path, json=body, headers=headers)


async def serving(world: World) -> AsyncIterator[House]:
    """The api of a world, answering on a free port until the generator is closed."""
    app, stop = api.create_app(world), asyncio.Event()
    bound = listen("127.0.0.1", 0)
    port = bound.getsockname()[1]
    task = asyncio.create_task(serve(app, bound, stop, drain_s=2, frame_bytes=BODY_LIMIT))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=bearer("demo"), timeout=20, trust_env=False) as http:
            yield House(world, app.state.api, http)
    finally:
        await app.state.api.close()
        stop.set()
        await task


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[World]:
    """A world whose processor and projector run, with two apps in it."""
    async with embedded_world(
        folder, partitions=2, trusted_proxies=LOOPBACK, egress_networks=LOOPBACK, cors_origins=("*",), **settings
    ) as made:
        world = replace(made, settings=made.settings.model_copy(update={"ping_s": PING_S, "agent_ping_s": PING_S}))
        stop = asyncio.Event()
        tasks = [asyncio.create_task(program.run(world, stop)) for program in (projector, processor)]
        try:
            for name, tenant in (("demo", True), ("other", False)):
                secret = f"{name}-secret"
                sealed = await world.secrets.put(name, secret)
                key = Key(key=f"{name}-key", secret_hash=passwords.create(secret), secret_ref=sealed)
                app = RegisterApp(app=name, name=name, is_tenant=tenant, source=1, platform_rights=7, audit_policy=0, keys=(key,))
                await ask(world, app_stream(name), app, name, new_id())
            yield world
        finally:
            stop.set()
            await asyncio.gather(*tasks)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[House]:
    async with running(tmp_path_factory.mktemp("house"), max_body_bytes=BODY_LIMIT) as world:
        async for house in serving(world):
            yield house
