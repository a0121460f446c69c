"""The app's tools by id, with their keys: from rows, and from the store of secrets.

In comes an id; out goes a version of a tool, or `CallFailed` with a sentence that says what is missing.
"""

from collections.abc import Mapping
from typing import Any, cast

from projections import tools
from projections.tools import Tool
from services.kit.database import Database, is_gone
from services.kit.errors import SecretMissing
from services.kit.outside.outward import CallFailed
from services.kit.secrets.port import Secrets, is_reference


class Register:
    """Looks tools up."""

    def __init__(self, database: Database, secrets: Secrets) -> None:
        self.database = database
        self._secrets = secrets

    async def find(self, app: str, tool: str, kind: str, version: str = "") -> Tool | None:
        """The tool, if the app has it in this kind. Raises `CallFailed` where the rows do not answer."""
        try:
            async with self.database.connect() as connection:
                found = await tools.find(connection, app, tool, version)
        except Exception as wrong:
            if is_gone(wrong):
                raise CallFailed("the register of tools does not answer now", kind="register", temporary=True) from None
            raise
        return found if found is not None and found.kind == kind else None

    async def versions(self, app: str, tool: str) -> list[str]:
        """The versions that there are."""
        async with self.database.connect() as connection:
            return [one.version for one in await tools.of_app(connection, app, tool)]

    async def secret(self, app: str, value: str, what: str) -> str:
        """The value behind a reference; other values stay. Raises `CallFailed`."""
        if not is_reference(value):
            return value
        try:
            return await self._secrets.resolve(app, value)
        except SecretMissing:
            raise CallFailed(f"{what} is not known here (any more): store it again", kind="key") from None

    async def secrets(self, app: str, values: Mapping[str, Any], what: str) -> dict[str, str]:
        """The same for several."""
        return {name: await self.secret(app, cast("str", value), f"{what} {name}") for name, value in values.items()}
