"""What administrators see of the way to Badgr: awards that wait for somebody, and how much is on its way."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session, joinedload

from lti_tool.errors import NotFoundError
from lti_tool.models import Award, AwardStatus, Course, Deployment, Event, EventStatus, Source
from lti_tool.services.admins import Admin
from lti_tool.services.reports.common import ON_THE_WAY, label_of, state_of

PAGE_SIZE = 50
STUCK = (AwardStatus.FAILED, AwardStatus.HELD)


@dataclass(frozen=True)
class StuckAward:
    """An award that does not go out by itself, with its cause and what to do."""

    id: int
    person: str
    badge: str
    course: str
    state: str
    label: str
    advice: str
    since: datetime
    can_retry: bool


@dataclass(frozen=True)
class StuckReport:
    """One page of stuck awards, and the numbers of everything that is on its way."""

    rows: list[StuckAward]
    page: int
    pages: int
    total: int
    on_the_way: int
    oldest_due_at: datetime | None
    events_waiting: int
    events_unmatched: int


def stuck_report(session: Session, admin: Admin, page: int) -> StuckReport:
    """Failed awards first, then held ones, the oldest first."""
    stuck = select(Award).where(_is_own(admin), Award.status.in_(STUCK))
    total = session.scalar(select(func.count()).select_from(stuck.subquery())) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(max(page, 1), pages)
    shown = stuck.options(joinedload(Award.person), joinedload(Award.badge_class), joinedload(Award.course))
    ordered = shown.order_by(Award.status, Award.id).offset((page - 1) * PAGE_SIZE).limit(PAGE_SIZE)
    moving = select(func.count(), func.min(Award.due_at)).where(_is_own(admin), Award.status.in_(ON_THE_WAY))
    on_the_way, oldest = session.execute(moving).one()
    events = _events(session, admin)
    return StuckReport(
        rows=[_row(award) for award in session.scalars(ordered)],
        page=page,
        pages=pages,
        total=total,
        on_the_way=on_the_way,
        oldest_due_at=oldest,
        events_waiting=events.get(EventStatus.RECEIVED, 0),
        events_unmatched=events.get(EventStatus.UNMATCHED, 0),
    )


def course_of_award(session: Session, admin: Admin, award_id: int) -> Course:
    """The course of an award that this administrator may see, with its deployment; raises NotFoundError."""
    query = select(Course).join(Award, Award.course_id == Course.id).options(joinedload(Course.deployment))
    course = session.scalar(query.where(_is_own(admin), Award.id == award_id))
    if course is None:
        raise NotFoundError("It does not exist, or it is not yours to administer.")
    return course


def _is_own(admin: Admin) -> ColumnElement[bool]:
    if admin.is_local:
        return true()
    return Award.course_id.in_(select(Course.id).where(Course.deployment_id == admin.deployment_id))


def _events(session: Session, admin: Admin) -> dict[EventStatus, int]:
    query = select(Event.status, func.count()).where(Event.status.in_([EventStatus.RECEIVED, EventStatus.UNMATCHED]))
    if not admin.is_local:
        # Events belong to a platform's sources: they are counted for whoever has the only deployment there.
        alone = select(Deployment.platform_id).group_by(Deployment.platform_id).having(func.count() == 1)
        own = select(Source.id).where(Source.platform_id == admin.platform_id, Source.platform_id.in_(alone))
        query = query.where(Event.source_id.in_(own))
    return {row[0]: row[1] for row in session.execute(query.group_by(Event.status))}


def _row(award: Award) -> StuckAward:
    return StuckAward(
        id=award.id,
        person=award.person.display_name,
        badge=award.badge_class.name,
        course=award.course.title or award.course.label or award.course.context_id,
        state=state_of(award),
        label=label_of(award),
        advice=award.advice or "",
        since=award.opened_at,
        can_retry=award.status is AwardStatus.FAILED,
    )
