"""The column of a badge in the LMS's gradebook: made, filled and taken away as the instructor wants it (AGS 2.0)."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.errors import ConflictError
from lti_tool.lti import ags
from lti_tool.lti.deeplinking import resource_id
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Award, AwardStatus, Course, Rule
from lti_tool.services import rules, scores
from lti_tool.toolbox import Toolbox


def is_offered(course: Course) -> bool:
    """Whether the LMS lets the tool make columns in this course."""
    needed = {ags.LINE_ITEM_SCOPE, ags.SCORE_SCOPE}
    return course.line_items_url is not None and needed <= set(course.service_scopes)


def switch_on(tools: Toolbox, course_id: int, rule_id: int, now: datetime) -> None:
    """Make the badge's column, or find it, and let everybody's score follow; raises ConflictError, LtiServiceError."""
    with tools.database.read() as session:
        rule = rules.find(session, course_id, rule_id)
        if not is_offered(rule.course):
            raise ConflictError("The LMS does not let this tool make columns in the gradebook of this course.")
        platform_id, line_items_url = rule.course.deployment.platform_id, rule.course.line_items_url
        label, known_url = f"Badge: {rule.badge_class.name}", rule.line_item_url
    assert line_items_url is not None
    if known_url is None:
        client = ServiceClient(tools.database, tools.vault, tools.http)
        wanted = resource_id(rule_id)
        item = ags.find_line_item(client, platform_id, line_items_url, wanted, now)
        if item is None:
            item = ags.create_line_item(client, platform_id, line_items_url, label, wanted, now)
        elif item.label != label:
            item = ags.rename_line_item(client, platform_id, item, label, now)
        known_url = item.url
    with tools.database.write() as session:
        adopt(session, rules.find(session, course_id, rule_id), known_url, now)
        session.commit()


def adopt(session: Session, rule: Rule, line_item_url: str, now: datetime) -> None:
    """Use this column for the rule, and send what everybody has."""
    if rule.has_column and rule.line_item_url == line_item_url:
        return
    rule.has_column, rule.line_item_url = True, line_item_url
    issued = select(Award).where(Award.rule_id == rule.id, Award.status == AwardStatus.ISSUED)
    for award in session.scalars(issued):
        scores.schedule(session, award, now)


def switch_off(tools: Toolbox, course_id: int, rule_id: int, now: datetime) -> None:
    """Take the badge's column out of the gradebook; raises LtiServiceError, and changes nothing then."""
    with tools.database.read() as session:
        rule = rules.find(session, course_id, rule_id)
        platform_id, url = rule.course.deployment.platform_id, rule.line_item_url
    if url is not None:
        ags.delete_line_item(ServiceClient(tools.database, tools.vault, tools.http), platform_id, url, now)
    with tools.database.write() as session:
        rule = rules.find(session, course_id, rule_id)
        rule.has_column, rule.line_item_url = False, None
        cleared = {"score_sent_at": None, "score_due_at": None, "score_advice": None}
        session.execute(update(Award).where(Award.rule_id == rule_id).values(cleared))
        session.commit()
