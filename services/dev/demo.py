"""The demo: an app and a flow that are there when `prozess dev` starts, made by commands as everybody's are.

In comes a world whose processor and projector run; out goes an app `demo` and a published flow it may run. Ids of the
commands are fixed, so a folder gets them once, however often it is started. A flow that somebody has changed or removed
stays as it is; only the model follows the environment.
"""

from dataclasses import dataclass

from pydantic import JsonValue

from events.app import Key
from events.commands import BindFlow, DraftFlow, PublishFlow, RegisterApp, ReviseFlow
from events.envelope import Command
from events.flow import Document
from events.topics import app_stream, flow_stream
from projections import apps, flows
from services.core.language.definition import digest
from services.dev.asking import ask
from services.kit.errors import Refused
from services.kit.ids import new_id
from services.kit.secrets import passwords
from services.kit.settings import Settings
from services.kit.world import World

APP, KEY, SECRET = "demo", "demo-key", "demo-secret"
FLOW = "7381975040002073601"
"""Minted once in slot 2025, and the same on every machine."""
CHAT = "demo-chat"
OFFLINE = "offline-demo"
_ALL_PLATFORMS = 7
_PLATFORM, _PUBLISH = 1, 1
_START, _MODEL, _END = "node-start::demo-1", "spark-llm::demo-2", "node-end::demo-3"


def model_for(settings: Settings) -> str:
    """The model of the demo flow: the offline one, unless there is an account."""
    return settings.openai_model if settings.openai_base_url or settings.openai_api_key else OFFLINE


def document(model: str) -> Document:
    """The demo flow: what was asked goes to the model, what the model writes goes out as it comes."""
    asked, answer = _given(_START, "AGENT_USER_INPUT"), _given(_MODEL, "output")
    params: dict[str, JsonValue] = {"model": model, "domain": model, "appId": "", "apiKey": "", "apiSecret": "", "source": "openai"}
    return {
        "id": FLOW,
        "name": "Demo",
        "description": "Asks a model and streams its answer.",
        "version": "v3.0.0",
        "data": {
            "nodes": [
                _node(_START, "Start", [], [_output("AGENT_USER_INPUT", required=True)], {}),
                _node(_MODEL, "Model", [_input("question", asked)], [_output("output")], {**params, "template": "{{question}}"}),
                _node(_END, "End", [_input("answer", answer)], [], {"outputMode": 1, "template": "{{answer}}", "streamOutput": True}),
            ],
            "edges": [_edge(_START, _MODEL), _edge(_MODEL, _END)],
        },
    }


async def settle(world: World) -> str:
    """Make sure that app and flow are there; what is in the way of starting the flow, "" for nothing. Raises `NotReady`."""
    wanted = document(model_for(world.settings))
    try:
        app, *others = wishes(wanted, await world.secrets.put(APP, SECRET))
        for wish in (app, *others):
            if not await _is_there(world, wish):
                await ask(world, wish.stream, wish.command, APP, wish.id)
        if not await _can_sign(world):
            await ask(world, app.stream, app.command, APP, new_id())
        for wish in await _renewal(world, wanted):
            await ask(world, wish.stream, wish.command, APP, wish.id)
    except Refused as no:
        return str(no)
    async with world.database.connect() as connection:
        start = await flows.resolve_start(connection, FLOW, "", APP, "open")
    return "" if isinstance(start, flows.Release) else "it was taken off or removed"


@dataclass(frozen=True)
class Wish:
    """A command with a fixed id, and the stream that decides about it."""

    id: str
    stream: str
    command: Command


def wishes(wanted: Document, secret_ref: str | None = None) -> list[Wish]:
    """What makes the demo, in order; each is skipped where the rows have it already."""
    key = Key(key=KEY, secret_hash=passwords.create(SECRET), secret_ref=secret_ref)
    app = RegisterApp(app=APP, name="Demo", is_tenant=True, source=_PLATFORM, platform_rights=_ALL_PLATFORMS, audit_policy=0, keys=(key,))
    draft = DraftFlow(
        flow=FLOW,
        app=APP,
        name="Demo",
        description="Asks a model and streams its answer.",
        status=0,
        source=_PLATFORM,
        definition=digest(wanted),
        document=wanted,
    )
    publish = PublishFlow(flow=FLOW, operation=_PUBLISH, platform=_PLATFORM)
    return [
        Wish("demo-app", app_stream(APP), app),
        Wish("demo-flow-draft", flow_stream(FLOW), draft),
        Wish("demo-flow-publish", flow_stream(FLOW), publish),
        Wish("demo-flow-bind", flow_stream(FLOW), BindFlow(flow=FLOW, app=APP)),
    ]


async def _is_there(world: World, wish: Wish) -> bool:
    async with world.database.connect() as connection:
        match wish.command:
            case RegisterApp():
                return await apps.find(connection, APP) is not None
            case DraftFlow():
                return await flows.find(connection, FLOW) is not None
            case PublishFlow():
                return await flows.released(connection, FLOW) is not None
            case _:
                return await flows.bound(connection, FLOW, APP) is not None


async def _can_sign(world: World) -> bool:
    """Whether the key's secret was kept sealed; folders of earlier versions have only its hash."""
    async with world.database.connect() as connection:
        return bool(await apps.sealed(connection, APP)) or not await apps.holders(connection, KEY)


async def _renewal(world: World, wanted: Document) -> list[Wish]:
    """What makes the flow use the model of today's environment, if the flow is still ours but for the model."""
    async with world.database.connect() as connection:
        release = await flows.released(connection, FLOW)
        served = None if release is None else await flows.definition(connection, release.definition)
    if served is None or served == wanted or served != document(_model_of(served)):
        return []
    revise = ReviseFlow(flow=FLOW, definition=digest(wanted), document=wanted)
    publish = PublishFlow(flow=FLOW, operation=_PUBLISH, platform=_PLATFORM)
    return [Wish(new_id(), flow_stream(FLOW), command) for command in (revise, publish)]


def _model_of(served: Document) -> str:
    match served:
        case {"data": {"nodes": [_, {"data": {"nodeParam": {"model": str(model)}}}, *_]}}:
            return model
        case _:
            return ""


def _given(node: str, name: str) -> JsonValue:
    return {"type": "ref", "content": {"nodeId": node, "name": name}}


def _input(name: str, value: JsonValue) -> JsonValue:
    return {"id": f"in-{name}", "name": name, "schema": {"type": "string", "value": value}}


def _output(name: str, *, required: bool = False) -> JsonValue:
    return {"id": f"out-{name}", "name": name, "required": required, "schema": {"type": "string", "default": ""}}


def _node(id_: str, alias: str, inputs: list[JsonValue], outputs: list[JsonValue], params: dict[str, JsonValue]) -> JsonValue:
    meta: JsonValue = {"nodeType": alias, "aliasName": alias}
    return {"id": id_, "data": {"nodeMeta": meta, "inputs": inputs, "outputs": outputs, "nodeParam": params}}


def _edge(source: str, target: str) -> JsonValue:
    return {"sourceNodeId": source, "targetNodeId": target, "sourceHandle": ""}
