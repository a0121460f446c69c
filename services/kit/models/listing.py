"""Which models the process's own endpoint offers, as it tells itself.

In comes nothing but the settings; out go names, remembered for a minute. An endpoint that does not tell, or not in time,
offers no names: that is no error, since models can be asked for that are not listed.
"""

import asyncio
import time
from dataclasses import dataclass

import httpx2
import openai

from services.kit.errors import ProzessError
from services.kit.models import offline
from services.kit.models.connections import Connections
from services.kit.models.endpoint import OPENAI, endpoint_of
from services.kit.settings import Settings

_REMEMBERED_S = 60.0
_PATIENCE_S = 3.0
_MOST = 2_000


@dataclass(frozen=True, slots=True)
class Listed:
    """A model's name, when it was made (seconds, 0 for unknown), and whose it is."""

    name: str
    created: int
    owner: str


OFFLINE = Listed(offline.NAME, 0, "prozess")


class OwnModels:
    """The list."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.openai_base_url or (OPENAI if settings.openai_api_key else "")
        self._key = settings.openai_api_key
        self._asking = asyncio.Lock()
        self._until = 0.0
        self._listed: list[Listed] = []

    @property
    def has_endpoint(self) -> bool:
        """Whether there is an endpoint at all."""
        return bool(self._url)

    async def listed(self) -> list[Listed]:
        """The endpoint's models, and the offline one."""
        async with self._asking:
            if self._url and time.monotonic() >= self._until:
                self._listed = await self._ask()
                self._until = time.monotonic() + _REMEMBERED_S
        return [*self._listed, OFFLINE]

    async def _ask(self) -> list[Listed]:
        connections = Connections(httpx2.Limits(), 4 * 1024 * 1024)
        try:
            client = connections.client(endpoint_of(self._url)).with_options(api_key=self._key or "none")
            async with asyncio.timeout(_PATIENCE_S):
                page = await client.models.list()
            found = [Listed(str(one.id), int(one.created or 0), str(one.owned_by or "")) for one in page.data[:_MOST]]
        except (openai.OpenAIError, httpx2.HTTPError, ProzessError, TimeoutError, ValueError, TypeError, AttributeError, OSError):
            return []
        finally:
            await connections.aclose()
        return [one for one in found if one.name != offline.NAME]
