"""Every route of the api stands here with what a key must be for: a new one fails until it says so, too."""

import pytest

from services.api.gate.scopes import scope_of
from tests.support.routes import Door, doors

PUBLIC = """
GET /docs
GET /docs/assets/{name}
GET /docs/doors
GET /docs/doors/{name}
GET /docs/errors
GET /docs/metrics
GET /docs/settings
GET /files/{token}/{name}
GET /health
GET /health/live
GET /health/ready
GET /lang/config
GET /metrics
GET /models/config
GET /v1/errors
OPTIONS /api/chat/stream
"""
WANTED = {
    "run": """
        GET /agent/v1/chat/completions
        GET /api/v1/models
        GET /v1/models
        GET /v1/models/{model:path}
        GET /workflow/v1/chat/completions/{event_id}
        POST /agent/v1/chat/completions
        POST /agent/v1/custom/chat/completions
        POST /api/chat/stream
        POST /api/v1/chat
        POST /api/v1/chat/stream
        POST /chat/completions/stream
        POST /v1/chat/completions
        POST /v1/runs/{event_id}/answer
        POST /v1/runs/{event_id}/cancel
        POST /workflow/v1/chat/completions
        POST /workflow/v1/debug/chat/completions
        POST /workflow/v1/debug/resume
        POST /workflow/v1/resume
        POST /workflow/v1/upload_file
        POST /workflow/v1/upload_files
        WS /api/rpa-openapi/ws
        WS /ws/chat
    """,
    "read": """
        GET /agent/v1/bot-config
        GET /v1/chats/{chat_id:path}/messages
        GET /v1/chats/{chat_id:path}/pending
        GET /v1/flows
        GET /v1/flows/{flow_id}
        GET /v1/flows/{flow_id}/changes
        GET /v1/flows/{flow_id}/diff
        GET /v1/flows/{flow_id}/document
        GET /v1/runs
        GET /v1/runs/{event_id}
        GET /v1/runs/{event_id}/events
        GET /v1/runs/{event_id}/text
        GET /v1/tools
        GET /v1/tools/{tool}
        GET /workflow/v1/get_flow_info/{flow}
    """,
    "publish": """
        DELETE /agent/v1/bot-config
        DELETE /v1/tools/{tool}
        GET /v1/providers
        GET /v1/providers/{provider}
        DELETE /workflow/v1/auth
        DELETE /workflow/v1/protocol/compare/delete
        POST /agent/v1/bot-config
        POST /workflow/v1/auth
        POST /workflow/v1/code/run
        POST /workflow/v1/node/debug
        POST /workflow/v1/node/debug/{node_id}
        POST /workflow/v1/protocol/add
        POST /workflow/v1/protocol/build/{flow}
        POST /workflow/v1/protocol/compare/get
        POST /workflow/v1/protocol/compare/save
        POST /workflow/v1/protocol/delete
        POST /workflow/v1/protocol/get
        POST /workflow/v1/protocol/update/{flow}
        POST /workflow/v1/publish
        POST /workflow/v1/run
        PUT /agent/v1/bot-config
        PUT /v1/tools/{tool}
    """,
    "admin": """
        DELETE /v1/apps/{app}/keys/{key}
        DELETE /v1/providers/{provider}
        GET /v1/apps
        GET /v1/apps/{app}
        PATCH /v1/apps/{app}
        PATCH /v1/providers/{provider}
        POST /v1/providers
        POST /v1/providers/{provider}/test
        POST /v1/apps
        POST /v1/apps/{app}/keys
        POST /v1/apps/{app}/keys/{key}/rotate
    """,
    "audit": """
        GET /v1/audit/events
    """,
}


def lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.strip()}


def test_every_route_is_public_or_wants_the_scope_that_stands_here():
    found: dict[str, set[str]] = {"public": set(), **{scope: set() for scope in WANTED}}
    for door in doors():
        found["public" if door.is_public else scope_of(door.method, door.template)].add(str(door))
    assert found == {"public": lines(PUBLIC), **{scope: lines(text) for scope, text in WANTED.items()}}


def test_a_route_that_no_rule_names_opens_for_nobody():
    new = Door("/v1/news", "GET")
    assert not new.is_public
    with pytest.raises(LookupError):
        scope_of(new.method, new.template)
