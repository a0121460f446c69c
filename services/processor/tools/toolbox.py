"""Everything that nodes and agents may use beside models, in one place: looked up, called, bounded.

In come ids of an app's tools and values; out go calls that are ready to go out. Failures are `CallFailed`.
"""

from pydantic import JsonValue

from services.kit.database import Database
from services.kit.outside.databases import Databases
from services.kit.outside.outward import CallFailed, Outward
from services.kit.secrets.port import Secrets
from services.kit.settings import Settings
from services.processor.tools import http
from services.processor.tools.mcp import McpTools
from services.processor.tools.platform import Platform
from services.processor.tools.port import Ready
from services.processor.tools.register import Register

Values = dict[str, JsonValue]


class Toolbox:
    """The tools of one program."""

    def __init__(self, settings: Settings, database: Database, secrets: Secrets) -> None:
        self.outward = Outward(settings)
        self.register = Register(database, secrets)
        self.platform = Platform(settings, self.outward)
        self.mcp = McpTools(self.outward, self.register)
        self.databases = Databases(self.outward.egress, settings.sqlite_root)

    async def plugin(
        self,
        app: str,
        tool: str,
        operation: str,
        version: str,
        values: dict[str, JsonValue],
        business: dict[str, JsonValue],
        seconds: float,
    ) -> Ready:
        """A call of an HTTP tool: of the app's register, else of the platform. Raises `CallFailed`."""
        found = await self.register.find(app, tool, "openapi", version)
        if found is not None:
            one = http.operation_of(found, operation)
            return await http.ready(self.outward, self.register, found, one, values, business, seconds)
        if self.platform.is_there:
            return await self.platform.ready(app, tool, operation, version, values, business, seconds)
        versions = await self.register.versions(app, tool)
        if versions:
            raise CallFailed(f"the tool {tool[:100]} has no version {version[:64]}; it has {', '.join(versions[:10])}", kind="version")
        raise CallFailed(f"this app has no tool {tool[:100]}: store it with PUT /v1/tools/{{id}}", kind="tool")

    async def aclose(self) -> None:
        """Close every connection."""
        await self.outward.aclose()
        await self.databases.aclose()
