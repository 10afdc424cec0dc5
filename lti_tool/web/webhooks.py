"""Where the LMS posts grades: verified and stored before the answer, worked on after it."""

from flask import Blueprint, jsonify, request
from werkzeug.wrappers import Response

from lti_tool.services import intake
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")


@blueprint.post("/<source_id>")
def receive(source_id: str) -> tuple[Response, int]:
    """Take a delivery in: 202 with its id; the same delivery again gets the same answer."""
    accepted = intake.accept(tools(), source_id, dict(request.headers), request.get_data(), utc_now())
    return jsonify(id=accepted.event_id, repeat=accepted.is_repeat), 202
