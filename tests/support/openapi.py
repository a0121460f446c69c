"""OpenAPI documents for tests, in a few words."""

from typing import Any

WEATHER: dict[str, Any] = {
    "openapi": "3.0.1",
    "info": {"title": "Weather", "version": "1"},
    "security": [{"key": []}],
    "paths": {
        "/echo/{city}": {
            "parameters": [{"$ref": "#/components/parameters/City"}],
            "post": {
                "operationId": "forecast",
                "summary": "Tells the weather.",
                "parameters": [
                    {"name": "days", "in": "query", "schema": {"type": "array", "items": {"type": "integer"}}},
                    {"name": "units", "in": "query", "schema": {"type": "string", "default": "metric"}},
                    {"name": "X-Caller", "in": "header", "schema": {"type": "string", "x-from": 1}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wish"}}},
                },
                "responses": {"200": {"description": "it"}},
            },
        },
        "/status/{code}": {
            "get": {
                "operationId": "fail",
                "security": [],
                "parameters": [{"name": "code", "in": "path", "required": True, "schema": {"type": "integer"}}],
                "responses": {"200": {"description": "it"}},
            }
        },
        "/answer": {"get": {"operationId": "answer", "security": [], "responses": {"200": {"description": "it"}}}},
        "/silent": {"get": {"operationId": "silent", "security": [], "responses": {"200": {"description": "it"}}}},
    },
    "components": {
        "parameters": {"City": {"name": "city", "in": "path", "required": True, "schema": {"type": "string"}}},
        "schemas": {
            "Wish": {
                "type": "object",
                "required": ["reason"],
                "properties": {
                    "reason": {"type": "string"},
                    "who": {"type": "object", "properties": {"name": {"type": "string"}, "token": {"type": "string", "x-from": 1}}},
                    "again": {"$ref": "#/components/schemas/Wish"},
                },
            }
        },
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
    },
}


def weather(url: str, **changes: Any) -> dict[str, Any]:
    return {**WEATHER, "servers": [{"url": url}], **changes}
