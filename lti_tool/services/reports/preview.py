"""How the class stands with what a rule asks, for a page: of a rule, or of one that is still being written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.decision import Decision
from lti_tool.models import Award, AwardStatus, Course, Repeat
from lti_tool.services import facts, holding, standings
from lti_tool.services.reports.common import label_of, state_of
from lti_tool.services.standings import Standing, Subject

NOT_AGAIN = "Taken back; not awarded again by itself"


@dataclass(frozen=True)
class PreviewPerson:
    """A learner in a preview: how far, and what would keep the badge from going out."""

    person_id: int
    name: str
    detail: str
    note: str | None
    # Of the award that they have, on its way or arrived; None without one.
    award_state: str | None
    award_label: str | None


@dataclass(frozen=True)
class Preview:
    """How the class stands with a rule; the lists hold the first names, the numbers count everybody."""

    earned: list[PreviewPerson]
    close: list[PreviewPerson]
    unreachable: list[PreviewPerson]
    earned_count: int
    close_count: int
    unreachable_count: int
    new_count: int
    rest: int
    total: int
    # The first reading of the course list has not ended: names and numbers are about to come.
    is_list_awaited: bool


def preview(session: Session, subject: Subject, names: int = standings.SHOWN) -> Preview:
    """Where everybody stands, with so many names in each list; nothing is stored."""
    found = standings.survey(session, subject, names)
    course = session.get_one(Course, subject.course_id)
    titles = facts.activity_titles(session, subject.course_id)
    return Preview(
        earned=people(session, found.earned, titles, subject),
        close=people(session, found.close, titles, subject),
        unreachable=people(session, found.unreachable, titles, subject),
        earned_count=found.earned_count,
        close_count=found.close_count,
        unreachable_count=found.unreachable_count,
        new_count=found.new_count,
        rest=found.rest,
        total=found.total,
        is_list_awaited=(
            course.memberships_url is not None and course.roster_synced_at is None and course.roster_error is None
        ),
    )


def people(
    session: Session, found: Sequence[Standing], titles: Mapping[int, str], subject: Subject
) -> list[PreviewPerson]:
    """The learners of a list, each with what is worth knowing; `titles` are those of the activities."""
    owners = [standing.person_id for standing in found if standing.has_badge]
    query = select(Award).where(Award.badge_class_id == subject.badge_class_id, Award.person_id.in_(owners))
    if subject.repeat is Repeat.PER_TERM:
        query = query.where(Award.course_id == subject.course_id)
    awards = {award.person_id: award for award in session.scalars(query.order_by(Award.number))} if owners else {}
    return [_person(standing, titles, awards.get(standing.person_id)) for standing in found]


def detail_of(decision: Decision, titles: Mapping[int, str]) -> str:
    """What earned it, or what is missing; of several conditions each is named."""
    if len(decision.reasons) == 1:
        return decision.detail
    told = [reason for reason in decision.reasons if reason.met is decision.earned]
    named = ((titles.get(reason.activity_id or 0), reason.detail) for reason in told)
    return " ".join(f"{title}: {detail}" if title else detail for title, detail in named)


def _person(standing: Standing, titles: Mapping[int, str], award: Award | None) -> PreviewPerson:
    note = None if standing.hold is None or standing.has_badge else holding.HOLD_LABEL[standing.hold]
    if not standing.has_badge and not standing.may_earn:
        note = NOT_AGAIN
    is_there = award is not None and award.status is AwardStatus.ISSUED
    return PreviewPerson(
        standing.person_id,
        standing.name,
        detail_of(standing.decision, titles),
        note,
        state_of(award) if award else None,
        "Has this badge already" if is_there else label_of(award) if award else None,
    )
