"""`wiki-retrieve`: looks up what a repository says about a question (deepwiki_and_stream.md A7, A8). An effect does the looking.

Inputs: `query`, `repository` ({url, type, token}), `filters` (four lists), `file` (one file to hand over whole, or "").
Outputs: `passages` ([{path, first, last, text}]) and `file` ({path, content, problem}).
"""

from typing import cast

from pydantic import JsonValue

from services.core.language.kind import Asking, Inputs, Kind, Node, Params
from services.core.language.values import text_of
from services.core.running.effects import RepositoryRequest
from services.core.words.tokens import estimate

TOP = 20
"""Passages of one look-up."""
LONGEST = 8_000
"""Tokens of a question; a longer one is answered without looking anything up."""


class WikiRetrieveParams(Params):
    """`provider` and `model` will be asked afterwards; what the provider lacks is told before any work."""

    provider: str = ""
    model: str = ""


def ask(node: Node, inputs: Inputs, asking: Asking) -> RepositoryRequest:
    """The look-up. A file that is given steers it too."""
    param = node.param
    assert isinstance(param, WikiRetrieveParams)
    query, file = text_of(inputs.get("query")), text_of(inputs.get("file"))
    repository, filters = _object(inputs.get("repository")), _object(inputs.get("filters"))
    return RepositoryRequest(
        app=asking.app,
        source=text_of(repository.get("url", "")),
        token=text_of(repository.get("token", "")),
        kind=text_of(repository.get("type", "")),
        query=f"{file} {query}" if file else query,
        file=file,
        filters={name: tuple(map(text_of, values)) for name, values in filters.items() if isinstance(values, list)},
        passages=TOP if estimate(query) <= LONGEST else 0,
        provider=param.provider,
        model=param.model,
        quiet_ms=asking.quiet_ms,
    )


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return cast("dict[str, JsonValue]", value) if isinstance(value, dict) else {}


WIKI_RETRIEVE = Kind(name="wiki-retrieve", params=WikiRetrieveParams, ask=ask)
