"""Awards that Badgr refused because the account might not award them: tried again when it may."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.badgr.errors import NOT_FOUND
from lti_tool.models import Award, AwardStatus, BadgeClass, Connection, Course
from lti_tool.services import awarding

# What Badgr refuses although the account may award it is not asked for ever.
MOST_ATTEMPTS = 20
AGAIN = "The connected account may award this badge now: it is tried again."


def try_again(session: Session, connection_id: int, issuer_ids: Collection[str], now: datetime) -> None:
    """Put awards of these issuers in the queue again that Badgr said were of nothing the account may use."""
    query = (
        select(Award)
        .join(Course, Course.id == Award.course_id)
        .join(Connection, Connection.id == Course.connection_id)
        .join(BadgeClass, BadgeClass.id == Award.badge_class_id)
        .where(Connection.id == connection_id, BadgeClass.server_id == Connection.server_id)
        .where(BadgeClass.issuer_entity_id.in_(issuer_ids), BadgeClass.gone_at.is_(None))
        .where(Award.status == AwardStatus.FAILED, Award.advice == NOT_FOUND, Award.attempts < MOST_ATTEMPTS)
        .order_by(Award.id)
        .with_for_update(of=Award)
    )
    for award in session.scalars(query):
        awarding.add_step(session, award, "released", AGAIN, now)
        awarding.make_due(session, award, now)
