"""`GET /openapi.json`: what outside tools may send to, in OpenAPI 3.1, made from what the code really takes."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, jsonify
from werkzeug.wrappers import Response

from lti_tool import __version__
from lti_tool.settings import Settings
from lti_tool.sources import standard
from lti_tool.web.parts import tools
from lti_tool.web.webhooks import XAPI_VERSION, XAPI_VERSION_HEADER

blueprint = Blueprint("openapi", __name__)

SCHEMAS = "#/components/schemas/"
# Public and made up; the example is signed with it, so that a receiver or a sender can be tested without a tool.
EXAMPLE_SECRET = "whsec_ZXhhbXBsZS1zZWNyZXQtb2YtbHRpLWJhZGdlcyE="  # noqa: S105
_UUID = {"type": "string", "format": "uuid"}
EXAMPLE_AT = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The description; it may be read from anywhere."""
    response = jsonify(document(tools().settings))
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def document(settings: Settings) -> dict[str, Any]:
    """The whole description (OpenAPI 3.1.0)."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LTI Badges",
            "version": __version__,
            "summary": "Where an LMS, or what stands beside it, tells grades and completions.",
            "license": {"name": "See LICENSE"},
        },
        "servers": [{"url": settings.base_url}],
        "paths": {
            "/webhooks/{source_id}": {"parameters": [_source_id()], "post": _webhook(settings)},
            "/webhooks/{source_id}/statements": {
                "parameters": [_source_id()],
                "post": _statements("sendStatements", "Send xAPI statements", "200"),
                "put": _statements("sendStatement", "Send one xAPI statement", "204", _statement_id()),
            },
            "/webhooks/{source_id}/about": {"parameters": [_source_id()], "get": _about()},
            "/healthz": {"get": _health("healthz", "The process answers", {"200": "It does"})},
            "/readyz": {
                "get": _health(
                    "readyz",
                    "Database, queue and a worker do their work",
                    {"200": "They do", "503": "Something does not; the answer names it"},
                )
            },
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "statements": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Any user name, and the secret of the source as the password.",
                }
            },
        },
        # Else nobody signs in: a source's secret signs each delivery, or stands in it.
        "security": [],
    }


def example(at: datetime = EXAMPLE_AT) -> tuple[dict[str, str], bytes]:
    """Headers and body of a delivery, signed with EXAMPLE_SECRET at this moment."""
    assert standard.KIND.example is not None
    delivery = standard.KIND.example(EXAMPLE_SECRET, {}, at)
    return dict(delivery.headers), delivery.body


def _source_id() -> dict[str, Any]:
    return {
        "name": "source_id",
        "in": "path",
        "required": True,
        "description": "The end of the address that the tool shows with the source's secret.",
        "schema": {"type": "string"},
    }


def _webhook(settings: Settings) -> dict[str, Any]:
    headers, body = example()
    told = {
        "webhook-id": "Names the message; the same one is taken once, however often it comes.",
        "webhook-timestamp": "When it was sent, in seconds since 1970; at most five minutes off.",
        "webhook-signature": "“v1,” and the base64 of HMAC-SHA256 over “webhook-id.webhook-timestamp.body” with the "
        "source's secret (the base64 after “whsec_”); several are separated by spaces.",
    }
    return {
        "operationId": "sendGrades",
        "summary": "Send grades and completions (Standard Webhooks)",
        "description": "One result, or up to 1,000 at once. The body's members are those of a score of AGS 2.0 (§3.4). "
        f"The example is signed with the secret {EXAMPLE_SECRET} at {EXAMPLE_AT.isoformat()}. Sources of other kinds "
        "take at the same address what their LMS sends.",
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string", **({"maxLength": 255} if name == "webhook-id" else {})},
                "example": headers[name],
            }
            for name, text in told.items()
        ],
        "requestBody": {
            "required": True,
            "description": f"At most {settings.webhook_max_bytes} bytes.",
            "content": {
                "application/json": {
                    "schema": {"$ref": f"{SCHEMAS}Delivery"},
                    # As text: the signature is over these bytes.
                    "examples": {"signed": {"summary": "Signed as shown above", "value": body.decode()}},
                }
            },
        },
        "responses": {
            "202": _response("Stored, to be worked on at once", "Receipt"),
            "400": _response("The body is not right; the answer names the field"),
            "401": _response("The signature is wrong or missing, or too old"),
            **_common(),
        },
    }


def _statements(name: str, summary: str, stored: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    answers = {
        "200": {
            "description": "Taken, or about nothing that earns badges; the ids of the statements",
            "content": {"application/json": {"schema": {"type": "array", "items": _UUID}}},
        },
        "204": {"description": "Taken, or about nothing that earns badges"},
    }
    refused = {
        "400": _response(f"It cannot be read as statements, or {XAPI_VERSION_HEADER} is not one of 1.0"),
        "401": _response("The password is wrong"),
        "409": _response("Something else came under this id"),
        **_common(),
    }
    responses = {stored: answers[stored], **refused}
    return {
        "operationId": name,
        "summary": f"{summary} (xAPI 1.0.3, part three, §2.1), for sources of that kind",
        "security": [{"statements": []}],
        "parameters": [_version(), *parameters],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
        "responses": {status: answer | {"headers": _version_headers()} for status, answer in responses.items()},
    }


def _about() -> dict[str, Any]:
    versions = {"type": "object", "properties": {"version": {"type": "array", "items": {"type": "string"}}}}
    return {
        "operationId": "aboutStatements",
        "summary": "Which versions of xAPI are taken (xAPI 1.0.3, part three, §2.8)",
        "responses": {
            "200": {
                "description": "They are",
                "headers": _version_headers(),
                "content": {"application/json": {"schema": versions | {"required": ["version"]}}},
            }
        },
    }


def _version() -> dict[str, Any]:
    return {
        "name": XAPI_VERSION_HEADER,
        "in": "header",
        "required": True,
        "description": "1.0 or 1.0.x",
        "schema": {"type": "string", "pattern": r"^1\.0(\.\d+)?$"},
        "example": XAPI_VERSION,
    }


def _version_headers() -> dict[str, Any]:
    return {XAPI_VERSION_HEADER: {"schema": {"const": XAPI_VERSION}}}


def _statement_id() -> dict[str, Any]:
    told = "The id of the statement, the same as in it"
    return {"name": "statementId", "in": "query", "required": True, "description": told, "schema": _UUID}


def _common() -> dict[str, Any]:
    return {
        "404": _response("There is no such source, or it is switched off"),
        "413": _response("Too large: send smaller parts"),
        "415": _response("The content type is that of a page, a picture or a file"),
        "503": _response("Not stored: send the same message again, later"),
    }


def _health(name: str, summary: str, answers: dict[str, str]) -> dict[str, Any]:
    words = {"type": "object", "properties": {"status": {"enum": ["ok", "failing"]}}, "required": ["status"]}
    content = {"application/json": {"schema": words | {"additionalProperties": {"enum": ["ok", "failing"]}}}}
    responses = {status: {"description": text, "content": content} for status, text in answers.items()}
    return {"operationId": name, "summary": summary, "responses": responses}


def _response(description: str, schema: str = "Refusal") -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}{schema}"}}},
    }


def _schemas() -> dict[str, Any]:
    whole = standard.schema(SCHEMAS + "{model}")
    parts: dict[str, Any] = whole.pop("$defs")
    text = {"type": "string"}
    return parts | {
        "Delivery": whole | {"title": "Delivery"},
        "Receipt": {
            "type": "object",
            "properties": {
                "id": {"type": ["integer", "null"], "description": "The number of the event here"},
                "repeat": {"type": "boolean", "description": "The same message had come before"},
                "ignored": {"type": "boolean", "description": "It is about nothing that earns badges"},
            },
            "required": ["id"],
        },
        "Refusal": {
            "type": "object",
            "properties": {
                "error": text | {"description": "What happened"},
                "advice": text | {"description": "What to do"},
                "reference": text | {"description": "Stands in the tool's log too"},
            },
            "required": ["error", "advice", "reference"],
        },
    }
