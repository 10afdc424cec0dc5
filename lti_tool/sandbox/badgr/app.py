"""The sandbox Badgr as a web application."""

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError

from lti_tool.sandbox import faults
from lti_tool.sandbox.badgr import api, backpack, control, editing, oauth, public, shapes
from lti_tool.sandbox.badgr.config import BadgrConfig
from lti_tool.sandbox.badgr.seed import seeded
from lti_tool.sandbox.badgr.state import Served
from lti_tool.sandbox.badgr.store import state


def create_badgr(config: BadgrConfig | None = None) -> Flask:
    """A sandbox Badgr; its state is at `app.extensions["sandbox_badgr"]`, another one there makes it new."""
    app = Flask("lti_tool.sandbox.badgr")
    app.extensions["sandbox_badgr"] = seeded(config or BadgrConfig())
    app.after_request(_remember)
    faults.install(app, lambda: state().faults)
    for module in (oauth, api, editing, backpack, public, control):
        app.register_blueprint(module.blueprint)
    app.add_url_rule("/", view_func=home)
    app.register_error_handler(HTTPException, _error)
    app.context_processor(lambda: {"badgr": state()})
    return app


def home() -> str:
    """Who has an account here, and what has been awarded."""
    return render_template("badgr/home.html")


def _remember(response: Response) -> Response:
    with state().lock:
        state().requests.append(Served(request.method, request.full_path.rstrip("?"), response.status_code))
    return response


def _error(error: HTTPException) -> Response | tuple[str, int]:
    status = error.code or InternalServerError.code
    is_api = request.path.startswith(("/v2/", "/public/")) and not request.path.endswith("/")
    if is_api and status == 405:
        return shapes.failure(405, "miscellaneous error", f'Method "{request.method}" not allowed.')
    if request.path.startswith("/public/") and status == 404 and "text/html" not in request.headers.get("Accept", ""):
        return shapes.not_found()
    return render_template("badgr/error.html", error=error), status
