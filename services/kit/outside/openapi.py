"""OpenAPI documents of tools: checked once when they are stored, read as operations when one is called.

In comes a document (3.x; 2.0 is refused); out go its operations with everything a call needs, references resolved.
Only references inside the document are followed: nothing is ever fetched. `x-from: 1` marks a value that the business gives, not the
model; `x-value` of a security scheme is its key (a secret's reference by then).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urljoin, urlsplit

from jsonschema_path import SchemaPath
from openapi_spec_validator import validate
from openapi_spec_validator.exceptions import OpenAPISpecValidatorError
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from services.kit.errors import ProzessError

MOST_OPERATIONS = 500
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
BODIES = ("application/json", "application/x-www-form-urlencoded")
_DEPTH = 12
"""How deep a schema is unfolded; what is deeper may hold anything."""
Place = Literal["path", "query", "header", "cookie"]
Schema = dict[str, Any]


class BadTool(ProzessError):
    """The document cannot be used: one sentence that names the place."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value beside the body."""

    name: str
    place: Place
    required: bool
    schema: Schema


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a key travels: `kind` is apiKey or http; `name` and `place` of an apiKey, `name` = basic or bearer of http."""

    id: str
    kind: str
    name: str
    place: str
    value: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a tool does. `security` are alternatives: the first whose keys are all known is used."""

    id: str
    method: str
    url: str
    summary: str
    parameters: tuple[Parameter, ...]
    body: Schema | None
    body_type: str
    body_required: bool
    security: tuple[tuple[Scheme, ...], ...]


def check(document: Mapping[str, Any]) -> dict[str, Operation]:
    """The operations of a valid document. Raises `BadTool`."""
    outside = next(_outside(document, "document"), None)
    if outside is not None:
        raise BadTool(f"{outside}: only references inside the document (#/…) are followed")
    if not str(document.get("openapi", "")).startswith("3."):
        raise BadTool("document.openapi: expected 3.0, 3.1 or 3.2")
    if _many(document):
        raise BadTool(f"document.paths: at most {MOST_OPERATIONS} operations are taken")
    try:
        validate(cast("Any", document))
    except OpenAPIValidationError as wrong:
        where = ".".join(("document", *map(str, wrong.absolute_path)))
        raise BadTool(f"{where[:300]}: {_said(wrong)}") from None
    except (OpenAPISpecValidatorError, LookupError, TypeError, ValueError, RecursionError) as wrong:
        raise BadTool(f"document: it is no OpenAPI document that can be read ({type(wrong).__name__})") from None
    found = operations(document)
    if not found:
        raise BadTool("document.paths: expected an operation with an operationId")
    for one in found.values():
        _check_url(one)
    return found


def _many(document: Mapping[str, Any]) -> bool:
    paths = document.get("paths")
    items = cast("dict[str, object]", paths).values() if isinstance(paths, dict) else ()
    return sum(method in item for item in items if isinstance(item, dict) for method in METHODS) > MOST_OPERATIONS


def operations(document: Mapping[str, Any]) -> dict[str, Operation]:
    """The operations of a document that was checked, by their operationId."""
    root = SchemaPath.from_dict(cast("Any", document))
    found: dict[str, Operation] = {}
    for path, item in (root / "paths").items():
        for method in METHODS:
            if method in item and "operationId" in item / method:
                one = _operation(root, str(path), item, method)
                found[one.id] = one
    return found


def _operation(root: SchemaPath, path: str, item: SchemaPath, method: str) -> Operation:
    own = item / method
    shared = {(one.name, one.place): one for one in _parameters(item)}
    parameters = {**shared, **{(one.name, one.place): one for one in _parameters(own)}}
    body, body_type, needed = _body(own)
    said = [str(_value(own, name, "")) for name in ("summary", "description")]
    return Operation(
        id=str(_value(own, "operationId", "")),
        method=method.upper(),
        url=_server(root, item, own).rstrip("/") + path,
        summary=next((one for one in reversed(said) if one), ""),
        parameters=tuple(parameters.values()),
        body=body,
        body_type=body_type,
        body_required=needed,
        security=_security(root, own),
    )


def _parameters(holder: SchemaPath) -> Iterator[Parameter]:
    if "parameters" not in holder:
        return
    for one in holder / "parameters":
        schema = _unfolded(one / "schema") if "schema" in one else {}
        if "description" in one:
            schema = {"description": _value(one, "description", ""), **schema}
        place = cast("Place", _value(one, "in", "query"))
        yield Parameter(str(_value(one, "name", "")), place, bool(_value(one, "required", False)), schema)


def _body(own: SchemaPath) -> tuple[Schema | None, str, bool]:
    if "requestBody" not in own:
        return None, "", False
    body = own / "requestBody"
    types = list((body / "content").str_keys()) if "content" in body else []
    chosen = next((one for one in types if one.partition(";")[0] in BODIES), "")
    if not chosen:
        return None, types[0] if types else "", bool(_value(body, "required", False))
    media = body / "content" / chosen
    schema = _unfolded(media / "schema") if "schema" in media else {}
    return schema, chosen.partition(";")[0], bool(_value(body, "required", False))


def _security(root: SchemaPath, own: SchemaPath) -> tuple[tuple[Scheme, ...], ...]:
    holder = own if "security" in own else root
    if "security" not in holder:
        return ()
    wanted = cast("list[dict[str, Any]]", (holder / "security").read_value())
    known = root / "components" / "securitySchemes" if "components" in root and "securitySchemes" in root / "components" else None
    if known is None:
        return ()
    ways = [way for way in wanted if all(name in known for name in way)]
    return tuple(tuple(_scheme(name, known / name) for name in way) for way in ways)


def _scheme(id_: str, one: SchemaPath) -> Scheme:
    kind = str(_value(one, "type", ""))
    name = str(_value(one, "scheme", "")).lower() if kind == "http" else str(_value(one, "name", ""))
    if kind in {"oauth2", "openIdConnect"}:
        kind, name = "http", "bearer"
    return Scheme(id_, kind, name, str(_value(one, "in", "header")), str(_value(one, "x-value", "")))


def _server(root: SchemaPath, item: SchemaPath, own: SchemaPath) -> str:
    for holder in (own, item, root):
        if "servers" in holder:
            for server in holder / "servers":
                url = str(_value(server, "url", ""))
                variables = cast("dict[str, Any]", _value(server, "variables", {}))
                for name, variable in variables.items():
                    url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
                return url
    return ""


def _unfolded(path: SchemaPath, depth: int = _DEPTH) -> Schema:
    """A schema with its references resolved, cut where it goes on without end."""
    if not depth:
        return {}
    value = path.read_value()
    if not isinstance(value, dict):
        return {}
    schema = dict(cast("Schema", value))
    for name in ("properties", "patternProperties"):
        if isinstance(schema.get(name), dict):
            schema[name] = {str(key): _unfolded(path / name / key, depth - 1) for key in cast("Schema", schema[name])}
    for name in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(name), dict):
            schema[name] = _unfolded(path / name, depth - 1)
    for name in ("allOf", "anyOf", "oneOf"):
        if isinstance(schema.get(name), list):
            schema[name] = [_unfolded(one, depth - 1) for one in path / name]
    return schema


def _value(path: SchemaPath, name: str, default: Any) -> Any:
    return (path / name).read_value() if name in path else default


def _outside(part: Any, where: str) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in cast("dict[str, Any]", part).items():
            if name in {"$ref", "$dynamicRef"} and isinstance(value, str) and not value.startswith("#"):
                yield f"{where}.{name}"[:300]
            yield from _outside(value, f"{where}.{name}")
    elif isinstance(part, list):
        for number, value in enumerate(cast("list[Any]", part)):
            yield from _outside(value, f"{where}.{number}")


def _check_url(one: Operation) -> None:
    try:
        parts = urlsplit(urljoin("", one.url))
        fit = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None and (parts.port or 1) > 0
    except ValueError:
        fit = False
    if not fit:
        raise BadTool(f"document.servers: {one.id}: expected an address such as https://host/path, without a user")
    if one.body is None and one.body_required:
        raise BadTool(f"document.paths: {one.id}: its body must be {' or '.join(BODIES)}")


def _said(wrong: OpenAPIValidationError) -> str:
    text = str(wrong.message) if len(str(wrong.message)) <= 200 else f"it breaks {wrong.validator}"
    return text.split("\n", 1)[0]
