"""The instructor's pages of one course: first page, learners, one award."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.services import admins, awarding, connections, copies, grants, pulls, revocation, roster
from lti_tool.services.reports.award import award_view
from lti_tool.services.reports.course import course_report
from lti_tool.services.reports.learners import SHOWS, learner_table
from lti_tool.web import access
from lti_tool.web.badgr import ticket_for
from lti_tool.web.checklist import attention, checklist
from lti_tool.web.pager import pager
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("course", __name__, url_prefix="/courses/<int:course_id>")


@blueprint.get("/")
def overview(course_id: int) -> str:
    """The first page: the set-up checklist, what is stuck, and every rule with its numbers."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        report = course_report(session, course_id)
        copy_offer = copies.offer(session, visit.course, visit.person_id)
        can_pull = pulls.can_pull(session, tools().vault, visit.course)
        is_connected = connections.is_connected(session, visit.course)
        choices = [] if is_connected else grants.choices(session, visit.course, visit.person_id)
    connect_url = url_for("badgr.connect", ticket=ticket_for(visit))
    steps = checklist(report, course_id, connect_url)
    return render_template(
        "course/overview.html",
        course=visit.course,
        person=visit.person,
        copy_offer=copy_offer,
        other_accounts=sum(choice.is_alive for choice in choices),
        checklist=steps,
        is_ready=report.was_set_up and report.connection is not None and report.connection.alive,
        waiting_for_connection=report.connection is None or not report.connection.alive,
        attention=attention(report, course_id, connect_url),
        counts=report.counts,
        rules=report.rules,
        pulled_at=report.pulled_at,
        archived=report.archived,
        connection=report.connection,
        can_pull=can_pull,
        is_admin=admins.find(tools(), access.session_digest(), utc_now()) is not None,
        can_make_rules=report.connection is not None and report.issuer_name is not None,
    )


@blueprint.post("/copy")
def answer_copy(course_id: int) -> Response:
    """Take over the rules of the course that this one was copied from, or not."""
    visit = access.enter_as_teacher()
    take_over = request.form.get("decision") == "take"
    number = copies.answer(tools(), course_id, visit.person_id, utc_now(), take_over=take_over)
    if take_over:
        flash(f"Taken over: {number}. They are drafts: look at each, and switch it on.", "success")
    return redirect(url_for("course.overview", course_id=course_id), 303)


@blueprint.post("/refresh")
def refresh(course_id: int) -> Response:
    """Read the course list and the results from the LMS now; the page does not wait for it."""
    access.enter_as_teacher()
    pulls.request_by_hand(tools(), course_id, utc_now())
    flash("The results are being read from the LMS. Reload this page in a moment to see what was found.", "success")
    return redirect(url_for("course.overview", course_id=course_id), 303)


@blueprint.get("/connection")
def connection_news(course_id: int) -> Response:
    """Asked by the first page while it waits for the Badgr tab: nothing new (204), or reload yourself."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        is_connected = connections.is_connected(session, visit.course)
    response = Response(status=204)
    if is_connected:
        # htmx reloads the page on this header (htmx.org, "Response Headers").
        response.headers["HX-Refresh"] = "true"
    return response


@blueprint.get("/learners")
def learners(course_id: int) -> str:
    """Who has what, and who is close."""
    visit = access.enter_as_teacher()
    query = request.args.get("q", "").strip()[:100]
    page = request.args.get("page", 1, type=int)
    show = request.args.get("show", "all")
    show = show if show in SHOWS else "all"
    with tools().database.read() as session:
        table = learner_table(session, course_id, query, page, show)
    kept = {"q": query or None, "show": None if show == "all" else show}
    return render_template(
        "course/learners.html",
        course=visit.course,
        head=table.head,
        rows=table.rows,
        query=query,
        show=show,
        pager=pager("course.learners", table.page, table.pages, table.total, course_id=course_id, **kept),
    )


@blueprint.post("/roster")
def read_roster(course_id: int) -> Response:
    """Read the course list from the LMS again."""
    access.enter_as_teacher()
    roster.ask(tools(), course_id)
    flash("The course list is being read from the LMS. Reload this page in a moment.", "success")
    return redirect(url_for("course.learners", course_id=course_id), 303)


@blueprint.get("/awards/<int:award_id>")
def award(course_id: int, award_id: int) -> str:
    """One award: why it was earned, where it stands, and its time line."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        view = award_view(session, awarding.find(session, course_id, award_id))
    return render_template("course/award.html", course=visit.course, award=view)


@blueprint.post("/awards/<int:award_id>/revoke")
def revoke_award(course_id: int, award_id: int) -> Response:
    """Take an award back."""
    visit = access.enter_as_teacher()
    who = visit.person.display_name
    revocation.request(tools(), course_id, award_id, request.form.get("reason", ""), who, utc_now())
    flash("The badge is being revoked.", "success")
    return redirect(url_for("course.award", course_id=course_id, award_id=award_id), 303)


@blueprint.post("/awards/<int:award_id>/retry")
def retry_award(course_id: int, award_id: int) -> Response:
    """Send an award again at once."""
    access.enter_as_teacher()
    awarding.retry(tools(), course_id, award_id, utc_now())
    flash("The award is being sent again. Reload this page in a moment to see what Badgr answers.", "success")
    return redirect(url_for("course.award", course_id=course_id, award_id=award_id), 303)
