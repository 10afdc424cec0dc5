"""The LMS's side of LTI Dynamic Registration 1.0: its administrator's page, the configuration, the registrations."""

import secrets
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, jsonify, render_template, request

from lti_tool.sandbox.lms.store import state

blueprint = Blueprint("registration", __name__)

TOOL_CONFIGURATION = "https://purl.imsglobal.org/spec/lti-tool-configuration"
PLATFORM_CONFIGURATION = "https://purl.imsglobal.org/spec/lti-platform-configuration"
REQUIRED = ("initiate_login_uri", "client_name", "jwks_uri")


@blueprint.get("/admin")
def admin() -> str:
    """Where the LMS's administrator enters a registration address; it opens in a frame, as in Moodle."""
    url = request.args.get("url", "")
    frame = None
    if url:
        token = secrets.token_urlsafe(16)
        with state().lock:
            state().registration_tokens.add(token)
        told = {"openid_configuration": f"{state().base_url}/lti/openid-configuration", "registration_token": token}
        frame = f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(told)}"
    return render_template("lms/admin.html", url=url, frame=frame, registrations=state().registrations)


@blueprint.get("/lti/openid-configuration")
def openid_configuration() -> Response:
    """The platform's configuration (contracts/moodle-4.2/openid-configuration.json)."""
    base = state().base_url
    return jsonify(
        {
            "issuer": base,
            "token_endpoint": f"{base}/lti/token",
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
            "jwks_uri": f"{base}/lti/jwks",
            "authorization_endpoint": f"{base}/lti/auth",
            "registration_endpoint": f"{base}/lti/registrations",
            "scopes_supported": [*state().scopes, "openid"],
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public", "pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["sub", "iss", "name", "given_name", "family_name", "email"],
            PLATFORM_CONFIGURATION: {
                "product_family_code": "lti-badges-sandbox",
                "version": "1",
                "messages_supported": [
                    {"type": "LtiResourceLinkRequest"},
                    {"type": "LtiDeepLinkingRequest", "placements": ["ContentArea"]},
                ],
                "variables": ["User.id", "Context.id", "Context.id.history", "Person.email.primary"],
            },
        }
    )


@blueprint.post("/lti/registrations")
def register() -> tuple[Response, int] | tuple[str, int]:
    """Take a tool's metadata as Moodle does (contracts/moodle-4.2/registration-*.json); faults are plain text."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    with state().lock:
        if token not in state().registration_tokens:
            return "token_already_used", 401
        told: Any = request.get_json(force=True, silent=True)
        if fault := _fault(told):
            return fault, 400
        state().registration_tokens.discard(token)
        configuration, former = told[TOOL_CONFIGURATION], state().tool
        state().registrations.append(told)
        tool = state().register_tool(
            login_url=told["initiate_login_uri"],
            launch_url=told["redirect_uris"][0],
            jwks_url=told["jwks_uri"],
            target_link_uri=configuration["target_link_uri"],
            client_id=former.client_id if former else secrets.token_hex(8),
        )
    named = {"deployment_id": tool.deployment_id} if state().config.names_deployment else {}
    shown = {"version": "1.3.0", "description": "", **named, **configuration}
    return jsonify(told | {"client_id": tool.client_id, TOOL_CONFIGURATION: shown}), 200


def _fault(told: Any) -> str | None:
    if not isinstance(told, dict) or any(not isinstance(told.get(name), str) for name in REQUIRED):
        return "invalid_registration: a required member is missing"
    if "id_token" not in told.get("response_types", []) or not told.get("redirect_uris"):
        return "invalid_response_types"
    if told.get("token_endpoint_auth_method") != "private_key_jwt":
        return "invalid_token_endpoint_auth_method"
    configuration = told.get(TOOL_CONFIGURATION)
    if not isinstance(configuration, dict) or not configuration.get("domain"):
        return "missing_domain"
    target = urlsplit(str(configuration.get("target_link_uri", "")))
    # The host alone, or with its port where it has one.
    if configuration["domain"] not in (target.hostname, target.netloc):
        return "domain_targetlinkuri_mismatch"
    return None
