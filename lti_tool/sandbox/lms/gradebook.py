"""Grading by hand: a grade is stored, and told to the tool at once."""

from urllib.parse import urlencode

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.sandbox.lms.outbox import Delivery
from lti_tool.sandbox.lms.store import find_course, state

blueprint = Blueprint("gradebook", __name__, url_prefix="/courses/<course_id>/gradebook")

WAIT_SECONDS = 10
SHOWN = 20


@blueprint.get("")
def gradebook(course_id: str) -> str:
    """Learners against activities, a form in each cell, and what became of the webhooks."""
    newest = state().outbox.deliveries()[::-1][:SHOWN]
    return render_template("lms/gradebook.html", course=find_course(course_id), deliveries=newest)


@blueprint.post("")
def set_grade(course_id: str) -> Response:
    """The "grade" button."""
    told = request.form
    score = told.get("score", type=float)
    completed = None if score is not None else told.get("completed") == "yes"
    try:
        delivery = state().grade(course_id, told.get("person", ""), told.get("activity", ""), score, completed)
    except (LookupError, ValueError) as error:
        abort(400, str(error))
    return _back(course_id, delivery)


@blueprint.post("/again")
def send_again(course_id: str) -> Response:
    """The "send again" button: the same webhook with the same id."""
    try:
        delivery = state().outbox.send_again(request.form.get("id", ""))
    except KeyError:
        abort(404)
    return _back(course_id, delivery)


def _back(course_id: str, delivery: Delivery) -> Response:
    state().outbox.wait(delivery.id, WAIT_SECONDS)
    # The parameter is named "as", which Python does not take as a keyword.
    who = urlencode({"as": request.args.get("as", "")})
    return redirect(f"{url_for('gradebook.gradebook', course_id=course_id)}?{who}", 303)
