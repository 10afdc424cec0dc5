"""What tests and the demo ask of the sandbox LMS over HTTP; a real one has nothing of it."""

from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from lti_tool.sandbox.lms.config import Webhook
from lti_tool.sandbox.lms.outbox import Delivery
from lti_tool.sandbox.lms.store import state

blueprint = Blueprint("control", __name__, url_prefix="/sandbox")


@blueprint.post("/tool")
def set_tool() -> Response:
    """Register the tool: {login_url, launch_url, jwks_url, client_id, deployment_id}."""
    state().register_tool(**request.get_json())
    return jsonify(ok=True)


@blueprint.post("/webhook")
def set_webhook() -> Response:
    """Say where grades are posted to: {url, secret}."""
    state().webhook = Webhook(**request.get_json())
    return jsonify(ok=True)


@blueprint.post("/grade")
def grade() -> Response:
    """Grade: {course, person, activity, score | completed}; waits for the webhook's answer."""
    told = request.get_json()
    course, person, activity = told.pop("course"), told.pop("person"), told.pop("activity")
    try:
        return _waited(state().grade(course, person, activity, **told))
    except (LookupError, ValueError, TypeError) as error:
        abort(400, str(error))


@blueprint.post("/announce/<course_id>")
def announce(course_id: str) -> Response:
    """Tell the tool every grade of a course that there is, as one batch."""
    try:
        return _waited(state().announce(course_id))
    except LookupError as error:
        abort(404, str(error))


@blueprint.post("/again/<delivery_id>")
def again(delivery_id: str) -> Response:
    """Send a webhook once more, with the same id."""
    try:
        return _waited(state().outbox.send_again(delivery_id))
    except KeyError:
        abort(404)


def _waited(delivery: Delivery) -> Response:
    done = state().outbox.wait(delivery.id)
    body: dict[str, Any] = {"id": done.id, "status": done.status, "attempts": done.attempts, "fault": done.fault}
    return jsonify(body)
