"""Commands about providers of models, over HTTP: what `/v1/providers` offers, for people.

In come ids and terms; out go tables, in which keys are masked. A key is never an argument, which other people of the machine
could read: it comes from a file, from the environment, or from the terminal.
"""

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import App, Parameter

from services.cli.printing import console, show, table, waiting
from services.cli.remote import GROUP, Remote, asked
from services.kit.errors import Refused
from services.kit.program.exits import BROKE, FINE, guarded

_LARGEST = 8192


def _option(told: str, variable: str) -> Parameter:
    return Parameter(help=told, env_var=f"PROZESS_{variable}", negative=(), show_default=False)


_Id = Annotated[str, Parameter(help="The provider's id.")]
_ForAll = Annotated[bool, _option("The provider for all apps; by default the app's own.", "FOR_ALL")]
_OfApp = Annotated[str, _option("Whose provider; by default the key's own app. Others only for tenants.", "OF_APP")]
_Url = Annotated[str, _option("OpenAI address, such as https://host/v1.", "PROVIDER_URL")]
_KeyFile = Annotated[Path | None, _option("File with the provider's key; `-` reads standard input.", "PROVIDER_KEY_FILE")]
_KeyValue = Annotated[str, Parameter(show=False, name="--provider-key", env_var="PROZESS_PROVIDER_KEY")]
_Models = Annotated[
    tuple[str, ...], _option("A model there; give it again for more. The first is asked where none is named.", "PROVIDER_MODELS")
]
_Called = Annotated[str, _option("What people call it.", "PROVIDER_NAME")]


def register(app: App) -> None:
    """Add the commands."""
    own = App(name="provider", help="Providers of models: list, show, add, change, test, remove.", group=GROUP)
    for command, name in ((listing, "list"), (show_one, "show"), (add, "add"), (change, "change"), (try_out, "test"), (remove, "remove")):
        own.command(command, name=name)
    app.command(own)


def listing(*, of_app: _OfApp = "", remote: Remote | None = None) -> int:
    """Lists the providers that an app can name: its own, those for all, those of the environment."""
    return guarded(lambda: _listing(remote or Remote(), of_app))


def show_one(id_: _Id, /, *, for_all: _ForAll = False, of_app: _OfApp = "", remote: Remote | None = None) -> int:
    """Shows a provider, its key masked."""
    return guarded(lambda: _shown(remote or Remote(), _path(id_, of_app, for_all=for_all)))


def add(
    id_: _Id,
    /,
    *,
    provider_url: _Url,
    provider_key_file: _KeyFile = None,
    provider_key: _KeyValue = "",
    model: _Models = (),
    name: _Called = "",
    for_all: _ForAll = False,
    of_app: _OfApp = "",
    remote: Remote | None = None,
) -> int:
    """Makes a provider known. Its key comes from a file, from PROZESS_PROVIDER_KEY, or is asked for."""

    async def work() -> None:
        body: dict[str, Any] = {"id": id_, "url": provider_url, "name": name, "models": list(model), "scope": "all" if for_all else "app"}
        body["key"] = _key(provider_key_file, provider_key, ask=True)
        await asked(remote or Remote(), "POST", f"/v1/providers{_query(of_app)}", body)
        console().print(f"{id_} is there.")

    return guarded(work)


def change(
    id_: _Id,
    /,
    *,
    provider_url: _Url = "",
    provider_key_file: _KeyFile = None,
    provider_key: _KeyValue = "",
    ask_key: Annotated[bool, _option("Ask for a new key.", "ASK_KEY")] = False,
    model: _Models = (),
    name: _Called = "",
    for_all: _ForAll = False,
    of_app: _OfApp = "",
    remote: Remote | None = None,
) -> int:
    """Changes a provider; what is not given stays. The next call of a model asks the new address with the new key."""

    async def work() -> None:
        key = _key(provider_key_file, provider_key, ask=ask_key)
        given = {"url": provider_url, "name": name, "models": list(model), "key": key}
        body = {field: value for field, value in given.items() if value}
        if not body:
            raise Refused("say what should change: --provider-url, --model, --name, --provider-key-file or --ask-key.")
        await asked(remote or Remote(), "PATCH", _path(id_, of_app, for_all=for_all), body)
        console().print(f"{id_} is changed.")

    return guarded(work)


def try_out(
    id_: _Id,
    /,
    *,
    model: Annotated[str, _option("A model that is asked for one word.", "PROVIDER_MODEL")] = "",
    for_all: _ForAll = False,
    of_app: _OfApp = "",
    remote: Remote | None = None,
) -> int:
    """Asks a provider for its models, and a named model for a word. Exits 1 if it cannot be used."""
    answers: list[dict[str, Any]] = []

    async def work() -> None:
        with waiting("Asking the provider"):
            answers.append(await asked(remote or Remote(), "POST", _path(id_, of_app, "/test", for_all=for_all), {"model": model}))
        console().print(f"{answers[0]['said']} ({answers[0]['duration_ms']} ms)")

    return guarded(work) or (FINE if answers[0]["ok"] else BROKE)


def remove(id_: _Id, /, *, for_all: _ForAll = False, of_app: _OfApp = "", remote: Remote | None = None) -> int:
    """Removes a provider. Who names it is told that there is none."""

    async def work() -> None:
        await asked(remote or Remote(), "DELETE", _path(id_, of_app, for_all=for_all))
        console().print(f"{id_} is removed.")

    return guarded(work)


def _key(file: Path | None, given: str, *, ask: bool) -> str:
    """The provider's key. Raises `Refused`."""
    if file is not None:
        try:
            text = sys.stdin.read(_LARGEST + 1) if str(file) == "-" else file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as wrong:
            raise Refused(f"the key file {file} cannot be read ({type(wrong).__name__}).") from None
        return text.strip()
    if given or not ask or not sys.stdin.isatty():
        return given
    return getpass.getpass("Key of the provider (empty for none): ").strip()


def _query(of_app: str, *, for_all: bool | None = None) -> str:
    parts = [f"app={quote(of_app, safe='')}"] if of_app else []
    parts += ["scope=all"] if for_all else []
    return f"?{'&'.join(parts)}" if parts else ""


def _path(id_: str, of_app: str, more: str = "", *, for_all: bool) -> str:
    return f"/v1/providers/{quote(id_, safe='')}{more}{_query(of_app, for_all=for_all)}"


async def _listing(remote: Remote, of_app: str) -> None:
    found = (await asked(remote, "GET", f"/v1/providers{_query(of_app)}"))["providers"]
    lines = table("provider", "whose", "key", "models", "url")
    for one in found:
        lines.add_row(one["id"], one["scope"], one["key"] or "none", ", ".join(one["models"]), one.get("url", ""))
    show(lines)


async def _shown(remote: Remote, path: str) -> None:
    found: dict[str, Any] = await asked(remote, "GET", path)
    lines = table("", "", header=False)
    for name, value in found.items():
        lines.add_row(name, ", ".join(found["models"]) if name == "models" else str(value))
    show(lines)
