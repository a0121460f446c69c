"""The JSON Schemas and the AsyncAPI document of the vocabulary, made from the classes: `python -m infra.schemas`.

In come the classes of `events.catalogue`; out go one file per type and version and `asyncapi.json` in `events/schemas/`.
`--check` only compares. `--release` freezes today's schemas as released: from then on they may only grow
(`released.json`, a file that nothing else writes). Old versions' files stay as they are.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from events.catalogue import BY_TYPE
from events.envelope import Fact
from infra.asyncapi import asyncapi, name_of
from infra.compatibility import Schema, breaks

FOLDER = Path(__file__).parents[1] / "events" / "schemas"
RELEASED = FOLDER / "released.json"
ASYNCAPI = FOLDER / "asyncapi.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(fact: type[Fact]) -> dict[str, Any]:
    """What may be stored under this type and version: every field with a default may be absent."""
    shape = fact.model_json_schema(mode="validation")
    return {"$schema": DIALECT, "$id": f"urn:prozess:{name_of(fact)}", **shape, "title": fact.type}


def schemas() -> dict[str, dict[str, Any]]:
    """All of them, by name."""
    return {name_of(fact): schema_of(fact) for fact in BY_TYPE.values()}


def files() -> dict[Path, str]:
    """Every generated file with its content."""
    return {FOLDER / f"{name}.json": _text(schema) for name, schema in schemas().items()} | {ASYNCAPI: _text(asyncapi())}


def drift() -> list[Path]:
    """The files that are not what the classes say."""
    return [path for path, text in files().items() if not path.exists() or path.read_text() != text]


def incompatible() -> list[str]:
    """What changed in released schemas beyond new optional fields."""
    released: dict[str, Schema] = json.loads(RELEASED.read_text()) if RELEASED.exists() else {}
    now = {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in FOLDER.glob("*.v*.json")} | schemas()
    gone = [f"{name}: a released schema is gone" for name in released if name not in now]
    return gone + [f"{name}: {why}" for name, old in released.items() if name in now for why in breaks(old, now[name])]


def main(arguments: list[str]) -> int:
    """Write, compare, or freeze. 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m infra.schemas", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file differs or a released schema broke")
    parser.add_argument("--release", action="store_true", help="freeze today's schemas: from now on they may only grow")
    asked = parser.parse_args(arguments)
    if not asked.check:
        FOLDER.mkdir(exist_ok=True)
        for path, text in files().items():
            path.write_text(text)
    wrong = [f"{path.name} is not what the classes say: run make schemas" for path in drift()] + incompatible()
    for line in wrong:
        print(line, file=sys.stderr)
    if asked.release and not wrong:
        RELEASED.write_text(_text(schemas() | _older()))
    return 1 if wrong else 0


def _older() -> dict[str, Any]:
    """Schemas of versions that no class has any more; their files stay for good."""
    return {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in FOLDER.glob("*.v*.json") if path not in files()}


def _text(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
