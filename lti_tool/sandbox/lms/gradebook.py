"""Grading: a grade is stored and told to the tool."""

from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from lti_tool.sandbox.lms.state import Activity, Course, Grade, Tool, Webhook
from lti_tool.sandbox.lms.store import deliveries, state
from lti_tool.sandbox.lms.webhooks import Delivery, grade_data, new_delivery, send

blueprint = Blueprint("gradebook", __name__)

WAIT_SECONDS = 15


@blueprint.get("/courses/<course_id>/gradebook")
def gradebook(course_id: str) -> str:
    """Learners against activities, a form in each cell, and what became of the webhooks."""
    course = _course(course_id)
    learners = [person for person in course.people if not person.teaches and "Learner" in person.roles]
    return render_template(
        "lms/gradebook.html", course=course, learners=learners, deliveries=list(reversed(deliveries()))[:20]
    )


@blueprint.post("/courses/<course_id>/gradebook")
def set_grade(course_id: str) -> AnyResponse:
    """The "grade" button."""
    course = _course(course_id)
    activity = course.activity(request.form.get("activity", "")) or abort(404)
    score = request.form.get("score", type=float) if activity.points is not None else None
    if activity.points is not None and score is None:
        abort(400, "enter a number")
    completed = request.form.get("completed") != "no"
    grade(course, request.form.get("person", ""), activity, score, completed).done.wait(WAIT_SECONDS)
    return _back_to_gradebook()


@blueprint.post("/courses/<course_id>/gradebook/again")
def send_again(course_id: str) -> AnyResponse:
    """The "send again" button: the same webhook with the same id."""
    wanted = request.form.get("id")
    delivery = next((d for d in deliveries() if d.id == wanted), None) or abort(404)
    send(state(), delivery).done.wait(WAIT_SECONDS)
    return _back_to_gradebook()


@blueprint.post("/sandbox/grade")
def grade_by_program() -> tuple[Response, int] | Response:
    """Grade without a browser: {course, person, activity, score | completed}; waits for the webhook's answer."""
    told = request.get_json()
    course = _course(told["course"])
    activity = course.activity(told["activity"]) or abort(404)
    delivery = grade(course, told["person"], activity, told.get("score"), told.get("completed", True))
    delivery.done.wait(WAIT_SECONDS)
    return jsonify(_delivery_json(delivery))


@blueprint.post("/sandbox/announce/<course_id>")
def announce(course_id: str) -> Response:
    """Tell the tool every grade of a course that there is, as one batch."""
    course = _course(course_id)
    data = [
        grade_data(state(), course, activity, sub, known)
        for (activity_id, sub), known in course.grades.items()
        if (activity := course.activity(activity_id))
    ]
    delivery = new_delivery(data, f"{len(data)} earlier grades")
    deliveries().append(delivery)
    send(state(), delivery).done.wait(WAIT_SECONDS)
    return jsonify(_delivery_json(delivery))


@blueprint.post("/sandbox/again/<delivery_id>")
def again_by_program(delivery_id: str) -> Response:
    """Send a webhook once more, with the same id."""
    delivery = next((d for d in deliveries() if d.id == delivery_id), None) or abort(404)
    send(state(), delivery).done.wait(WAIT_SECONDS)
    return jsonify(_delivery_json(delivery))


@blueprint.post("/sandbox/tool")
def set_tool() -> Response:
    """Register the tool: {client_id, deployment_id, login_url, launch_url, jwks_url}."""
    state().register_tool(Tool(**request.get_json()))
    return jsonify(ok=True)


@blueprint.post("/sandbox/webhook")
def set_webhook() -> Response:
    """Create the webhook: {url, secret}."""
    state().webhook = Webhook(**request.get_json())
    return jsonify(ok=True)


def grade(course: Course, sub: str, activity: Activity, score: float | None, completed: bool) -> Delivery:
    """Store a grade and send its webhook."""
    if course.person(sub) is None:
        abort(404)
    given = Grade(score, completed, state().now())
    course.grades[activity.id, sub] = given
    word = f"{score:g} points" if score is not None else "completed" if completed else "not completed"
    delivery = new_delivery(
        grade_data(state(), course, activity, sub, given), f"{activity.title}: {word} for person {sub}"
    )
    deliveries().append(delivery)
    return send(state(), delivery)


def _back_to_gradebook() -> AnyResponse:
    address = url_for("gradebook.gradebook", **(request.view_args or {}))
    return redirect(f"{address}?{request.query_string.decode()}", 303)


def _course(course_id: str) -> Course:
    return state().courses.get(course_id) or abort(404)


def _delivery_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "answer": delivery.answer,
    }
