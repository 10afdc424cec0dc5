"""How the class stands with what a rule asks, for a page: of a rule, or of one that is still being written."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from lti_tool.domain.decision import Decision
from lti_tool.models import Course
from lti_tool.services import facts, holding, standings
from lti_tool.services.standings import Standing, Subject


@dataclass(frozen=True)
class PreviewPerson:
    """A learner in a preview: how far, and what would keep the badge from going out."""

    person_id: int
    name: str
    detail: str
    note: str | None
    has_badge: bool


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
        earned=people(found.earned, titles),
        close=people(found.close, titles),
        unreachable=people(found.unreachable, titles),
        earned_count=found.earned_count,
        close_count=found.close_count,
        unreachable_count=found.unreachable_count,
        new_count=found.new_count,
        rest=found.rest,
        total=found.total,
        is_list_awaited=course.memberships_url is not None and course.roster_synced_at is None,
    )


def people(found: list[Standing], titles: Mapping[int, str]) -> list[PreviewPerson]:
    """The learners of a list, each with what is worth knowing; `titles` are those of the activities."""
    return [_person(standing, titles) for standing in found]


def _person(standing: Standing, titles: Mapping[int, str]) -> PreviewPerson:
    note = None if standing.hold is None or standing.has_badge else holding.HOLD_LABEL[standing.hold]
    detail = _detail(standing.decision, titles)
    return PreviewPerson(standing.person_id, standing.name, detail, note, standing.has_badge)


def _detail(decision: Decision, titles: Mapping[int, str]) -> str:
    """What earned it, or what is missing; of several conditions each is named."""
    if len(decision.reasons) == 1:
        return decision.detail
    told = [reason for reason in decision.reasons if reason.met is decision.earned]
    named = ((titles.get(reason.activity_id or 0), reason.detail) for reason in told)
    return " ".join(f"{title}: {detail}" if title else detail for title, detail in named)
