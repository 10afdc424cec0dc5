"""Badgr's v2 API: users, issuers, badge classes, assertions, as recorded in EXCHANGES.md §7 to §13."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import BadRequest

from lti_tool.sandbox.badgr import shapes
from lti_tool.sandbox.badgr.award_form import InvalidError, read_award
from lti_tool.sandbox.badgr.state import Assertion, BadgeClass, Issuer, User
from lti_tool.sandbox.badgr.store import address, state

blueprint = Blueprint("api", __name__, url_prefix="/v2")

DUPLICATE = "A previous award of this badge already exists for this recipient."
MAY_AWARD, MAY_EDIT = ("owner", "editor", "staff"), ("owner", "editor")
LONGEST_REASON = 255

View = Callable[..., Response]


class _Listed(Protocol):
    entity_id: str
    created_at: Any


Entity = TypeVar("Entity", bound=_Listed)


def signed_in(view: View) -> View:
    """Let in whoever has a good token; its user is at `g.user` and its scopes at `g.scopes`."""

    @wraps(view)
    def checked(**arguments: str) -> Response:
        scheme, _, told = request.headers.get("Authorization", "").partition(" ")
        with state().lock:
            token = state().token_of_access(told) if scheme == "Bearer" else None
        if token is None:
            return shapes.failure(401, shapes.NO_TOKEN)
        g.user, g.scopes = state().users[token.user_id], token.scopes
        try:
            with state().lock:
                return view(**arguments)
        except InvalidError as error:
            return shapes.failure(400, fields=error.fields, faults=error.faults)

    return checked


@blueprint.get("/users/self")
@signed_in
def own_profile() -> Response:
    """The user of the token; works without a verified address."""
    return shapes.success([shapes.user(g.user)], latestTermsVersion=1)


@blueprint.get("/issuers")
@signed_in
def issuers() -> Response:
    """The issuers whose staff the user is on; the only place where the scope is looked at."""
    if "rw:issuer" not in g.scopes or not g.user.verified:
        return shapes.not_found()
    mine = [i for i in state().issuers.values() if g.user.entity_id in i.staff]
    return shapes.success([shapes.issuer(i) for i in mine])


@blueprint.get("/issuers/<issuer_id>")
@signed_in
def issuer(issuer_id: str) -> Response:
    """One issuer."""
    found = find_issuer(issuer_id)
    return shapes.success([shapes.issuer(found)]) if found else shapes.not_found()


@blueprint.get("/issuers/<issuer_id>/badgeclasses")
@signed_in
def badge_classes(issuer_id: str) -> Response:
    """The badge classes of an issuer."""
    if find_issuer(issuer_id) is None:
        return shapes.not_found()
    return _listed([b for b in state().badge_classes.values() if b.issuer_id == issuer_id], shapes.badge_class)


@blueprint.get("/badgeclasses")
@signed_in
def all_badge_classes() -> Response:
    """The badge classes of all issuers of the user."""
    return _listed([b for b in state().badge_classes.values() if find_issuer(b.issuer_id)], shapes.badge_class)


@blueprint.get("/badgeclasses/<badge_class_id>")
@signed_in
def badge_class(badge_class_id: str) -> Response:
    """One badge class."""
    found = find_badge_class(badge_class_id)
    return shapes.success([shapes.badge_class(found)]) if found else shapes.not_found()


@blueprint.get("/badgeclasses/<badge_class_id>/assertions")
@signed_in
def assertions(badge_class_id: str) -> Response:
    """The awards of a badge class, filtered as asked."""
    if find_badge_class(badge_class_id) is None:
        return shapes.not_found()
    return _listed(_filtered(a for a in state().assertions.values() if a.badge_class_id == badge_class_id),
                   shapes.assertion)  # fmt: skip


@blueprint.get("/issuers/<issuer_id>/assertions")
@signed_in
def issuer_assertions(issuer_id: str) -> Response:
    """The awards of all badge classes of an issuer."""
    if find_issuer(issuer_id) is None:
        return shapes.not_found()
    badges = {b.entity_id for b in state().badge_classes.values() if b.issuer_id == issuer_id}
    return _listed(_filtered(a for a in state().assertions.values() if a.badge_class_id in badges), shapes.assertion)


@blueprint.post("/badgeclasses/<badge_class_id>/assertions")
@signed_in
def award(badge_class_id: str) -> Response:
    """Award a badge; `allowDuplicateAwards` is a look before the leap and no lock, as in the real server."""
    if find_badge_class(badge_class_id) is None:
        return shapes.not_found()
    told = body()
    if any(name in told for name in ("badgeclass", "badgeclassName", "badgeclassOpenBadgeId")):
        names = "badgeclass, badgeclassName, or badgeclassOpenBadgeId"
        message = "Multiple badge class identifiers. Exactly one of the following badge class identifiers are allowed: "
        raise InvalidError(faults=[message + names])
    made = read_award(told, badge_class_id, g.user.entity_id)
    if told.get("allowDuplicateAwards", True) is False and _is_held(badge_class_id, made.recipient.identity):
        raise InvalidError(faults=[DUPLICATE])
    state().assertions[made.entity_id] = made
    return shapes.success([shapes.assertion(made)], 201)


@blueprint.get("/assertions/<assertion_id>")
@signed_in
def assertion(assertion_id: str) -> Response:
    """One award, also a revoked one."""
    found = _assertion(assertion_id)
    return shapes.success([shapes.assertion(found)]) if found else shapes.not_found()


@blueprint.delete("/assertions/<assertion_id>")
@signed_in
def revoke(assertion_id: str) -> Response:
    """Revoke an award: with a reason in the body, and not by staff."""
    found = _assertion(assertion_id, MAY_EDIT)
    if found is None:
        return shapes.not_found()
    reason = body().get("revocation_reason")
    if not reason:
        raise InvalidError({"revocation_reason": "This field is required"})
    if found.revoked:
        raise InvalidError(faults=["Assertion is already revoked"])
    found.revoke(str(reason)[:LONGEST_REASON])
    return shapes.success([shapes.assertion(found)])


def body() -> dict[str, Any]:
    """The JSON of the request; raises InvalidError."""
    if not request.get_data():
        return {}
    try:
        told = request.get_json(force=True)
    except BadRequest:
        raise InvalidError(faults=["JSON parse error - Expecting value: line 1 column 15 (char 14)"]) from None
    if not isinstance(told, dict):
        raise InvalidError(faults=["Invalid data. Expected a dictionary."])
    return told


def find_issuer(issuer_id: str, roles: tuple[str, ...] = MAY_AWARD) -> Issuer | None:
    """An issuer in which the user has one of these roles."""
    user: User = g.user
    found = state().issuers.get(issuer_id)
    return found if found and user.verified and found.staff.get(user.entity_id) in roles else None


def find_badge_class(badge_class_id: str, roles: tuple[str, ...] = MAY_AWARD) -> BadgeClass | None:
    """A badge class of such an issuer."""
    found = state().badge_classes.get(badge_class_id)
    return found if found and find_issuer(found.issuer_id, roles) else None


def _assertion(assertion_id: str, roles: tuple[str, ...] = MAY_AWARD) -> Assertion | None:
    found = state().assertions.get(assertion_id)
    return found if found and find_badge_class(found.badge_class_id, roles) else None


def _is_held(badge_class_id: str, identity: str) -> bool:
    return any(
        a.is_live and a.badge_class_id == badge_class_id and state().same_identity(a.recipient.identity, identity)
        for a in state().assertions.values()
    )


def _filtered(found: Any) -> list[Assertion]:
    asked = request.args
    wanted = asked.getlist("recipient")
    return [
        a
        for a in found
        if (not a.revoked or asked.get("include_revoked") in ("1", "true"))
        and (a.revoked or a.is_live or asked.get("include_expired") in ("1", "true"))
        and (not wanted or any(state().same_identity(a.recipient.identity, one) for one in wanted))
    ]


def _listed(found: list[Entity], shape: Callable[[Entity], dict[str, Any]]) -> Response:
    """Everything in the order it was made; with a good `num` a page of it, newest first, and a link to the next."""
    asked = request.args.get("num", "")
    if not asked.removeprefix("-").isdigit():
        return shapes.success([shape(one) for one in found])
    size = max(int(asked), 1)
    newest = sorted(found, key=lambda one: one.created_at, reverse=True)
    start = 0
    if cursor := request.args.get("cursor"):
        start = _position(cursor)
        if start < 0:
            return shapes.failure(404, "miscellaneous error", "Invalid cursor")
    response = shapes.success([shape(one) for one in newest[start : start + size]])
    if start + size < len(newest):
        kept = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
        query = urlencode([("cursor", _cursor(start + size)), *kept])
        response.headers["Link"] = f'<{address(request.path)}?{query}>; rel="next"'
    return response


def _cursor(position: int) -> str:
    return urlsafe_b64encode(f"p={position}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        return int(urlsafe_b64decode(cursor).decode().removeprefix("p="))
    except ValueError:
        return -1
