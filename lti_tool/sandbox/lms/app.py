"""The sandbox LMS as a web application: choose who you are, open a course, open Badges in it."""

from flask import Flask, abort, render_template, request
from werkzeug.exceptions import HTTPException

from lti_tool.sandbox.lms import gradebook, oidc, services
from lti_tool.sandbox.lms.state import Course, LmsConfig, Person, State
from lti_tool.sandbox.lms.store import state


def create_lms(config: LmsConfig | None = None) -> Flask:
    """A sandbox LMS; its state is at `app.extensions["sandbox_lms"]`."""
    app = Flask("lti_tool.sandbox.lms")
    app.extensions["sandbox_lms"] = State(config or LmsConfig())
    app.extensions["sandbox_deliveries"] = []
    for blueprint in (oidc.blueprint, services.blueprint, gradebook.blueprint):
        app.register_blueprint(blueprint)
    app.add_url_rule("/", view_func=home)
    app.add_url_rule("/courses/<course_id>", view_func=course)
    app.add_url_rule("/courses/<course_id>/badges", view_func=badges)
    app.register_error_handler(HTTPException, _error)
    app.context_processor(lambda: {"lms": state(), "who": request.args.get("as", "")})
    return app


def home() -> str:
    """Choose whom to be."""
    return render_template("lms/home.html")


def course(course_id: str) -> str:
    """A course with its activities."""
    found, person = _entered(course_id)
    return render_template("lms/course.html", course=found, person=person)


def badges(course_id: str) -> str:
    """The tool in a frame of the course page, started by a login request."""
    found, person = _entered(course_id)
    tool = state().tool or abort(409, "The tool is not registered with this LMS yet.")
    login = {
        "iss": state().config.base_url,
        "login_hint": person.sub,
        "target_link_uri": tool.launch_url,
        "lti_message_hint": found.id,
        "client_id": tool.client_id,
        "lti_deployment_id": tool.deployment_id,
    }
    in_window = request.args.get("window") == "1"
    return render_template("lms/badges.html", course=found, person=person, tool=tool, login=login, in_window=in_window)


def _entered(course_id: str) -> tuple[Course, Person]:
    found = state().courses.get(course_id) or abort(404)
    person = found.person(request.args.get("as", "")) or abort(403, "Choose a person of this course first.")
    return found, person


def _error(error: HTTPException) -> tuple[str, int]:
    return render_template("lms/error.html", error=error), error.code or 500
