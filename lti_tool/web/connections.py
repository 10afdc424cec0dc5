"""By which Badgr account a course awards: whose it is, choosing another one, ending one's own."""

from flask import Blueprint, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from lti_tool.errors import NotFoundError
from lti_tool.services import connections, grants
from lti_tool.web import access
from lti_tool.web.badgr import ticket_for
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("connections", __name__, url_prefix="/courses/<int:course_id>/connections")


@blueprint.get("/")
def overview(course_id: int) -> str:
    """The account in use, and those that can be used instead."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        choices = grants.choices(session, visit.course, visit.person_id)
    connect_url = url_for("badgr.connect", ticket=ticket_for(visit))
    return render_template("course/connections.html", course=visit.course, choices=choices, connect_url=connect_url)


@blueprint.post("/<int:connection_id>/use")
def use(course_id: int, connection_id: int) -> Response:
    """Award by another account from now on."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        offered = {choice.id for choice in grants.choices(session, visit.course, visit.person_id)}
    if connection_id not in offered:
        raise NotFoundError("Choose one of the accounts in the list.")
    found = connections.with_client(tools(), connection_id, utc_now(), lambda client: client.issuers())
    grants.use(tools(), course_id, visit.person_id, connection_id, found, utc_now())
    flash("This course awards by that account from now on.", "success")
    return redirect(url_for("course.overview", course_id=course_id), 303)


@blueprint.post("/<int:connection_id>/disconnect")
def disconnect(course_id: int, connection_id: int) -> Response:
    """End one's own account's connection, in every course."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        own = {c.id for c in grants.choices(session, visit.course, visit.person_id) if c.is_own}
    if connection_id not in own:
        raise NotFoundError("Only who made a connection, or an administrator, can end it.")
    has_ended = grants.disconnect(tools(), connection_id, visit.person.display_name, utc_now())
    told = "" if has_ended else " Badgr could not be told; end it there as well, under App Integrations."
    flash(f"Disconnected. Badges that are earned wait until the course is connected again.{told}", "success")
    return redirect(url_for("course.overview", course_id=course_id), 303)
