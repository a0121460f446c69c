"""A definition's identity and its secrets.

In comes the document as a client sent it; out go its canonical form's hash, and the places where keys stand, so that
they can be exchanged for references before anything is hashed or written.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping

from pydantic import JsonValue

Document = dict[str, JsonValue]

SECRET_NAMES = frozenset(
    {
        "access_key", "access_token", "accesskey", "api_key", "api_secret", "apikey", "apipassword", "apisecret", "authorization",
        "client_secret", "clientsecret", "dsn", "password", "private_key", "privatekey", "secret", "secret_key", "secretkey", "sk",
        "x-api-key",
    }
)  # fmt: skip
"""Names of node parameters that hold keys, compared in lower case."""
HEADERS = frozenset({"headers", "extra_headers", "httpheaders"})
"""Names of node parameters all of whose texts are taken for keys."""


def canonical(document: Mapping[str, JsonValue]) -> bytes:
    """Canonical JSON: keys sorted, no spaces, UTF-8. Raises `ValueError` for what JSON cannot carry (NaN, lone surrogates)."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(document: Mapping[str, JsonValue]) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(document)).hexdigest()


def secrets_in(document: JsonValue, *, everywhere: bool = False) -> Iterator[str]:
    """The non-empty texts under names of `SECRET_NAMES`, in the parameters of nodes and below, or `everywhere`."""
    for holder, name in _places(document, inside=everywhere):
        value = holder[name]
        if isinstance(value, str) and value:
            yield value


def replace_secrets(document: Document, exchange: Callable[[str], str], *, everywhere: bool = False) -> Document:
    """A copy of the document in which `exchange` has been applied to every secret."""
    copy: Document = json.loads(json.dumps(document))
    for holder, name in _places(copy, inside=everywhere):
        value = holder[name]
        if isinstance(value, str) and value:
            holder[name] = exchange(value)
    return copy


def _places(part: JsonValue, *, inside: bool = False) -> Iterator[tuple[dict[str, JsonValue], str]]:
    if isinstance(part, list):
        for item in part:
            yield from _places(item, inside=inside)
    elif isinstance(part, dict):
        for name, value in part.items():
            if inside and name.lower() in SECRET_NAMES:
                yield part, name
            elif inside and name.lower() in HEADERS and isinstance(value, dict):
                yield from ((value, header) for header in value)
            else:
                yield from _places(value, inside=inside or name == "nodeParam")
