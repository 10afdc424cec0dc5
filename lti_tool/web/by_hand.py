"""Awards and revocations by hand: a table (CSV) or learners who are ticked; shown first, then confirmed."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.errors import InvalidInputError
from lti_tool.models import RunStatus, Visit
from lti_tool.services import by_hand, rules
from lti_tool.services.by_hand import Line, Plan
from lti_tool.services.reports.common import badge_view
from lti_tool.web import access
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("by_hand", __name__, url_prefix="/courses/<int:course_id>/rules/<int:rule_id>")

TABLE_BYTES = 512 * 1024
# The lines of a checked table, and the fields beside them.
UPLOAD_BYTES = 2 * TABLE_BYTES
SHOWN = 500
EXAMPLE = (
    "learner,action,note\r\n"
    "lea@example.org,award,Gave a talk about cells\r\n"
    "10472,award,Repaired the microscope\r\n"
    "tom@example.org,revoke,Entered by mistake\r\n"
)
CHANGED = "Something has changed since you looked. This is what would happen now."


@blueprint.get("/table")
def table(course_id: int, rule_id: int) -> str:
    """Choose a table."""
    return _table_page(access.enter_as_teacher(), rule_id)


@blueprint.get("/table/example.csv")
def example(course_id: int, rule_id: int) -> Response:
    """A table to start from."""
    access.enter_rule(course_id, rule_id)
    headers = {"Content-Disposition": "attachment; filename=awards-by-hand.csv"}
    return Response(EXAMPLE, mimetype="text/csv", headers=headers)


@blueprint.post("/table")
def read_table(course_id: int, rule_id: int) -> str | tuple[str, int]:
    """Check a table, and show what it would do."""
    visit = access.enter_rule(course_id, rule_id)
    try:
        text = _uploaded()
        with tools().database.read() as session:
            lines = by_hand.read_table(session, course_id, rule_id, text)
    except InvalidInputError as error:
        return _table_page(visit, rule_id, error), 422
    return check_page(visit, rule_id, lines)


@blueprint.post("/by-hand")
def carry_out(course_id: int, rule_id: int) -> Response | str:
    """Award and revoke what was shown, if it is still so."""
    visit = access.enter_rule(course_id, rule_id)
    lines = _carried(request.form.get("lines", ""))
    with tools().database.read() as session:
        plans = by_hand.plan(session, course_id, rule_id, lines)
    if _digest(plans) != request.form.get("shown"):
        return check_page(visit, rule_id, lines, CHANGED)
    done = by_hand.carry_out(tools(), course_id, rule_id, lines, visit.person_id, utc_now())
    said = f"Awarded: {done.awarded}. Revoked: {done.revoked}. Left as they were: {done.unchanged}."
    if done.run is not None and done.run.status is RunStatus.WAITING:
        flash(f"{said} So many badges at once wait for you: look at the list, and confirm it.", "warning")
        return redirect(url_for("runs.run", course_id=course_id, run_id=done.run.id), 303)
    flash(said, "success")
    return redirect(url_for("people.overview", course_id=course_id, rule_id=rule_id), 303)


def check_page(visit: Visit, rule_id: int, lines: Sequence[Line], notice: str | None = None) -> str:
    """What the lines would do, to be confirmed; raises NotFoundError, ConflictError."""
    with tools().database.read() as session:
        plans = by_hand.plan(session, visit.course_id, rule_id, lines)
        badge = badge_view(rules.find(session, visit.course_id, rule_id).badge_class)
    numbers = Counter(plan.effect for plan in plans)
    return render_template(
        "course/by_hand_check.html",
        course=visit.course,
        rule_id=rule_id,
        badge=badge,
        plans=plans[:SHOWN],
        total=len(plans),
        awarded=numbers["award"],
        revoked=numbers["revoke"],
        unchanged=numbers["none"],
        carried=json.dumps([[x.person_id, x.action, x.note, x.number] for x in lines], ensure_ascii=False),
        shown=_digest(plans),
        notice=notice,
    )


def _table_page(visit: Visit, rule_id: int, error: InvalidInputError | None = None) -> str:
    with tools().database.read() as session:
        badge = badge_view(rules.find(session, visit.course_id, rule_id).badge_class)
    return render_template(
        "course/by_hand_table.html",
        course=visit.course,
        rule_id=rule_id,
        badge=badge,
        title=error.title if error else "",
        faults=error.advice.split("\n") if error else [],
        most=by_hand.MOST_LINES,
        kilobytes=TABLE_BYTES // 1024,
    )


def _uploaded() -> str:
    sent = request.files.get("table")
    body = sent.read(TABLE_BYTES + 1) if sent else b""
    if not body:
        raise InvalidInputError("Choose a file with a table (CSV).")
    if len(body) > TABLE_BYTES:
        raise InvalidInputError(f"The file is larger than {TABLE_BYTES // 1024} kB. Send it in parts.")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError("The file is not text in UTF-8. In your spreadsheet, save it as “CSV UTF-8”.") from None


def _carried(text: str) -> list[Line]:
    """The lines that the form of the shown page brings back: as free as a table, so checked like one."""
    try:
        rows = json.loads(text)
        lines = [Line(int(person_id), str(action), str(note), int(number)) for person_id, action, note, number in rows]
        damaged = any(not 0 < line.person_id < 2**63 for line in lines)
    except (ValueError, TypeError, OverflowError, RecursionError):
        damaged = True
    if damaged:
        raise InvalidInputError("The form came back damaged. Nothing was changed; start again.")
    if not 1 <= len(lines) <= by_hand.MOST_LINES or len({line.person_id for line in lines}) != len(lines):
        raise InvalidInputError("Each learner may be named once, and at least one must be. Nothing was changed.")
    if any(line.action not in by_hand.ACTIONS for line in lines):
        raise InvalidInputError("Each line must award or revoke. Nothing was changed.")
    return [Line(x.person_id, x.action, by_hand.checked_note(x.note), x.number) for x in lines]


def _digest(plans: Sequence[Plan]) -> str:
    """Tells whether what would happen is what was shown."""
    told = [(plan.line.person_id, plan.line.action, plan.line.note, plan.effect) for plan in plans]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
