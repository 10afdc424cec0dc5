"""What tests and the demo ask of the sandbox Badgr over HTTP; a real one has nothing of it."""

from flask import Blueprint, Response, jsonify

from lti_tool.sandbox.badgr.store import address, state

blueprint = Blueprint("control", __name__, url_prefix="/sandbox")


@blueprint.get("/assertions")
def assertions() -> Response:
    """Every award: [{entityId, openBadgeId, recipient, badge, revoked}], oldest first."""
    with state().lock:
        return jsonify([
            {
                "entityId": a.entity_id,
                "openBadgeId": address(f"/public/assertions/{a.entity_id}"),
                "recipient": a.recipient.identity,
                "badge": state().badge_classes[a.badge_class_id].name,
                "revoked": a.revoked,
            }
            for a in state().assertions.values()
        ])  # fmt: skip


@blueprint.get("/requests")
def requests() -> Response:
    """Every request that was answered: [{method, path, status}], oldest first."""
    with state().lock:
        return jsonify([{"method": r.method, "path": r.path, "status": r.status} for r in state().requests])
