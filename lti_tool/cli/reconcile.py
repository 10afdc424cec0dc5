"""`lti-badges reconcile`: read everything anew from the LMSs and from Badgr, whatever events were lost."""

from datetime import UTC, datetime

import click
from sqlalchemy import select

from lti_tool.cli.output import json_option, print_rows
from lti_tool.cli.tools import ROW_ID, open_tools
from lti_tool.models import Connection, Course, Rule, RuleStatus
from lti_tool.services import changes, pulls


@click.command()
@click.option("--course", "course_id", type=ROW_ID, help="Only this course; else all with a badge that is switched on.")
@json_option
def reconcile(course_id: int | None, as_json: bool) -> None:
    """Read course lists, results and changes at Badgr now. What is found is worked on by the running tool."""
    tools, now = open_tools(), datetime.now(UTC)
    used = select(Rule.course_id).where(Rule.status == RuleStatus.ACTIVE)
    chosen = Course.id == course_id if course_id is not None else Course.id.in_(used)
    with tools.database.read() as session:
        courses = session.scalars(select(Course).where(chosen).order_by(Course.id)).all()
        connections = session.scalars(
            select(Connection.id)
            .where(Connection.id.in_([course.connection_id for course in courses]), Connection.dead_since.is_(None))
            .order_by(Connection.id)
        ).all()
    rows = []
    for course in courses:
        found = pulls.now_by_hand(tools, course.id, now)
        read = {"results": found.read, "changed": found.changed} if found else {"results": None, "changed": None}
        rows.append({"course": course.id, "title": course.title or course.context_id} | read)
    for connection_id in connections:
        changes.look(tools, connection_id, now)
    print_rows(rows, as_json, "No course has a badge that is switched on.")
