"""Pages where a teacher approves awards, and says what becomes of those that the results do not earn any more."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.errors import InvalidInputError
from lti_tool.services import decisions
from lti_tool.services.reports.decisions import approvals as open_approvals
from lti_tool.services.reports.decisions import falls as open_falls
from lti_tool.web import access
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("decisions", __name__, url_prefix="/courses/<int:course_id>")


@blueprint.get("/approvals")
@blueprint.get("/rules/<int:rule_id>/approvals")
def approvals(course_id: int, rule_id: int | None = None) -> str:
    """The awards that wait for a teacher's approval, of the course or of one rule."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        found = open_approvals(session, course_id, rule_id)
    return render_template("course/approvals.html", course=visit.course, found=found, rule_id=rule_id)


@blueprint.post("/approvals")
@blueprint.post("/rules/<int:rule_id>/approvals")
def decide_approvals(course_id: int, rule_id: int | None = None) -> Response:
    """Approve or refuse the awards that are ticked."""
    visit = access.enter_as_teacher() if rule_id is None else access.enter_rule(course_id, rule_id)
    is_approved = _chosen("approve", "refuse") == "approve"
    who = visit.person.display_name
    count = decisions.approve(tools(), course_id, _award_ids(), who, utc_now(), approved=is_approved)
    what = "Approved; they go out by themselves" if is_approved else "Refused; nothing is sent"
    flash(f"{what}: {count} {'award' if count == 1 else 'awards'}.", "success")
    return redirect(url_for("decisions.approvals", course_id=course_id, rule_id=rule_id), 303)


@blueprint.get("/falls")
def falls(course_id: int) -> str:
    """The awards that the results do not earn any more."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        found = open_falls(session, course_id)
    may_revoke = visit.course.may_edit_badges
    return render_template("course/falls.html", course=visit.course, found=found, may_revoke=may_revoke)


@blueprint.post("/falls")
def decide_falls(course_id: int) -> Response:
    """Keep or revoke the awards that are ticked."""
    visit = access.enter_as_teacher()
    keeps = _chosen("keep", "revoke") == "keep"
    who = visit.person.display_name
    count = decisions.decide_fall(tools(), course_id, _award_ids(), who, utc_now(), keep=keeps)
    what = "Kept" if keeps else "Being revoked"
    flash(f"{what}: {count} {'award' if count == 1 else 'awards'}.", "success")
    return redirect(url_for("decisions.falls", course_id=course_id), 303)


def _chosen(*answers: str) -> str:
    decision = request.form.get("decision", "")
    if decision not in answers:
        raise InvalidInputError("Press one of the buttons below the list.")
    return decision


def _award_ids() -> list[int]:
    return [int(key) for key in request.form.getlist("award") if key.isascii() and key.isdigit() and len(key) < 18]
