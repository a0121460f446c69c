"""The two example flows of the specification (astron.md 4.13, 4.14) as clients have them, with their services pointed at ours."""

import json
from pathlib import Path
from typing import Any

from tests.support.model_server import ModelServer, model

_FOLDER = Path(__file__).parent / "example_flows"
MOOD = {"mood": "brisk"}
TOOL = "tool@1"
"""The tool that the order desk asks for prices."""


def example(name: str) -> dict[str, Any]:
    """A document, as it lies in the folder."""
    return json.loads((_FOLDER / f"{name}.json").read_text())


def tea_adviser(server: ModelServer, key: str, found: str = json.dumps(MOOD), **says: Any) -> dict[str, Any]:
    """4.13. The extractor's model answers `found` and its calls have the key `<key>-mood`, those of the adviser's have `key`."""
    document = example("linear_with_reasoning")
    _ask(document, "extractor-parameter", server, model("say", text=found, key=f"{key}-mood"))
    _ask(document, "spark-llm", server, model("say", key=key, **says))
    return document


def order_desk() -> dict[str, Any]:
    """4.14. It names the tool `TOOL`, which its app must have."""
    return example("order_desk")


def price_list(url: str) -> dict[str, Any]:
    """The OpenAPI document of the order desk's tool."""
    sku = {"name": "sku", "in": "query", "required": True, "schema": {"type": "string"}}
    operation = {"operationId": "getPrice", "parameters": [sku], "responses": {"200": {"description": "the price"}}}
    return {
        "openapi": "3.0.1",
        "info": {"title": "Prices", "version": "1"},
        "servers": [{"url": url}],
        "paths": {"/price": {"get": operation}},
    }


def _ask(document: dict[str, Any], kind: str, server: ModelServer, name: str) -> None:
    for node in document["data"]["nodes"]:
        if node["id"].startswith(f"{kind}::"):
            node["data"]["nodeParam"] |= {"source": "openai", "model": name, "domain": name, "url": server.url, "apiKey": "any"}
