"""Public Open Badges 2.0 data, the same as pages for people, and the pictures (no authentication).

The real server sends browsers on to its user interface on another host; here both are one.
"""

from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from lti_tool.sandbox.badgr import pictures
from lti_tool.sandbox.badgr.state import Assertion, BadgeClass, Issuer
from lti_tool.sandbox.badgr.store import address, state

blueprint = Blueprint("public", __name__)

CONTEXT = "https://w3id.org/openbadges/v2"


@blueprint.get("/public/assertions/<entity_id>")
def assertion(entity_id: str) -> Response | str:
    """A hosted assertion; a revoked one is 200 too and says so."""
    found = state().assertions.get(entity_id) or abort(404)
    if _wants_page():
        badge = state().badge_classes[found.badge_class_id]
        return render_template("badgr/assertion.html", assertion=found, badge=badge, issuer=_issuer_of(badge))
    return jsonify(assertion_json(found))


@blueprint.get("/public/badges/<entity_id>")
def badge_class(entity_id: str) -> Response | str:
    """A badge class."""
    found = state().badge_classes.get(entity_id) or abort(404)
    if _wants_page():
        return render_template("badgr/badge.html", badge=found, issuer=_issuer_of(found))
    return jsonify(badge_class_json(found))


@blueprint.get("/public/issuers/<entity_id>")
def issuer(entity_id: str) -> Response | str:
    """An issuer profile."""
    found = state().issuers.get(entity_id) or abort(404)
    if _wants_page():
        return render_template("badgr/issuer.html", issuer=found)
    return jsonify(_issuer(found))


@blueprint.get("/public/assertions/<entity_id>/image")
def assertion_image(entity_id: str) -> AnyResponse:
    """Where the baked picture is."""
    found = state().assertions.get(entity_id) or abort(404)
    return redirect(f"/media/uploads/badges/assertion-{entity_id}.{state().badge_classes[found.badge_class_id].suffix}")


@blueprint.get("/public/badges/<entity_id>/image")
def badge_image(entity_id: str) -> AnyResponse:
    """Where the picture is."""
    found = state().badge_classes.get(entity_id) or abort(404)
    return redirect(f"/media/uploads/badges/{entity_id}.{found.suffix}")


@blueprint.get("/public/issuers/<entity_id>/image")
def issuer_image(entity_id: str) -> AnyResponse:
    """Where the picture is."""
    return redirect(f"/media/uploads/issuers/issuer_logo_{entity_id}.svg")


@blueprint.get("/media/uploads/badges/assertion-<entity_id>.<suffix>")
def baked_picture(entity_id: str, suffix: str) -> Response:
    """The picture of an award, with the award's address in it."""
    found = state().assertions.get(entity_id) or abort(404)
    picture = state().badge_classes[found.badge_class_id].picture
    if isinstance(picture, bytes):
        # The real server writes the address into the file; nobody reads it here.
        return Response(picture, mimetype="image/png")
    return _svg(pictures.baked(picture, address(f"/public/assertions/{entity_id}")))


@blueprint.get("/media/uploads/badges/<entity_id>.<suffix>")
def badge_picture(entity_id: str, suffix: str) -> Response:
    """The picture of a badge."""
    picture = (state().badge_classes.get(entity_id) or abort(404)).picture
    return _svg(picture) if isinstance(picture, str) else Response(picture, mimetype="image/png")


@blueprint.get("/media/uploads/issuers/issuer_logo_<entity_id>.svg")
def issuer_picture(entity_id: str) -> Response:
    """The picture of an issuer."""
    found = state().issuers.get(entity_id) or abort(404)
    return _svg(found.picture or abort(404))


def assertion_json(shown: Assertion) -> dict[str, Any]:
    """An assertion as Open Badges 2.0 has it."""
    url = address(f"/public/assertions/{shown.entity_id}")
    head = {"@context": CONTEXT, "type": "Assertion", "id": url}
    if shown.revoked:
        return head | {"revoked": True, "revocationReason": shown.revocation_reason}
    recipient: dict[str, Any] = {
        "hashed": shown.recipient.hashed,
        "type": shown.recipient.type,
        "identity": shown.recipient.shown_identity,
    }
    if shown.recipient.hashed:
        recipient["salt"] = shown.recipient.salt
    body = head | {
        "badge": address(f"/public/badges/{shown.badge_class_id}"),
        "image": f"{url}/image",
        "verification": {"type": "HostedBadge"},
        "issuedOn": shown.issued_on.isoformat(),
        "recipient": recipient,
    }
    optional = {
        "narrative": shown.narrative,
        "expires": shown.expires.isoformat() if shown.expires else None,
        "evidence": [{"id": e["url"], "narrative": e["narrative"]} for e in shown.evidence] or None,
    }
    return body | {name: value for name, value in optional.items() if value}


def badge_class_json(shown: BadgeClass) -> dict[str, Any]:
    """A badge class as Open Badges 2.0 has it."""
    url = address(f"/public/badges/{shown.entity_id}")
    return {
        "@context": CONTEXT,
        "type": "BadgeClass",
        "id": url,
        "name": shown.name,
        "description": shown.description,
        "issuer": address(f"/public/issuers/{shown.issuer_id}"),
        "image": f"{url}/image",
        "criteria": {"id": shown.criteria_url, "narrative": shown.criteria_narrative},
        "alignment": [],
        "tags": shown.tags,
    }


def _issuer(shown: Issuer) -> dict[str, Any]:
    url = address(f"/public/issuers/{shown.entity_id}")
    return {
        "@context": CONTEXT,
        "type": "Issuer",
        "id": url,
        "name": shown.name,
        "url": shown.url,
        "email": shown.email,
        "description": shown.description,
        "image": f"{url}/image",
    }


def issuer_json(badge: BadgeClass) -> dict[str, Any]:
    """The issuer of a badge class as Open Badges 2.0 has it."""
    return _issuer(_issuer_of(badge))


def _issuer_of(badge: BadgeClass) -> Issuer:
    return state().issuers[badge.issuer_id]


def _svg(picture: str) -> Response:
    return Response(picture, mimetype="image/svg+xml")


def _wants_page() -> bool:
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]
