"""Where a model answers: the address of a node, or the process's own, cut down to the base that the client library wants.

In comes what people write (`https://host/v1/chat/completions`, `http://host:8000/v1`); out goes an `Endpoint`. Addresses
are never put into error texts: some carry a key.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from services.kit.models.port import ModelFailed

OPENAI = "https://api.openai.com/v1"
_ENDING = "/chat/completions"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base address without the last two path segments `/chat/completions`; `query` goes with every request."""

    base: str
    query: tuple[tuple[str, str], ...]
    host: str
    port: int

    @property
    def name(self) -> str:
        """Host and port, for sentences."""
        return f"{self.host}:{self.port}"


def places_of(urls: Iterable[str]) -> frozenset[tuple[str, int]]:
    """Hosts and ports of these addresses; what is none is left out."""
    found: set[tuple[str, int]] = set()
    for url in urls:
        with suppress(ModelFailed):
            endpoint = endpoint_of(url)
            found.add((endpoint.host, endpoint.port))
    return frozenset(found)


def endpoint_of(url: str) -> Endpoint:
    """The endpoint behind an address. Raises `ModelFailed` where it is none."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or _PORTS[parts.scheme]
        host = (parts.hostname or "").encode("idna").decode()
    except (ValueError, KeyError):
        host, port, parts = "", 0, urlsplit("")
    if not host or parts.username is not None:
        raise ModelFailed("the model's url must look like https://host/v1/chat/completions or http://host:port/v1", kind="url")
    path = parts.path.rstrip("/").removesuffix(_ENDING)
    return Endpoint(
        base=urlunsplit((parts.scheme, parts.netloc, path, "", "")),
        query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
        host=host,
        port=port,
    )
