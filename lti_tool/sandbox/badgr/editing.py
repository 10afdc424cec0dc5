"""Making and changing issuers and badge classes, as recorded in EXCHANGES.md §9 and §10; and the changed feed (§15)."""

import base64
import binascii
import re
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, g, request

from lti_tool.sandbox.badgr import shapes
from lti_tool.sandbox.badgr.api import MAY_EDIT, body, find_badge_class, find_issuer, signed_in
from lti_tool.sandbox.badgr.award_form import EMAIL, URL, InvalidError
from lti_tool.sandbox.badgr.state import BadgeClass, Issuer, now
from lti_tool.sandbox.badgr.store import address, state

blueprint = Blueprint("editing", __name__, url_prefix="/v2")

DATA_URI = re.compile(r"data:image/(png|svg\+xml);base64,(.+)", re.DOTALL)
UNITS = ("days", "weeks", "months", "years")
PAGE_SIZE = 100
NOT_VERIFIED = "Issuer email must be one of your verified addresses. Add this email to your profile and try again."


@blueprint.post("/issuers")
@signed_in
def create_issuer() -> Response:
    """Make an issuer; whoever does is its owner."""
    if not g.user.verified:
        return shapes.not_found()
    told = _issuer_fields()
    owner = g.user.entity_id
    made = Issuer(told["name"], told["email"], told["url"], told["description"], {owner: "owner"}, owner, None)
    state().issuers[made.entity_id] = made
    return shapes.success([shapes.issuer(made)], 201)


@blueprint.put("/issuers/<issuer_id>")
@signed_in
def update_issuer(issuer_id: str) -> Response:
    """Change an issuer; its staff stays when none is given."""
    found = find_issuer(issuer_id, MAY_EDIT)
    if found is None:
        return shapes.not_found()
    told = _issuer_fields()
    found.name, found.email, found.url = told["name"], told["email"], told["url"]
    found.description = told["description"]
    return shapes.success([shapes.issuer(found)])


@blueprint.post("/issuers/<issuer_id>/badgeclasses")
@signed_in
def create_badge_class(issuer_id: str) -> Response:
    """Make a badge class; not by staff."""
    if find_issuer(issuer_id, MAY_EDIT) is None:
        return shapes.not_found()
    told = _badge_class_fields(body())
    picture = told.pop("picture", None)
    if picture is None:
        raise InvalidError({"image": "Valid image file or data URI required."})
    made = BadgeClass(issuer_id=issuer_id, created_by=g.user.entity_id, picture=picture, **told)
    state().badge_classes[made.entity_id] = made
    return shapes.success([shapes.badge_class(made)], 201)


@blueprint.put("/badgeclasses/<badge_class_id>")
@signed_in
def update_badge_class(badge_class_id: str) -> Response:
    """Change a badge class; a picture that is left out, or is a web address, stays."""
    found = find_badge_class(badge_class_id, MAY_EDIT)
    if found is None:
        return shapes.not_found()
    for name, value in _badge_class_fields(body()).items():
        setattr(found, name, value)
    return shapes.success([shapes.badge_class(found)])


@blueprint.get("/assertions/changed")
@signed_in
def changed_assertions() -> Response:
    """Everything on the user's issuers that has changed since a moment, the oldest change first."""
    if "rw:issuer" not in g.scopes or not g.user.verified:
        return shapes.not_found()
    asked = now()
    since = _since(request.args.get("since"))
    mine = [b.entity_id for b in state().badge_classes.values() if find_issuer(b.issuer_id)]
    found = [a for a in state().assertions.values() if a.badge_class_id in mine and (not since or a.changed_at > since)]
    found.sort(key=lambda assertion: assertion.changed_at)
    size, start = request.args.get("num", PAGE_SIZE, type=int), request.args.get("from", 0, type=int)
    has_next = start + size < len(found)
    query = f"?num={size}&from={start + size}&since={request.args.get('since', '')}"
    paging = {
        "hasNext": has_next,
        "nextResults": address("/v2/assertions/changed") + query if has_next else None,
        "hasPrevious": start > 0,
        "previousResults": None,
    }
    shown = [shapes.assertion(one) for one in found[start : start + size]]
    return shapes.success(shown, pagination=paging, timestamp=asked.isoformat())


def _since(told: str | None) -> datetime | None:
    if not told:
        return None
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        raise InvalidError({"since": ["must be ISO-8601 format with time zone"]}) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=now().tzinfo)


def _issuer_fields() -> dict[str, str]:
    told, faults = body(), dict[str, Any]()
    checks = {"name": (None, ""), "email": (EMAIL, "Enter a valid email address."), "url": (URL, "Enter a valid URL.")}
    for name, (pattern, message) in checks.items():
        if not told.get(name):
            faults[name] = ["This field is required."]
        elif pattern is not None and not pattern.fullmatch(str(told[name])):
            faults[name] = [message]
    if faults:
        raise InvalidError(faults)
    if told["email"] != g.user.email:
        raise InvalidError(faults=[NOT_VERIFIED])
    return {name: str(told.get(name) or "") for name in ("name", "email", "url", "description")}


def _badge_class_fields(told: dict[str, Any]) -> dict[str, Any]:
    faults: dict[str, Any] = {
        name: ["This field is required."] for name in ("name", "description") if not told.get(name)
    }
    if "![" in str(told.get("criteriaNarrative") or ""):
        faults["criteriaNarrative"] = ["Images not supported in markdown"]
    picture = None
    try:
        picture = _picture(told.get("image"))
    except ValueError:
        faults["image"] = ["Invalid PNG"]
    expires = told.get("expires")
    if expires and (wrong := _expiry_faults(expires)):
        faults["expires"] = wrong
    if faults:
        raise InvalidError(faults)
    fields = {
        "name": told["name"],
        "description": told["description"],
        "criteria_narrative": told.get("criteriaNarrative"),
        "criteria_url": told.get("criteriaUrl"),
        "tags": list(told.get("tags") or []),
        "alignments": [{"targetDescription": "", "targetFramework": "", **a} for a in told.get("alignments") or []],
        "expires": expires or {"amount": None, "duration": None},
    }
    return fields | ({"picture": picture} if picture is not None else {})


def _expiry_faults(expires: dict[str, Any]) -> dict[str, Any]:
    faults = {}
    if not isinstance(expires.get("amount"), int) or expires["amount"] <= 0:
        faults["amount"] = ["Must be a positive integer"]
    if expires.get("duration") not in UNITS:
        faults["duration"] = [f'"{expires.get("duration")}" is not a valid choice.']
    return faults


def _picture(told: Any) -> str | bytes | None:
    """The picture of a data URI; None for a web address, which is skipped. Raises ValueError."""
    if not told or not str(told).startswith("data:"):
        return None
    found = DATA_URI.fullmatch(str(told))
    if not found:
        raise ValueError("neither PNG nor SVG")
    try:
        content = base64.b64decode(found[2], validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if found[1] == "png" and not content.startswith(b"\x89PNG\r\n"):
        raise ValueError("not a PNG")
    return content if found[1] == "png" else content.decode()
