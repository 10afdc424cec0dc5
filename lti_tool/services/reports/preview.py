"""How the class stands with what a rule asks, for a page: of a rule, or of one that is still being written."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from lti_tool.models import Course
from lti_tool.services import holding, standings
from lti_tool.services.standings import Standing, Subject


@dataclass(frozen=True)
class PreviewPerson:
    """A learner in a preview: how far, and what would keep the badge from going out."""

    name: str
    detail: str
    note: str | None


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
    return Preview(
        earned=people(found.earned),
        close=people(found.close),
        unreachable=people(found.unreachable),
        earned_count=found.earned_count,
        close_count=found.close_count,
        unreachable_count=found.unreachable_count,
        new_count=found.new_count,
        rest=found.rest,
        total=found.total,
        is_list_awaited=course.memberships_url is not None and course.roster_synced_at is None,
    )


def people(found: list[Standing]) -> list[PreviewPerson]:
    """The learners of a list, each with what is worth knowing."""
    return [_person(standing) for standing in found]


def _person(standing: Standing) -> PreviewPerson:
    note = None if standing.hold is None else holding.HOLD_LABEL[standing.hold]
    if standing.has_badge:
        note = "Has this badge already"
    return PreviewPerson(standing.name, standing.decision.detail, note)
