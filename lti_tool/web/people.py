"""The people of a rule: how each stands and why, what a teacher grants them, and awards by hand."""

from datetime import UTC, datetime

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.errors import InvalidInputError
from lti_tool.models import ExceptionKind, RunStatus, Visit
from lti_tool.services import by_hand, exceptions
from lti_tool.services.exceptions import Grant
from lti_tool.services.reports.explanation import explain
from lti_tool.services.reports.people import SHOWS, Search, people_report
from lti_tool.web import access
from lti_tool.web.by_hand import check_page
from lti_tool.web.hygiene import row_id
from lti_tool.web.pager import pager
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("people", __name__, url_prefix="/courses/<int:course_id>/rules/<int:rule_id>/people")

SAID = {
    ExceptionKind.EXTENSION: "More time is given to",
    ExceptionKind.EXCUSED: "Excused:",
    ExceptionKind.APPROVED: "Approved:",
}


@blueprint.get("")
def overview(course_id: int, rule_id: int) -> str:
    """The learners for one rule, with what can be done for those who are ticked."""
    visit = access.enter_as_teacher()
    show = request.args.get("show", "all")
    search = Search(
        words=request.args.get("q", "").strip()[:100],
        show=show if show in SHOWS else "all",
        person_id=request.args.get("person", type=row_id),
        page=request.args.get("page", 1, type=int),
    )
    with tools().database.read() as session:
        report = people_report(session, course_id, rule_id, search)
    kept = {"q": search.words or None, "show": None if search.show == "all" else search.show}
    links = pager(
        "people.overview", report.page, report.pages, report.total, course_id=course_id, rule_id=rule_id, **kept
    )
    return render_template("course/people.html", course=visit.course, rule=report, search=search, pager=links)


@blueprint.get("/<int:person_id>")
def person(course_id: int, rule_id: int, person_id: int) -> str:
    """Why one person has the badge, or has it not."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        view = explain(session, course_id, rule_id, person_id)
    return render_template("course/why.html", course=visit.course, why=view)


@blueprint.post("")
def act(course_id: int, rule_id: int) -> Response | str:
    """Grant something to the learners who are ticked; or show what an award or a revocation by hand would do."""
    visit = access.enter_rule(course_id, rule_id)
    action = request.form.get("action", "")
    people = [int(key) for key in request.form.getlist("person") if key.isascii() and key.isdigit() and len(key) < 18]
    if not people:
        raise InvalidInputError("Tick at least one learner, then press the button again.")
    if action in by_hand.ACTIONS:
        note = by_hand.checked_note(request.form.get("note", ""))
        lines = [by_hand.Line(key, action, note) for key in dict.fromkeys(people)]
        return check_page(visit, rule_id, lines)
    return _grant(visit, rule_id, action, people)


@blueprint.post("/exceptions/<int:exception_id>/take-back")
def take_back(course_id: int, rule_id: int, exception_id: int) -> Response:
    """Take an exception back."""
    access.enter_as_teacher()
    exceptions.take_back(tools(), course_id, rule_id, exception_id, utc_now())
    flash("Taken back. A badge that it earned is kept or not, as the rule says of falling results.", "success")
    person_id = request.form.get("person", type=row_id)
    endpoint = "people.person" if person_id else "people.overview"
    return redirect(url_for(endpoint, course_id=course_id, rule_id=rule_id, person_id=person_id), 303)


def _grant(visit: Visit, rule_id: int, action: str, people: list[int]) -> Response:
    kinds = {kind.value: kind for kind in ExceptionKind}
    if action not in kinds:
        raise InvalidInputError("Press one of the buttons below the list.")
    told = Grant(
        kinds[action],
        activity_id=request.form.get("activity", type=row_id) if action == ExceptionKind.EXCUSED else None,
        until=_moment(request.form.get("until", "")) if action == ExceptionKind.EXTENSION else None,
        note=request.form.get("note", ""),
    )
    granted = exceptions.grant(tools(), visit.course_id, rule_id, people, told, visit.person_id, utc_now())
    said = f"{SAID[told.kind]} {granted.people} {'learner' if granted.people == 1 else 'learners'}."
    if granted.run is not None and granted.run.status is RunStatus.WAITING:
        flash(f"{said} So many badges at once wait for you: look at the list, and confirm it.", "warning")
        return redirect(url_for("runs.run", course_id=visit.course_id, run_id=granted.run.id), 303)
    if granted.awards:
        said += f" {granted.awards} {'badge is' if granted.awards == 1 else 'badges are'} earned by that."
    flash(said, "success")
    return redirect(url_for("people.overview", course_id=visit.course_id, rule_id=rule_id, show="exceptions"), 303)


def _moment(text: str) -> datetime:
    """What a browser sends of a field for day and time, meant in UTC."""
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInputError("until: enter a day and a time, for example 2026-12-31T23:59.") from None
