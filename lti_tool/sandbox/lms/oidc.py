"""The LMS's side of a launch: authentication, the id token, the key set, access tokens."""

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import requests
from flask import Blueprint, Response, abort, jsonify, render_template, request
from jwt.algorithms import RSAAlgorithm

from lti_tool.sandbox.lms.state import Course, Person, State, Tool
from lti_tool.sandbox.lms.store import state

blueprint = Blueprint("oidc", __name__, url_prefix="/lti")

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS_SCOPES = [f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}" for name in (
    "lineitem", "lineitem.readonly", "result.readonly", "score",
)]  # fmt: skip
NRPS_SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
TOKEN_SECONDS = 3600


@blueprint.route("/auth", methods=["GET", "POST"])
def auth() -> Response | str:
    """The authentication request (security framework §5.1.1.2): answered by a form that posts itself."""
    told = request.values
    tool = state().tool
    if tool is None or told.get("client_id") != tool.client_id or told.get("redirect_uri") != tool.launch_url:
        abort(400, "unknown client_id or redirect_uri")
    for name, value in (("scope", "openid"), ("response_type", "id_token"), ("prompt", "none")):
        if told.get(name) != value:
            abort(400, f"{name} must be {value}")
    course = state().courses.get(told.get("lti_message_hint", ""))
    person = course.person(told.get("login_hint", "")) if course else None
    if course is None or person is None or not told.get("nonce"):
        abort(400, "login_hint, lti_message_hint or nonce is not right")
    claims = id_token_claims(state(), tool, course, person, told["nonce"])
    form = {"id_token": state().sign(claims), "state": told.get("state", "")}
    return render_template("lms/post.html", action=tool.launch_url, form=form)


@blueprint.get("/jwks")
def jwks() -> Response:
    """The key set, as Moodle gives it."""
    return jsonify(keys=[_public(key.kid, key.private) for key in state().keys])


@blueprint.get("/openid-configuration")
def openid_configuration() -> Response:
    """The platform's configuration (contracts/moodle-4.2/openid-configuration.json)."""
    base = state().config.base_url
    return jsonify(
        {
            "issuer": base,
            "token_endpoint": f"{base}/lti/token",
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
            "jwks_uri": f"{base}/lti/jwks",
            "authorization_endpoint": f"{base}/lti/auth",
            "scopes_supported": [*AGS_SCOPES, NRPS_SCOPE, "openid"],
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public", "pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["sub", "iss", "name", "given_name", "family_name", "email"],
        }
    )


@blueprint.post("/token")
def token() -> tuple[Response, int] | Response:
    """Client credentials with a signed assertion (security framework §4.1)."""
    tool = state().tool
    try:
        assertion = request.form["client_assertion"]
        kid = jwt.get_unverified_header(assertion)["kid"]
        key_set = requests.get(tool.jwks_url if tool else "", timeout=5).json()
        key = next(key for key in key_set["keys"] if key["kid"] == kid)
        audience = f"{state().config.base_url}/lti/token"
        claims = jwt.decode(assertion, jwt.PyJWK(key), algorithms=["RS256"], audience=audience)
    except (KeyError, StopIteration, jwt.PyJWTError, requests.RequestException):
        return jsonify(error="invalid_client"), 400
    granted = [s for s in request.form.get("scope", "").split() if s in (*AGS_SCOPES, NRPS_SCOPE)]
    if tool is None or claims.get("sub") != tool.client_id:
        return jsonify(error="invalid_client"), 400
    if not granted:
        return jsonify(error="invalid_scope"), 400
    value = secrets.token_urlsafe(24)
    ends = datetime.now(UTC) + timedelta(seconds=TOKEN_SECONDS)
    state().tokens[value] = (ends, frozenset(granted))
    return jsonify(access_token=value, token_type="Bearer", expires_in=TOKEN_SECONDS, scope=" ".join(granted))


def id_token_claims(lms: State, tool: Tool, course: Course, person: Person, nonce: str) -> dict[str, Any]:
    """A launch of this person into this course (contracts/moodle-4.2/id_token-*.json)."""
    base, now = lms.config.base_url, int(time.time())
    services = f"{base}/lti/services/{course.id}"
    claims = {
        "nonce": nonce,
        "iat": now,
        "exp": now + 60,
        "iss": base,
        "aud": tool.client_id,
        f"{LTI}deployment_id": tool.deployment_id,
        f"{LTI}target_link_uri": tool.launch_url,
        "sub": person.sub,
        f"{LTI}lis": {"person_sourcedid": "", "course_section_sourcedid": ""},
        f"{LTI}roles": person.role_uris,
        f"{LTI}context": {"id": course.id, "label": course.label, "title": course.title, "type": ["CourseSection"]},
        f"{LTI}message_type": "LtiResourceLinkRequest",
        f"{LTI}resource_link": {"title": "Badges", "description": "", "id": f"1{course.id}"},
        "given_name": person.given_name,
        "family_name": person.family_name,
        "name": person.name,
        f"{LTI}ext": {"lms": "sandbox"},
        "email": person.email,
        f"{LTI}launch_presentation": {
            "locale": "en",
            "document_target": "iframe",
            "return_url": f"{base}/courses/{course.id}?as={person.sub}",
        },
        f"{LTI}tool_platform": {"product_family_code": "sandbox", "guid": "sandbox", "name": lms.config.name},
        f"{LTI}version": "1.3.0",
        f"{LTI}custom": {"u": person.sub, "cid": course.id},
        "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": {
            "scope": AGS_SCOPES,
            "lineitems": f"{services}/lineitems?type_id=1",
        },
        "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice": {
            "context_memberships_url": f"{services}/memberships",
            "service_versions": ["1.0", "2.0"],
        },
    }
    return {name: value for name, value in claims.items() if value is not None}


def _public(kid: str, private: Any) -> dict[str, Any]:
    jwk: dict[str, Any] = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return {"kty": jwk["kty"], "alg": "RS256", "kid": kid, "e": jwk["e"], "n": jwk["n"], "use": "sig"}
