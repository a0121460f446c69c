"""Whether a JSON Schema only grew: new optional fields, nothing else.

In come the schema as released and the schema as it is now; out come the differences that break somebody. Titles, descriptions
and the names of definitions are ignored on purpose: they are not stored.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_WORDS_ABOUT = {"title", "description", "$id", "$schema", "examples", "$defs"}


def breaks(old: Schema, new: Schema) -> list[str]:
    """Why what was stored by `old`, or a reader of it, would not get on with `new`: one sentence a place; empty where it only grew."""
    return list(_differences(_whole(old, old), _whole(new, new), "the value"))


def _whole(part: Any, root: Schema) -> Any:
    """The schema with references replaced by what they name, and without words about it."""
    if isinstance(part, list):
        return [_whole(one, root) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _whole(root["$defs"][part["$ref"].removeprefix("#/$defs/")], root)
    out: dict[str, Any] = {}
    for key, value in part.items():
        if key == "properties":
            out[key] = {name: _whole(one, root) for name, one in value.items()}
        elif key not in _WORDS_ABOUT:
            out[key] = value if key in {"default", "const", "enum"} else _whole(value, root)
    return out


def _differences(old: Any, new: Any, where: str) -> Iterator[str]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            for one, other in zip(old, new, strict=True):
                yield from _differences(one, other, where)
        elif old != new:
            yield f"{where} changed from {json.dumps(old)} to {json.dumps(new)}"
        return
    for key in old.keys() | new.keys():
        if key == "properties":
            yield from _fields(old.get(key, {}), new.get(key, {}), where)
        elif key == "required":
            yield from _required(set(old.get(key, ())), set(new.get(key, ())), where)
        elif key in {"default", "const", "enum"} or key not in old or key not in new:
            if (old.get(key), key in old) != (new.get(key), key in new):
                yield f"{where}: {key} changed from {json.dumps(old.get(key))} to {json.dumps(new.get(key))}"
        else:
            yield from _differences(old[key], new[key], where)


def _fields(old: Schema, new: Schema, where: str) -> Iterator[str]:
    for name in old:
        if name in new:
            yield from _differences(old[name], new[name], f"{where}.{name}")
        else:
            yield f"{where}.{name} is gone"


def _required(old: set[str], new: set[str], where: str) -> Iterator[str]:
    for name in sorted(new - old):
        yield f"{where}.{name} is required now"
    for name in sorted(old - new):
        yield f"{where}.{name} is not required any more"
