"""The LMS's side of a launch: authentication, the id token, the key set, access tokens."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import requests
from flask import Blueprint, Response, abort, jsonify, render_template, request

from lti_tool.sandbox.lms.config import Tool
from lti_tool.sandbox.lms.store import state

blueprint = Blueprint("oidc", __name__, url_prefix="/lti")

KEY_SET_SECONDS = 5
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenError(Exception):
    """A token request that is refused (RFC 6749 §5.2)."""


@blueprint.route("/auth", methods=["GET", "POST"])
def auth() -> str:
    """The authentication request (security framework §5.1.1.2): answered by a form that posts itself."""
    told = request.values
    tool = state().tool
    if tool is None or told.get("client_id") != tool.client_id or told.get("redirect_uri") != tool.launch_url:
        abort(400, "unknown client_id or redirect_uri")
    for name, value in (("scope", "openid"), ("response_type", "id_token"), ("prompt", "none")):
        if told.get(name) != value:
            abort(400, f"{name} must be {value}")
    launch = state().find_launch(told.get("lti_message_hint", ""))
    if launch is None or told.get("login_hint") != launch.sub or not told.get("nonce"):
        abort(400, "login_hint, lti_message_hint or nonce is not right")
    token = state().id_token(launch, told["nonce"])
    form = {"id_token": token, "state": told.get("state", "")}
    return render_template("lms/post.html", action=tool.launch_url, form=form)


@blueprint.get("/jwks")
def jwks() -> Response:
    """The key set."""
    return jsonify(state().key_set())


@blueprint.post("/token")
def token() -> tuple[Response, int]:
    """Client credentials with a signed assertion (security framework §4.1)."""
    told = request.form
    try:
        if told.get("grant_type") != "client_credentials" or told.get("client_assertion_type") != CLIENT_ASSERTION:
            raise TokenError("unsupported_grant_type")
        _check_assertion(told.get("client_assertion", ""))
        granted = [scope for scope in told.get("scope", "").split() if scope in state().scopes]
        if not granted:
            raise TokenError("invalid_scope")
    except TokenError as error:
        return jsonify(error=str(error)), 400
    value, seconds = secrets.token_hex(16), state().config.access_token_life
    with state().lock:
        state().access_tokens[value] = (frozenset(granted), datetime.now(UTC) + timedelta(seconds=seconds))
    return jsonify(access_token=value, token_type="Bearer", expires_in=seconds, scope=" ".join(granted)), 200


def _check_assertion(assertion: str) -> None:
    """The tool's own key signed it, for us, in time, and it has not come before."""
    tool = state().tool
    try:
        if tool is None:
            raise TokenError("invalid_client")
        claims: dict[str, Any] = jwt.decode(
            assertion,
            key_of(tool, jwt.get_unverified_header(assertion)["kid"]),
            algorithms=["RS256"],
            audience=f"{state().base_url}/lti/token",
            options={"require": ["iss", "sub", "aud", "iat", "exp", "jti"]},
        )
    except (KeyError, LookupError, jwt.PyJWTError, requests.RequestException):
        raise TokenError("invalid_client") from None
    with state().lock:
        if claims["sub"] != tool.client_id or claims["jti"] in state().used_jti:
            raise TokenError("invalid_client")
        state().used_jti.add(claims["jti"])


def key_of(tool: Tool, kid: str) -> jwt.PyJWK:
    """A key of the tool's key set, fetched anew; raises LookupError or RequestException."""
    with requests.Session() as http:
        http.trust_env = False  # The tool is on this machine, whatever proxy is set.
        keys = http.get(tool.jwks_url, timeout=KEY_SET_SECONDS).json()["keys"]
    found = next((key for key in keys if key["kid"] == kid), None)
    if found is None:
        raise LookupError(kid)
    return jwt.PyJWK(found)
