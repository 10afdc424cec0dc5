"""Badgr's OAuth 2: the consent page, codes and tokens, with its recorded errors and its backoff.

The real consent page of 2020 drops PKCE's challenge on its way; here it is kept, so that a wrong verifier is seen.
"""

import hashlib
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import timedelta
from secrets import compare_digest, token_hex
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from lti_tool.sandbox.badgr.config import KNOWN_SCOPES
from lti_tool.sandbox.badgr.state import Backoff, Code, Token, now
from lti_tool.sandbox.badgr.store import state

blueprint = Blueprint("oauth", __name__)

JSON, HTML = "application/json", "text/html; charset=utf-8"
MAXIMUM_WAIT_SECONDS = 3600


class TokenError(Exception):
    """A token request that is refused; the members are those of the answer."""

    def __init__(self, error: str, description: str | None = None, status: int = 400, content_type: str = JSON):
        self.body = {"error": error} | ({"error_description": description} if description else {})
        self.status, self.content_type = status, content_type
        super().__init__(error)


@blueprint.get("/auth/oauth2/authorize")
def consent() -> str:
    """The consent page."""
    scopes = _checked_scopes()
    return render_template("badgr/consent.html", scopes=scopes, users=state().users.values(), asked=request.args)


@blueprint.post("/auth/oauth2/authorize")
def decide() -> AnyResponse:
    """Allow or cancel: back to the application."""
    scopes = _checked_scopes()
    back, told = request.args["redirect_uri"], request.args.get("state")
    if request.form.get("decision") != "allow":
        answer = {
            "error": "access_denied",
            "error_code": "200",
            "error_description": "Permissions error",
            "error_reason": "user_denied",
            "state": told or "undefined",
        }
        return redirect(f"{back}?{urlencode(answer)}")
    user = state().users.get(request.form.get("user", "")) or abort(400, "Choose who you are.")
    code = token_hex(15)
    with state().lock:
        state().codes[code] = Code(user.entity_id, scopes, back, request.args.get("code_challenge"))
    answer = {"code": code} | ({"state": told} if told else {}) | {"scope": " ".join(scopes)}
    return redirect(f"{back}?{urlencode(answer)}")


@blueprint.post("/o/token")
@blueprint.post("/o/token/")
def token() -> Response:
    """A code or a refresh token for a new pair."""
    with state().lock:
        backoff = state().backoffs.setdefault(_client_address(), Backoff())
        wait = (backoff.until - now()).total_seconds()
        if state().config.token_backoff and wait > 0:
            throttled = {
                "error_description": "Too many login attempts. Please wait and try again.",
                "error": "login attempts throttled",
                "expires": round(wait) or 1,
            }
            return _answer(throttled, 429, HTML)
        try:
            pair = _grant()
        except TokenError as error:
            backoff.failures += 1
            backoff.until = now() + timedelta(seconds=min(2**backoff.failures, MAXIMUM_WAIT_SECONDS))
            response = _answer(error.body, error.status, error.content_type)
            if error.status == 401:
                response.headers["WWW-Authenticate"] = 'Bearer, error="invalid_client"'
            return response
        state().backoffs.pop(_client_address())
        body = {
            "access_token": pair.access,
            "expires_in": int(state().config.access_lifetime),
            "token_type": "Bearer",
            "scope": " ".join(pair.scopes),
            "refresh_token": pair.refresh,
        }
        return _answer(body, 200, JSON)


@blueprint.post("/o/revoke_token")
def revoke_without_slash() -> AnyResponse:
    """A redirect, after which a POST has become a GET: a trap that clients fall into."""
    return redirect("/o/revoke_token/", 301)


@blueprint.post("/o/revoke_token/")
def revoke() -> Response:
    """End a token; unknown ones are no error (RFC 7009 §2.2)."""
    try:
        _check_client()
    except TokenError:
        response = _answer({"error": "invalid_client"}, 401, JSON)
        response.headers["WWW-Authenticate"] = 'Bearer, error="invalid_client"'
        return response
    told = request.form.get("token", "")
    with state().lock:
        for pair in state().tokens:
            if told == pair.refresh:
                pair.access_revoked = pair.refresh_revoked = True
            elif told == pair.access:
                pair.access_revoked = True
    return Response(status=200, content_type=HTML)


def _checked_scopes() -> tuple[str, ...]:
    asked, config = request.args, state().config
    registered = state().clients.get(asked.get("client_id", ""))
    if registered is not None:
        if asked.get("redirect_uri") not in registered.redirect_uris:
            abort(400, "Mismatching redirect URI.")
        return tuple(scope for scope in asked.get("scope", "").split() if scope in registered.scopes)
    if asked.get("client_id") != config.client_id:
        abort(400, "Invalid client_id parameter value.")
    back = asked.get("redirect_uri")
    if not back or (config.redirect_uris and back not in config.redirect_uris):
        abort(400, "Mismatching redirect URI.")
    wanted = (asked.get("scope") or "r:profile").split()
    if asked.get("response_type") != "code" or any(scope not in KNOWN_SCOPES for scope in wanted):
        # The real server gives no reason either.
        abort(400, "")
    return tuple(scope for scope in wanted if scope in config.scopes)


def _grant() -> Token:
    if request.args:
        raise TokenError("Token grant parameters must be sent in post body, not query parameters", content_type=HTML)
    kind = request.form.get("grant_type")
    if not kind:
        raise TokenError("invalid_request", "Request is missing grant_type parameter.")
    _check_client()
    if kind == "authorization_code":
        return _by_code()
    if kind == "refresh_token":
        return _by_refresh_token()
    raise TokenError("invalid_request", "Request is missing username parameter.")


def _check_client() -> None:
    header = request.headers.get("Authorization", "")
    is_basic = header.startswith("Basic ")
    if is_basic:
        name, _, secret = b64decode(header[6:]).decode().partition(":")
    elif "client_id" in request.form:
        name, secret = request.form["client_id"], request.form.get("client_secret", "")
    else:
        raise TokenError("invalid_grant")
    registered, config = state().clients.get(name), state().config
    if registered is None and name != config.client_id:
        raise TokenError("invalid client_id", content_type=HTML)
    known = registered.secret if registered is not None else config.client_secret
    if not compare_digest(secret, known):
        if is_basic:
            raise TokenError("invalid client_secret", content_type=HTML)
        raise TokenError("invalid_client", status=401)


def _by_code() -> Token:
    told = request.form
    code = state().codes.get(told.get("code", ""))
    if code is None or (now() - code.made_at).total_seconds() > state().config.code_lifetime:
        raise TokenError("invalid_grant")
    if told.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
        raise TokenError("invalid_request", "Mismatching redirect URI.")
    if code.challenge:
        if not told.get("code_verifier"):
            raise TokenError("invalid_request", "Code verifier required.")
        digest = hashlib.sha256(told["code_verifier"].encode()).digest()
        if urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
            raise TokenError("invalid_grant")
    if any(scope not in state().config.scopes for scope in told.get("scope", "").split()):
        raise TokenError("invalid scope requested", content_type=HTML)
    del state().codes[told["code"]]
    return state().new_token(code.user_id, code.scopes)


def _by_refresh_token() -> Token:
    told = request.form.get("refresh_token", "")
    old = next((pair for pair in state().tokens if pair.refresh == told and not pair.refresh_revoked), None)
    if old is None:
        raise TokenError("invalid_grant")
    if old.access_revoked:
        # A fault of the real server: the pair is broken when only its access token was revoked.
        abort(500)
    scopes = tuple(request.form.get("scope", "").split()) or old.scopes
    if not set(scopes) <= set(old.scopes):
        raise TokenError("invalid_scope")
    old.access_revoked = old.refresh_revoked = True
    return state().new_token(old.user_id, scopes)


def _client_address() -> str:
    # As the real server does it: whoever sends the header chooses the address.
    return request.headers.get("X-Forwarded-For", request.remote_addr or "").split(",")[0].strip()


def _answer(body: Mapping[str, object], status: int, content_type: str) -> Response:
    response = Response(json.dumps(body), status, content_type=content_type)
    if content_type == JSON:
        response.headers["Cache-Control"], response.headers["Pragma"] = "no-store", "no-cache"
    return response
