"""A course's learners, rules and reasons to take along, as a table or as JSON; for its teachers."""

import re

from flask import Blueprint, Response

from lti_tool.services.reports import export
from lti_tool.web import access
from lti_tool.web.parts import tools, utc_now

blueprint = Blueprint("export", __name__, url_prefix="/courses/<int:course_id>")

KINDS = {"csv": "text/csv", "json": "application/json"}


@blueprint.get("/export.<any(csv, json):form>")
@blueprint.get("/rules/<int:rule_id>/export.<any(csv, json):form>")
def course(course_id: int, form: str, rule_id: int | None = None) -> Response:
    """Every learner with every rule, or with one; sent as it is read."""
    visit = access.enter_as_teacher()
    toolbox = tools()
    with toolbox.database.read() as session:
        chosen = export.scope(session, course_id, rule_id)
    pieces = export.csv_pieces(toolbox, chosen) if form == "csv" else export.json_pieces(toolbox, chosen)
    name = re.sub(r"[^A-Za-z0-9]+", "-", visit.course.label or "course").strip("-") or "course"
    file = f"badges-{name}-{utc_now():%Y-%m-%d}.{form}"
    return Response(pieces, mimetype=KINDS[form], headers={"Content-Disposition": f"attachment; filename={file}"})
