"""The column of a badge in the LMS's gradebook: made, filled and taken away as the instructor wants it (AGS 2.0)."""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.db import wake
from lti_tool.errors import ConflictError
from lti_tool.logs import get_logger
from lti_tool.lti import ags
from lti_tool.lti.deeplinking import resource_id
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Award, AwardStatus, Course, Rule
from lti_tool.services import rules
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

RETRY = timedelta(minutes=5)


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
        schedule(session, award, now)


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


def schedule(session: Session, award: Award, now: datetime) -> None:
    """Let the score of an issued award be sent."""
    award.score_sent_at, award.score_due_at, award.score_advice = None, now, None
    wake(session, "score", award.id)


def due_scores(session: Session, now: datetime, limit: int = 1000) -> list[int]:
    """The awards whose score should be sent now."""
    return list(session.scalars(select(Award.id).where(Award.score_due_at <= now).limit(limit)))


def send_score(tools: Toolbox, award_id: int, now: datetime) -> None:
    """Send the score of an award if it is due; sending it twice does no harm."""
    with tools.database.read() as session:
        award = session.get(Award, award_id)
        if award is None or award.score_due_at is None or award.score_due_at > now:
            return
        url, sub = award.rule.line_item_url, award.person.sub
        platform_id = award.course.deployment.platform_id
    outcome: dict[str, object] = {"score_sent_at": now, "score_due_at": None, "score_advice": None}
    if url is not None:
        try:
            ags.post_score(ServiceClient(tools.database, tools.vault, tools.http), platform_id, url, sub, now)
        except LtiServiceError as error:
            log.warning("score_not_sent", award_id=award_id, status=error.status, retryable=error.retryable)
            again = now + RETRY if error.retryable else None
            outcome = {"score_due_at": again, "score_advice": error.advice[:1000]}
    with tools.database.write() as session:
        session.execute(update(Award).where(Award.id == award_id).values(outcome))
        session.commit()
