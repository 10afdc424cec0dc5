"""Somebody's own badges from all courses, by the addresses that they have proved to own."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.models import Award, AwardStatus, LearnerVisit
from lti_tool.services.reports.common import BadgeView, badge_view, label_of, state_of


@dataclass(frozen=True)
class OwnBadge:
    """An award to one of the addresses."""

    badge: BadgeView
    course: str
    status: str
    status_label: str
    date: datetime
    recipient: str
    verify_url: str | None


def find_visit(session: Session, session_digest: str, now: datetime) -> LearnerVisit | None:
    """Who has signed in with Badgr in this browser; None for nobody."""
    visit = session.get(LearnerVisit, session_digest)
    return visit if visit is not None and visit.expires_at > now else None


def own_badges(session: Session, addresses: list[str]) -> list[OwnBadge]:
    """Every award that was sent to one of these addresses, the newest first; of nobody else."""
    sent = (AwardStatus.ISSUED, AwardStatus.REVOKING, AwardStatus.REVOKED)
    query = (
        select(Award)
        .where(func.lower(Award.recipient).in_(addresses), Award.status.in_(sent), Award.assertion_id.is_not(None))
        .options(joinedload(Award.badge_class), joinedload(Award.course))
        .order_by(Award.issued_at.desc(), Award.id)
    )
    return [
        OwnBadge(
            badge=badge_view(award.badge_class),
            course=award.course.title or award.course.label,
            status=state_of(award),
            status_label=label_of(award),
            date=award.issued_at or award.achieved_at,
            recipient=award.recipient or "",
            verify_url=award.open_badge_id,
        )
        for award in session.scalars(query)
    ]
