"""The backpack of a user (EXCHANGES.md §16), and the same as a Badge Connect host (Open Badges 2.1)."""

import ipaddress
import secrets
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from lti_tool.sandbox.badgr import public, shapes
from lti_tool.sandbox.badgr.api import body, signed_in
from lti_tool.sandbox.badgr.award_form import InvalidError
from lti_tool.sandbox.badgr.state import Assertion, Client
from lti_tool.sandbox.badgr.store import address, state

blueprint = Blueprint("backpack", __name__)

SCOPE = "https://purl.imsglobal.org/spec/ob/v2p1/scope/"
CONNECT_SCOPES = tuple(f"{SCOPE}{name}" for name in ("assertion.readonly", "assertion.create", "profile.readonly"))
REGISTRATION = (
    "client_name",
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    "software_id",
    "software_version",
    "redirect_uris",
)
BASIC = "client_secret_basic"


@blueprint.get("/v2/backpack/assertions")
@signed_in
def backpack() -> Response:
    """Every award to the user's verified address, and what was imported."""
    if not {"r:backpack", "rw:backpack"} & set(g.scopes) or not g.user.verified:
        return shapes.not_found()
    shown = [_entry(assertion) for assertion in _own()]
    shown += [_imported(url) for url in state().imported.get(g.user.entity_id, [])]
    return shapes.success(shown)


@blueprint.post("/v2/backpack/import")
@signed_in
def import_badge() -> Response:
    """Take a badge by its address."""
    if "rw:backpack" not in g.scopes:
        return shapes.not_found()
    told = body()
    if len({"url", "image", "assertion"} & told.keys()) != 1:
        raise InvalidError(faults=["Must provide only one of 'url', 'image' or 'assertion'."])
    imported = state().imported.setdefault(g.user.entity_id, [])
    if told.get("url") in imported:
        duplicate = {"name": "DUPLICATE_BADGE", "description": "You already have this badge in your backpack"}
        raise InvalidError(faults=[duplicate])
    imported.append(str(told.get("url")))
    state().pushed[str(told.get("url"))] = {"id": str(told.get("url")), "type": "Assertion"}
    return shapes.success([_imported(str(told.get("url")))], 201)


@blueprint.get("/.well-known/badgeconnect.json")
def discovery() -> AnyResponse:
    """Where the manifest is."""
    return redirect(f"/bcv1/manifest/{request.host}")


@blueprint.get("/bcv1/manifest/<host>")
def manifest(host: str) -> Response:
    """What this host offers."""
    api = {
        "name": "Sandbox Badgr",
        "image": address("/static/logo.png"),
        "apiBase": address("/bcv1"),
        "version": "v1p0",
        "termsOfServiceUrl": address("/"),
        "privacyPolicyUrl": address("/"),
        "scopesOffered": list(CONNECT_SCOPES),
        "registrationUrl": address("/o/register"),
        "authorizationUrl": address("/auth/oauth2/authorize"),
        "tokenUrl": address("/o/token"),
    }
    told = {"id": address(f"/bcv1/manifest/{host}"), "badgeConnectAPI": [api]}
    return jsonify(told | {"@context": "https://w3id.org/openbadges/badgeconnect/v1"})


@blueprint.post("/o/register")
def register() -> tuple[Response, int]:
    """Register an application by itself (RFC 7591); Badge Connect scopes only."""
    told: dict[str, Any] = request.get_json(force=True)
    missing = [f"{name}: This field is required." for name in REGISTRATION if not told.get(name)]
    wrong = [scope for scope in str(told.get("scope", "")).split() if scope not in CONNECT_SCOPES]
    missing += [
        f"scope: Scope {scope} not valid for automatic application registration. Badge Connect Scopes only"
        for scope in wrong
    ]
    missing += _wrong_registration(told)
    if missing:
        return jsonify(error=missing[0], error_description="; ".join(missing)), 400
    scopes = tuple(str(told.get("scope", "")).split())
    made = Client(secrets.token_urlsafe(12), secrets.token_urlsafe(24), tuple(told["redirect_uris"]), scopes)
    with state().lock:
        state().clients[made.client_id] = made
    given = {"client_id": made.client_id, "client_secret": made.secret, "client_secret_expires_at": 0}
    return jsonify({"token_endpoint_auth_method": BASIC} | told | given), 201


@blueprint.get("/bcv1/assertions")
@signed_in
def connect_assertions() -> Response:
    """The user's badges as Open Badges 2.0 assertions, in pages."""
    if CONNECT_SCOPES[0] not in g.scopes:
        return _status(403, "FORBIDDEN")
    start, size = request.args.get("offset", 0, type=int), request.args.get("limit", 50, type=int)
    everything = [_open_badge(assertion) for assertion in _own()]
    everything += [state().pushed[url] for url in state().imported.get(g.user.entity_id, [])]
    return _status(200, "OK", everything[start : start + size])


@blueprint.post("/bcv1/assertions")
@signed_in
def connect_create() -> Response:
    """Take an assertion."""
    if CONNECT_SCOPES[1] not in g.scopes:
        return _status(403, "FORBIDDEN")
    given = body().get("assertion")
    if not isinstance(given, dict) or not given.get("id"):
        return _status(400, "BAD_REQUEST")
    state().imported.setdefault(g.user.entity_id, []).append(str(given["id"]))
    state().pushed[str(given["id"])] = given
    return _status(201, "CREATED")


@blueprint.get("/bcv1/profile")
@signed_in
def connect_profile() -> Response:
    """Who the user is."""
    if CONNECT_SCOPES[2] not in g.scopes:
        return _status(403, "FORBIDDEN")
    return _status(200, "OK", [{"type": "Profile", "name": g.user.name, "email": g.user.email}])


def _wrong_registration(told: dict[str, Any]) -> list[str]:
    """What the real server refuses beside what is missing (its mainsite/oauth2_api.py)."""
    wrong = []
    if told.get("token_endpoint_auth_method", BASIC) != BASIC:
        wrong.append(
            "token_endpoint_auth_method: Invalid token authentication method. Only client_secret_basic allowed."
        )
    pages = [urlsplit(str(told.get(name) or "")) for name in REGISTRATION if name.endswith("_uri")]
    back = [urlsplit(str(uri)) for uri in told.get("redirect_uris") or []]
    if not all(uri.scheme == "https" or _is_loopback(uri.hostname) for uri in back):
        wrong.append("redirect_uris: Must be a valid HTTPS URI")
    if len({uri.netloc for uri in (*pages, *back) if uri.netloc}) > 1:
        wrong.append("client_uri, logo_uri, tos_uri, policy_uri, redirect_uris do not match domain.")
    return wrong


def _is_loopback(host: str | None) -> bool:
    # The real server takes none but https; here the tool itself runs without, on this machine.
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _own() -> list[Assertion]:
    found = state().assertions.values()
    return [a for a in found if a.recipient.identity == g.user.email and g.user.verified]


def _open_badge(assertion: Assertion) -> dict[str, Any]:
    shown = public.assertion_json(assertion)
    badge = state().badge_classes[assertion.badge_class_id]
    return shown | {"badge": public.badge_class_json(badge) | {"issuer": public.issuer_json(badge)}}


def _entry(assertion: Assertion) -> dict[str, Any]:
    shown = shapes.assertion(assertion) | {"acceptance": assertion.acceptance, "pending": False}
    if "badgeclass" in request.args.getlist("expand"):
        shown["badgeclass"] = _open_badge(assertion).get("badge")
    return shown


def _imported(url: str) -> dict[str, Any]:
    own = state().assertions.get(url.rsplit("/", 1)[-1])
    if own is not None:
        return _entry(own)
    return {
        "entityType": "Assertion",
        "entityId": url.rsplit("/", 1)[-1],
        "openBadgeId": url,
        "badgeclass": {"name": "An imported badge"},
        "issuedOn": None,
        "revoked": False,
    }


def _status(code: int, text: str, results: list[dict[str, Any]] | None = None) -> Response:
    told: dict[str, Any] = {"status": {"statusCode": code, "statusText": text, "error": None}}
    response = jsonify(told if results is None else told | {"results": results})
    response.status_code = code
    return response
