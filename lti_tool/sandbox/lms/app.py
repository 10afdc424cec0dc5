"""The sandbox LMS as a web application: choose who you are, open a course, open Badges in it."""

from flask import Flask, abort, render_template, request
from werkzeug.exceptions import HTTPException

from lti_tool.sandbox import faults
from lti_tool.sandbox.lms import control, deeplinking, gradebook, moodle, oidc, registration, services
from lti_tool.sandbox.lms.claims import Launch
from lti_tool.sandbox.lms.config import LmsConfig
from lti_tool.sandbox.lms.people import Course, Member
from lti_tool.sandbox.lms.state import LmsState
from lti_tool.sandbox.lms.store import find_course, state


def create_lms(config: LmsConfig | None = None) -> Flask:
    """A sandbox LMS; its state is at `app.extensions["sandbox_lms"]`, another one there makes it new."""
    app = Flask("lti_tool.sandbox.lms")
    app.extensions["sandbox_lms"] = LmsState(config or LmsConfig())
    app.before_request(lambda: state().learn_base_url(request.host_url))
    app.before_request(lambda: state().requests.append(f"{request.method} {request.full_path}"))
    faults.install(app, lambda: state().faults)
    for module in (oidc, deeplinking, registration, services, moodle, gradebook, control):
        app.register_blueprint(module.blueprint)
    app.add_url_rule("/", view_func=home)
    app.add_url_rule("/courses/<course_id>", view_func=course)
    app.add_url_rule("/courses/<course_id>/badges", view_func=badges)
    app.add_url_rule("/lti/storage", view_func=storage)
    app.register_error_handler(HTTPException, _error)
    app.context_processor(lambda: {"lms": state(), "who": request.args.get("as", "")})
    return app


def home() -> str:
    """Choose whom to be."""
    return render_template("lms/home.html")


def course(course_id: str) -> str:
    """A course with its activities."""
    found, member = _entered(course_id)
    return render_template("lms/course.html", course=found, member=member)


def badges(course_id: str) -> str:
    """The tool in a frame of the course page (or alone in the window), started by a login request.

    With `link` it is one that a teacher has chosen; with `choose` the teacher is to choose one.
    """
    found, member = _entered(course_id)
    tool = state().tool or abort(409, "The tool is not registered with this LMS yet.")
    in_window = request.args.get("window") == "1"
    link_id = request.args.get("link")
    link = (state().links.get(link_id) or abort(404)) if link_id else None
    launch = Launch(
        member.person.sub,
        found.id,
        "window" if in_window else "iframe",
        link.id if link else None,
        request.args.get("choose") == "1",
    )
    login = {
        "iss": state().base_url,
        "login_hint": member.person.sub,
        "target_link_uri": link.url if link else tool.target_link_uri,
        "lti_message_hint": state().begin_launch(launch),
        "client_id": tool.client_id,
        "lti_deployment_id": tool.deployment_id,
    }
    storage = state().config.storage_target
    if storage:
        login["lti_storage_target"] = storage
    return render_template(
        "lms/badges.html",
        course=found,
        member=member,
        tool=tool,
        login=login,
        in_window=in_window,
        storage=storage,
    )


def storage() -> str:
    """The page in the named frame that keeps what the tool puts (LTI platform storage)."""
    return render_template("lms/storage.html")


def _entered(course_id: str) -> tuple[Course, Member]:
    found = find_course(course_id)
    return found, found.member(request.args.get("as", "")) or abort(403, "Choose a person of this course first.")


def _error(error: HTTPException) -> tuple[str, int]:
    return render_template("lms/error.html", error=error), error.code or 500
