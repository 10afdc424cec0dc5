"""My badges from all courses, outside the LMS: for whoever signs in with Badgr, by verified addresses only."""

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from lti_tool.services import backpacks
from lti_tool.services.reports.own import find_visit, own_badges
from lti_tool.web.access import session_digest
from lti_tool.web.badgr import servers
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("my", __name__)


@blueprint.get("/my/")
def overview() -> str:
    """All own badges, or the way to sign in."""
    with tools().database.read() as session:
        visit = find_visit(session, session_digest(), utc_now())
        badges = own_badges(session, visit.addresses) if visit else []
    return render_template("my/overview.html", visit=visit, badges=badges, servers=[] if visit else servers())


@blueprint.post("/my/sign-out")
def sign_out() -> Response:
    """End the visit."""
    backpacks.sign_out(tools(), session_digest())
    return redirect(url_for("my.overview"), 303)


@blueprint.get("/privacy")
def privacy() -> str:
    """What is kept of whom, and why."""
    return render_template("my/privacy.html")
