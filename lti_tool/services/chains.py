"""Badges that other rules wait for: whoever gets one is decided on again where it may earn more."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import badges_of
from lti_tool.models import Award, Enrolment, Rule, RuleStatus
from lti_tool.services import awarding, facts


def follow(session: Session, opened: Sequence[Award], now: datetime, *, but_course_id: int | None = None) -> None:
    """Have everybody with a new award decided on again in the courses whose rules ask for it, in transactions of their
    own; not in `but_course_id`, whose rules have been asked."""
    badges = {(award.person_id, award.badge_class_id) for award in opened}
    people = sorted({award.person_id for award in opened})
    for start in range(0, len(people), facts.CHUNK):
        query = (
            select(Enrolment, Rule)
            .join(Rule, Rule.course_id == Enrolment.course_id)
            .where(Enrolment.person_id.in_(people[start : start + facts.CHUNK]), Rule.status == RuleStatus.ACTIVE)
        )
        if but_course_id is not None:
            query = query.where(Enrolment.course_id != but_course_id)
        for enrolment, rule in session.execute(query).unique():
            if any((enrolment.person_id, badge) in badges for badge in badges_of(rule.criteria)):
                awarding.decide_again(session, enrolment, now)
