"""Pages of runs: awards that one act brought, to confirm when they are many, and to take back."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.errors import OutdatedError
from lti_tool.models import Visit
from lti_tool.services import runs
from lti_tool.services.reports.runs import run_list, run_report, undo_view
from lti_tool.web import access
from lti_tool.web.pager import pager
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("runs", __name__, url_prefix="/courses/<int:course_id>/runs")


@blueprint.get("")
def overview(course_id: int) -> str:
    """What awarded to several people at once in this course."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        found = run_list(session, course_id, request.args.get("page", 1, type=int))
    links = pager("runs.overview", found.page, found.pages, found.total, course_id=course_id)
    return render_template("course/runs.html", course=visit.course, runs=found.runs, pager=links)


@blueprint.get("/<int:run_id>")
def run(course_id: int, run_id: int) -> str:
    """One run: who did what, and every award with its reasons."""
    return _run_page(access.enter_as_teacher(), run_id)


@blueprint.post("/<int:run_id>/confirm")
def confirm(course_id: int, run_id: int) -> Response | tuple[str, int]:
    """Let the awards of a run go out, if they are still those that were shown."""
    visit = access.enter_as_teacher()
    who, shown = visit.person.display_name, request.form.get("shown", "")
    try:
        count = runs.confirm(tools(), course_id, run_id, who, utc_now(), shown=shown)
    except OutdatedError as error:
        return _run_page(visit, run_id, error.advice), 409
    flash(
        f"Confirmed. {count} {'badge goes' if count == 1 else 'badges go'} out now, by themselves."
        if count
        else "Confirmed. Each badge goes out as soon as it has what else it waits for.",
        "success",
    )
    return redirect(url_for("runs.run", course_id=course_id, run_id=run_id), 303)


@blueprint.get("/<int:run_id>/undo")
def ask_undo(course_id: int, run_id: int) -> str:
    """What taking the awards back would do."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        view = undo_view(session, course_id, run_id)
    return render_template("course/run_undo.html", course=visit.course, undo=view, run=view.run)


@blueprint.post("/<int:run_id>/undo")
def undo(course_id: int, run_id: int) -> Response:
    """Take the awards back, and pause the rules that made them."""
    visit = access.enter_as_teacher()
    with tools().database.read() as session:
        planned = undo_view(session, course_id, run_id)
    count = runs.undo(tools(), course_id, run_id, visit.person.display_name, utc_now())
    advice = " Mend the rule before you switch it on again." if planned.rules else ""
    flash(f"Taken back: {count} {'award' if count == 1 else 'awards'}.{advice}", "warning")
    return redirect(url_for("runs.run", course_id=course_id, run_id=run_id), 303)


def _run_page(visit: Visit, run_id: int, notice: str = "") -> str:
    with tools().database.read() as session:
        report = run_report(session, visit.course_id, run_id, request.args.get("page", 1, type=int))
    links = pager("runs.run", report.page, report.pages, report.run.awards, course_id=visit.course_id, run_id=run_id)
    return render_template(
        "course/run.html",
        course=visit.course,
        run=report.run,
        awards=report.awards,
        outdated=report.outdated,
        shown=report.mark,
        notice=notice,
        pager=links,
    )
