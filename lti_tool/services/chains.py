"""Badges that other rules wait for: whoever gets or loses one is decided on again where that earns or loses more."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import chunks
from lti_tool.domain.criteria import badges_of
from lti_tool.models import Award, Enrolment, Rule, RuleStatus
from lti_tool.services import awarding


def follow(session: Session, awards: Sequence[Award], now: datetime, *, but_course_id: int | None = None) -> None:
    """Have everybody with such an award decided on again, on their own, in the courses whose rules ask for it.

    Not in `but_course_id`, whose rules have been asked. Awards that wait for a person's word earn nothing yet.
    """
    badges = {(award.person_id, award.badge_class_id) for award in awards if award.is_decided}

    def is_meant(person_id: int, rule: Rule) -> bool:
        return any((person_id, badge) in badges for badge in badges_of(rule.criteria))

    _decide_again(session, sorted({person_id for person_id, _ in badges}), is_meant, now, but_course_id)


def follow_loss(session: Session, awards: Sequence[Award], now: datetime) -> None:
    """Have everybody whose award was taken back decided on again, wherever its badge is asked for or can be earned."""
    lost = {(award.person_id, award.badge_class_id) for award in awards}

    def is_meant(person_id: int, rule: Rule) -> bool:
        return any((person_id, badge) in lost for badge in {rule.badge_class_id, *badges_of(rule.criteria)})

    _decide_again(session, sorted({person_id for person_id, _ in lost}), is_meant, now)


def _decide_again(
    session: Session,
    people: Sequence[int],
    is_meant: Callable[[int, Rule], bool],
    now: datetime,
    but_course_id: int | None = None,
) -> None:
    for some in chunks(people):
        query = (
            select(Enrolment, Rule)
            .join(Rule, Rule.course_id == Enrolment.course_id)
            .where(Enrolment.person_id.in_(some), Rule.status == RuleStatus.ACTIVE)
            .order_by(Enrolment.id)
        )
        if but_course_id is not None:
            query = query.where(Enrolment.course_id != but_course_id)
        for enrolment, rule in session.execute(query).unique():
            if is_meant(enrolment.person_id, rule):
                awarding.decide_again(session, enrolment, now)
