"""Commands about apps and their keys, over HTTP: what `/v1/apps` offers, for people.

In come names; out go tables, and a secret once, where it is made. The first app of a deployment, for which nobody has a key
yet, is registered through the log itself (`prozess app create --first`).
"""

import secrets
from typing import Annotated, Any, Literal, get_args
from urllib.parse import quote

from cyclopts import App, Parameter

from events.app import ALL_SCOPES, Key, Scope
from events.commands import RegisterApp
from events.topics import app_stream
from projections import apps
from services.cli.options import Everything, settings
from services.cli.printing import console, show, table, waiting
from services.cli.remote import GROUP, Remote, asked
from services.kit.errors import Refused
from services.kit.program.exits import guarded
from services.kit.secrets import passwords
from services.kit.settings import Settings

_PLATFORM, _PLATFORMS = 1, 7
_Name = Annotated[str, Parameter(help="The app's name.")]
_KeyName = Annotated[str, Parameter(help="The key's name, the part before the colon.")]
_Policy = Annotated[Literal["on", "off"], Parameter(help="on or off.")]


def register(app: App) -> None:
    """Add the commands."""
    of_apps = App(name="app", help="Apps: list, show, create, disable, enable, audit.", group=GROUP)
    of_keys = App(name="key", help="Keys of an app: create, rotate, disable.", group=GROUP)
    commands = ((listing, "list"), (show_app, "show"), (create, "create"), (disable, "disable"), (enable, "enable"), (audit, "audit"))
    for command, name in commands:
        of_apps.command(command, name=name)
    for command, name in ((create_key, "create"), (rotate_key, "rotate"), (disable_key, "disable")):
        of_keys.command(command, name=name)
    for one in (of_apps, of_keys):
        app.command(one)


def listing(*, remote: Remote | None = None) -> int:
    """Lists the apps that the key may see."""
    return guarded(lambda: _listing(remote or Remote()))


def show_app(name: _Name, /, *, remote: Remote | None = None) -> int:
    """Shows an app and its keys, without their secrets."""
    return guarded(lambda: _shown(remote or Remote(), name))


def create(
    name: _Name,
    /,
    *,
    tenant: Annotated[
        bool, Parameter(help="It may act for others, publish and bind.", env_var="PROZESS_TENANT", negative=(), show_default=False)
    ] = False,
    first: Annotated[
        bool,
        Parameter(help="Through the log, where nobody has a key yet.", env_var="PROZESS_FIRST", negative=(), show_default=False),
    ] = False,
    remote: Remote | None = None,
    options: Everything | None = None,
) -> int:
    """Makes an app with one key for everything, and prints the key this one time."""
    if first:
        return guarded(lambda: _first(settings(options), name, tenant=tenant))
    rights = _PLATFORMS if tenant else 0
    body = {"app": name, "is_tenant": tenant, "platform_rights": rights}
    return guarded(lambda: _told(remote or Remote(), "POST", "/v1/apps", body))


def disable(name: _Name, /, *, remote: Remote | None = None) -> int:
    """Disables an app: none of its keys opens anything from the next request on."""
    return guarded(lambda: _done(remote or Remote(), "PATCH", _path(name), {"enabled": False}, f"{name} is disabled."))


def enable(name: _Name, /, *, remote: Remote | None = None) -> int:
    """Enables an app again."""
    return guarded(lambda: _done(remote or Remote(), "PATCH", _path(name), {"enabled": True}, f"{name} is enabled."))


def audit(name: _Name, policy: _Policy, /, *, remote: Remote | None = None) -> int:
    """Has the words of an app's runs judged before people see them, from the next run on; or not."""
    body = {"audit_policy": int(policy == "on")}
    return guarded(lambda: _done(remote or Remote(), "PATCH", _path(name), body, f"The content audit of {name} is {policy}."))


def create_key(
    name: _Name,
    /,
    *,
    scope: Annotated[
        tuple[Scope, ...],
        Parameter(
            help=f"What the key is for: {', '.join(get_args(Scope))}; by default everything.", env_var="PROZESS_SCOPE", show_default=False
        ),
    ] = (),
    remote: Remote | None = None,
) -> int:
    """Makes one more key and prints it this one time."""
    return guarded(lambda: _told(remote or Remote(), "POST", _path(name, "keys"), {"scopes": scope or ALL_SCOPES}))


def rotate_key(name: _Name, key_name: _KeyName, /, *, remote: Remote | None = None) -> int:
    """Gives a key a new secret and prints it this one time; the old one opens nothing from the next request on."""
    return guarded(lambda: _told(remote or Remote(), "POST", _path(name, "keys", key_name, "rotate"), {}))


def disable_key(name: _Name, key_name: _KeyName, /, *, remote: Remote | None = None) -> int:
    """Makes a key useless for good."""
    return guarded(lambda: _done(remote or Remote(), "DELETE", _path(name, "keys", key_name), None, f"{key_name} is disabled."))


def _path(name: str, *more: str) -> str:
    return "/".join(("/v1/apps", *(quote(one, safe="") for one in (name, *more))))


async def _listing(remote: Remote) -> None:
    found = (await asked(remote, "GET", "/v1/apps"))["apps"]
    lines = table("app", "name", "tenant", "enabled")
    for one in found:
        lines.add_row(one["app"], one["name"], _said(one["is_tenant"]), _said(one["enabled"]))
    show(lines)


async def _shown(remote: Remote, name: str) -> None:
    found = await asked(remote, "GET", _path(name))
    lines = table("key", "scopes", "enabled")
    for key in found["keys"]:
        lines.add_row(key["key"], ", ".join(key["scopes"]), _said(key["enabled"]))
    states = {"tenant": found["is_tenant"], "enabled": found["enabled"], "audit": found["audit_policy"]}
    console().print(f"{found['app']} ({found['name']}), {', '.join(f'{name}: {_said(yes)}' for name, yes in states.items())}")
    show(lines)


async def _told(remote: Remote, method: str, path: str, body: dict[str, Any]) -> None:
    _print_key(await asked(remote, method, path, body))


async def _done(remote: Remote, method: str, path: str, body: dict[str, Any] | None, said: str) -> None:
    await asked(remote, method, path, body)
    console().print(said)


def _print_key(told: dict[str, Any]) -> None:
    console().print(f"{told['key']}:{told['secret']}")
    console(to_stderr=True).print("This is the only time that the secret is shown.")


async def _first(where: Settings, name: str, *, tenant: bool) -> None:
    from services.dev.asking import ask
    from services.kit.assemble import open_world
    from services.kit.ids import new_id

    key, secret = f"pk{secrets.token_hex(12)}", secrets.token_urlsafe(32)
    async with open_world(where) as world:
        async with world.database.connect() as connection:
            if any(app.is_tenant for app in await apps.listing(connection)):
                raise Refused("there is a tenant already; use its key instead of --first.")
        kept = Key(key=key, secret_hash=passwords.create(secret), secret_ref=await world.secrets.put(name, secret))
        wish = RegisterApp(
            app=name,
            name=name,
            is_tenant=tenant,
            source=_PLATFORM,
            platform_rights=_PLATFORMS if tenant else 0,
            audit_policy=0,
            keys=(kept,),
        )
        with waiting("Waiting for the processor and the projector"):
            await ask(world, app_stream(name), wish, name, new_id())
    _print_key({"key": key, "secret": secret})


def _said(yes: object) -> str:
    return "yes" if yes else "no"
