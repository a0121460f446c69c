"""The AsyncAPI 3 document: the two topics, what travels on them, and its headers (CloudEvents 1.0 in Kafka's binary mode).

In come the classes of `events.catalogue`; out goes one document that refers to the schema files beside it.
"""

from typing import Any

from events import topics
from events.catalogue import BY_TYPE, COMMANDS, EVENTS
from events.envelope import Fact


def name_of(fact: type[Fact]) -> str:
    """The name of a class's schema: type and version."""
    return f"{fact.type}.v{fact.version}"


def asyncapi() -> dict[str, Any]:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Prozess",
            "version": "1",
            "description": "What travels on the log. Events count only as far as events.acceptance accepts them. "
            "A value over 64 KiB is empty and the header ce_dataref names the blob that holds it.",
        },
        "defaultContentType": "application/json",
        "channels": {
            topics.COMMANDS: _channel(topics.COMMANDS, COMMANDS, "Wishes. Keyed by stream; kept for days."),
            topics.EVENTS: _channel(
                topics.EVENTS, EVENTS, "Facts, and the only truth. Keyed by stream; one writer per partition; kept for ever."
            ),
        },
        "operations": {
            "decide": {"action": "receive", "channel": {"$ref": f"#/channels/{topics.COMMANDS}"}},
            "record": {"action": "send", "channel": {"$ref": f"#/channels/{topics.EVENTS}"}},
        },
        "components": {
            "messages": {name_of(fact): _message(fact) for fact in BY_TYPE.values()},
            "schemas": {
                "commandHeaders": _headers(),
                "eventHeaders": _headers("ce_claim"),
                "deltaHeaders": _headers("ce_claim", lean=True),
            },
        },
    }


def _channel(address: str, facts: tuple[type[Fact], ...], description: str) -> dict[str, Any]:
    messages = {name_of(fact): {"$ref": f"#/components/messages/{name_of(fact)}"} for fact in facts}
    return {"address": address, "description": description, "messages": messages}


def _message(fact: type[Fact]) -> dict[str, Any]:
    headers = "commandHeaders" if fact in COMMANDS else "deltaHeaders" if fact.type == "node.delta" else "eventHeaders"
    return {
        "name": fact.type,
        "summary": (fact.__doc__ or "").split("\n", 1)[0],
        "headers": {"$ref": f"#/components/schemas/{headers}"},
        "payload": {"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": {"$ref": f"./{name_of(fact)}.json"}},
        "bindings": {"kafka": {"key": {"type": "string", "description": "The stream's name, as in ce_subject."}}},
    }


def _headers(*more: str, lean: bool = False) -> dict[str, Any]:
    meaning = {
        "ce_specversion": "CloudEvents version, 1.0.",
        "ce_id": "Id of this message.",
        "ce_type": "Stored name of the event or command.",
        "ce_source": "The program that wrote it.",
        "ce_time": "RFC 3339, milliseconds, UTC; deltas have the record's own time only.",
        "ce_subject": "Name of the stream; deltas have the record's key only.",
        "content-type": "application/json.",
        "ce_dataversion": "Version of the shape; absent: 1.",
        "ce_run": "The run's id, on streams of runs.",
        "ce_app": "The app it belongs to.",
        "ce_actor": "Who asked for it.",
        "ce_claim": "The ownership that wrote it; it counts only while that claim is the newest.",
        "ce_cause": "Offset of its command in the same partition of the commands topic.",
        "ce_command": "Id of that command.",
        "ce_traceparent": "W3C trace context.",
        "ce_dataref": "The blob that holds the value, where the value is empty.",
    }
    needed = ["ce_specversion", "ce_id", "ce_type", "ce_source", *more]
    if lean:
        for absent in ("ce_time", "ce_subject", "content-type", "ce_actor", "ce_traceparent"):
            del meaning[absent]
    else:
        needed += ["ce_time", "ce_subject", "content-type"]
    properties = {name: {"type": "string", "description": text} for name, text in meaning.items()}
    return {"type": "object", "required": needed, "properties": properties}
