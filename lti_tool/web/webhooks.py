"""Where the LMS posts grades: verified and stored before the answer, worked on after it."""

from flask import Blueprint, jsonify, request
from werkzeug.wrappers import Response

from lti_tool.errors import LtiBadgesError
from lti_tool.services import intake, notices
from lti_tool.web.parts import parts, tools, utc_now

# What no sender of grades means; whatever else it is called, the body decides.
NOT_DATA = (
    "multipart/form-data",
    "text/html",
    "text/css",
    "image/",
    "audio/",
    "video/",
    "application/pdf",
    "application/zip",
)


XAPI_VERSION, XAPI_VERSION_HEADER = "1.0.3", "X-Experience-API-Version"


class NotDataError(LtiBadgesError):
    """The delivery says of itself that it is no data."""

    status = 415
    title = "This kind of content is not taken"


blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")


@blueprint.post("/<source_id>")
@blueprint.post("/<source_id>/statements")
@blueprint.put("/<source_id>/statements")
def receive(source_id: str) -> Response:
    """Take a delivery in: 202 with its id, or what the sender expects; the same delivery again gets the same answer.

    `/statements` is where xAPI sends to (xAPI 1.0.3, part three, §2.1).
    """
    if request.mimetype.startswith(NOT_DATA):
        raise NotDataError(f"A delivery is data, not {request.mimetype}. Send it with Content-Type: application/json.")
    headers, query = dict(request.headers), request.args.to_dict()
    accepted = intake.accept(tools(), source_id, headers, query, request.get_data(), utc_now())
    body = accepted.answer.body
    response = Response() if body is None else jsonify(body)
    response.status_code = accepted.answer.status
    return response


@blueprint.get("/<source_id>/about")
def about(source_id: str) -> Response:
    """Which versions of xAPI are taken (xAPI 1.0.3, part three, §2.8); the same for every address."""
    return jsonify(version=[XAPI_VERSION])


@blueprint.after_app_request
def say_version(response: Response) -> Response:
    """Every answer to a sender of xAPI says the version, refusals too (xAPI 1.0.3, part three, §3.3)."""
    if request.path.startswith("/webhooks/") and request.path.endswith(("/statements", "/about")):
        response.headers[XAPI_VERSION_HEADER] = XAPI_VERSION
    return response


@blueprint.post("/<source_id>/notices")
def notice(source_id: str) -> tuple[Response, int]:
    """Take notices of an LMS in, such as that a course was copied (LTI Platform Notification Service 1.0)."""
    new = notices.accept(tools(), parts().keysets, source_id, request.get_data(), utc_now())
    return jsonify(new=new), 202
