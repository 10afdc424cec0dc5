"""How Badgr's v2 API shows what it knows (recorded from a real server), and its envelope."""

from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify, request

from lti_tool.sandbox.badgr.state import Assertion, BadgeClass, Issuer, User
from lti_tool.sandbox.badgr.store import address, state

NOT_FOUND = "entity not found or insufficient privileges"
NO_TOKEN = "no valid auth token found"


def stamp(moment: datetime) -> str:
    """A time as the API has it."""
    return (
        moment.astimezone(UTC)
        .isoformat(timespec="microseconds" if moment.microsecond else "seconds")
        .replace("+00:00", "Z")
    )


def success(result: list[Any], status: int = 200, description: str = "ok", **beside: Any) -> Response:
    """The envelope of a good answer; `beside` stands next to `result`."""
    body = {"status": {"success": True, "description": description}, "result": result, **beside}
    return _typed(jsonify(body), status)


def failure(
    status: int, description: str = "bad request", fields: Any = None, faults: list[str] | None = None
) -> Response:
    """The envelope of a bad answer."""
    body = {
        "status": {"success": False, "description": description},
        "result": [],
        "fieldErrors": {} if fields is None else fields,
        "validationErrors": faults or [],
    }
    return _typed(jsonify(body), status)


def not_found() -> Response:
    """What does not exist, and what is not yours: v2 never answers 403."""
    return failure(404, NOT_FOUND)


def user(shown: User, *, alone: bool = True) -> dict[str, Any]:
    """A user; `alone` adds what only the user's own profile has."""
    own = {
        "agreedTermsVersion": 1,
        "hasAgreedToLatestTermsVersion": True,
        "marketingOptIn": False,
        "hasPasswordSet": True,
        "recipient": {"type": "email", "identity": shown.email} if shown.verified else None,
    }
    return {
        "entityType": "BadgeUser",
        "entityId": shown.entity_id,
        "firstName": shown.first_name,
        "lastName": shown.last_name,
        "emails": [{"email": shown.email, "verified": shown.verified, "primary": True, "caseVariants": []}],
        "url": [],
        "telephone": [],
        "badgrDomain": request.host,
    } | (own if alone else {})


def issuer(shown: Issuer) -> dict[str, Any]:
    """An issuer with its staff."""
    return {
        "entityType": "Issuer",
        "entityId": shown.entity_id,
        "openBadgeId": address(f"/public/issuers/{shown.entity_id}"),
        "createdAt": stamp(shown.created_at),
        "createdBy": shown.created_by,
        "name": shown.name,
        "image": address(f"/media/uploads/issuers/issuer_logo_{shown.entity_id}.svg") if shown.picture else None,
        "email": shown.email,
        "description": shown.description,
        "url": shown.url,
        "staff": [
            {"userProfile": user(state().users[member], alone=False), "user": member, "role": role}
            for member, role in shown.staff.items()
        ],
        "extensions": {},
        "badgrDomain": request.host,
    }


def badge_class(shown: BadgeClass) -> dict[str, Any]:
    """A badge class."""
    return {
        "entityType": "BadgeClass",
        "entityId": shown.entity_id,
        "openBadgeId": address(f"/public/badges/{shown.entity_id}"),
        "createdAt": stamp(shown.created_at),
        "createdBy": shown.created_by,
        "issuer": shown.issuer_id,
        "issuerOpenBadgeId": address(f"/public/issuers/{shown.issuer_id}"),
        "name": shown.name,
        "image": address(f"/media/uploads/badges/{shown.entity_id}.{shown.suffix}"),
        "description": shown.description,
        "criteriaUrl": shown.criteria_url,
        "criteriaNarrative": shown.criteria_narrative,
        "alignments": shown.alignments,
        "tags": shown.tags,
        "expires": shown.expires,
        "extensions": {},
    }


def assertion(shown: Assertion) -> dict[str, Any]:
    """An assertion; a revoked one has no picture."""
    of = state().badge_classes[shown.badge_class_id]
    recipient: dict[str, Any] = {
        "identity": shown.recipient.shown_identity,
        "hashed": shown.recipient.hashed,
        "type": shown.recipient.type,
        "plaintextIdentity": shown.recipient.identity,
    }
    if shown.recipient.hashed:
        recipient["salt"] = shown.recipient.salt
    image = address(f"/media/uploads/badges/assertion-{shown.entity_id}.{of.suffix}")
    return {
        "entityType": "Assertion",
        "entityId": shown.entity_id,
        "openBadgeId": address(f"/public/assertions/{shown.entity_id}"),
        "createdAt": stamp(shown.created_at),
        "createdBy": shown.created_by,
        "badgeclass": of.entity_id,
        "badgeclassOpenBadgeId": address(f"/public/badges/{of.entity_id}"),
        "issuer": of.issuer_id,
        "issuerOpenBadgeId": address(f"/public/issuers/{of.issuer_id}"),
        "image": None if shown.revoked else image,
        "recipient": recipient,
        "issuedOn": stamp(shown.issued_on),
        "narrative": shown.narrative,
        "evidence": shown.evidence,
        "revoked": shown.revoked,
        "revocationReason": shown.revocation_reason,
        "acceptance": shown.acceptance,
        "expires": stamp(shown.expires) if shown.expires else None,
        "extensions": {},
    }


def _typed(response: Response, status: int) -> Response:
    response.status_code = status
    # Whoever takes anything gets JSON-LD.
    asked = request.headers.get("Accept", "*/*")
    response.content_type = "application/json" if "application/json" in asked else "application/ld+json"
    return response
