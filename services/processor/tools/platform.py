"""The tool platform of the original: tools that live in another service (astron.md 4.9.12).

`PLUGIN_GET_URL` gives their OpenAPI documents, `PLUGIN_RUN_URL` runs an operation; the parts of its request travel as
JSON in base64. Both addresses are the operator's.
"""

import base64
import json
from typing import Any, cast

from pydantic import JsonValue

from services.core.language.values import read
from services.kit.outside.openapi import Operation, operations
from services.kit.outside.outward import CallFailed, Outward, Sending
from services.kit.settings import Settings
from services.processor.tools.arguments import Sent, sent
from services.processor.tools.port import Ready

_WHAT = "the tool platform"
DEFAULT_VERSION = "V1.0"


class Platform:
    """Tools of the platform, where the settings name one."""

    def __init__(self, settings: Settings, outward: Outward) -> None:
        self._get, self._run = settings.plugin_get_url, settings.plugin_run_url
        self._outward = outward

    @property
    def is_there(self) -> bool:
        """Whether both addresses are set."""
        return bool(self._get and self._run)

    async def operations(self, app: str, tool: str, version: str, seconds: float) -> dict[str, Operation]:
        """What a tool can do. Raises `CallFailed`."""
        query = (("tool_ids", tool), ("versions", version or DEFAULT_VERSION), ("app_id", app))
        answer = cast("Any", await self._outward.ask(Sending(_WHAT, "GET", self._get, seconds, query=query, trusted=True)))
        try:
            if answer["code"] != 0:
                raise CallFailed(f"{_WHAT} refused the tool {tool} with the code {int(answer['code'])}", kind="platform")
            documents = [json.loads(one["schema"]) for one in answer["data"]["tools"] if str(one.get("id")) == tool]
            return operations(documents[0])
        except (LookupError, TypeError, ValueError):
            raise CallFailed(f"{_WHAT} has no tool {tool} that can be read", kind="platform") from None

    async def ready(
        self, app: str, tool: str, wanted: str, version: str, values: dict[str, JsonValue], business: dict[str, JsonValue], seconds: float
    ) -> Ready:
        """The call. Raises `CallFailed`."""
        found = await self.operations(app, tool, version, seconds)
        operation = found.get(wanted)
        if operation is None:
            known = ", ".join(sorted(found)[:10])
            raise CallFailed(f"the tool {tool} has no operation {wanted[:100]}; it has {known}", kind="operation")
        message = _message(sent(operation, values, business))
        body: JsonValue = {
            "header": {"app_id": app},
            "parameter": {"tool_id": tool, "operation_id": wanted, "version": version or DEFAULT_VERSION},
            "payload": {"message": message},
        }
        attributes: dict[str, JsonValue] = {"prozess.tool.operation": wanted, "prozess.tool.version": version or DEFAULT_VERSION}

        async def run() -> JsonValue:
            sending = Sending(_WHAT, "POST", self._run, seconds, json=body, trusted=True)
            return _result(cast("Any", await self._outward.ask(sending)), tool)

        return Ready("platform", tool, body, attributes, run)


def _message(parts: Sent) -> dict[str, JsonValue]:
    named: dict[str, JsonValue] = {"header": parts.header, "query": parts.query, "path": parts.path, "body": parts.body}
    return {name: base64.b64encode(json.dumps(value).encode()).decode() for name, value in named.items() if value}


def _result(answer: Any, tool: str) -> JsonValue:
    try:
        code, text = int(answer["header"]["code"]), answer["payload"]["text"]["text"] if answer["header"]["code"] == 0 else ""
    except (LookupError, TypeError, ValueError):
        raise CallFailed(f"{_WHAT} answered in a form that is not its own", kind="platform") from None
    if code:
        raise CallFailed(f"the tool {tool} failed with the platform's code {code}", kind=str(code))
    try:
        return read(text)
    except ValueError:
        return str(text)
