"""Stores what events tell: the newest grade and progress of a person in an activity, in whatever order they come."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import get_or_create, insert_if_absent
from lti_tool.domain.events import ActivityRef, GradeEvent
from lti_tool.models import Activity, Course, Event, Person, Result

CLOCK_SKEW = timedelta(minutes=5)
NEW, SAME, LATE, FUTURE = "new", "same", "late", "from_the_future"


@dataclass(frozen=True)
class Stored:
    """What became of one grade event: new, the same as known, or late; and whether it claims to be from the future."""

    outcome: str
    is_from_future: bool

    def count(self, outcomes: Counter[str]) -> None:
        """Add it to the numbers of an event."""
        outcomes[self.outcome] += 1
        outcomes[FUTURE] += self.is_from_future


def store(session: Session, course: Course, person: Person, told: GradeEvent, event: Event, now: datetime) -> Stored:
    """Store what is newer than what is known; the caller holds the lock of the person in the course."""
    activity = find_activity(session, course, told.activity, now)
    # A clock that runs ahead must not keep later results out for as long as it is ahead.
    latest = event.received_at + CLOCK_SKEW
    grade, progress = _own(told.grade, event, latest), _own(told.progress, event, latest)
    key = {"activity_id": activity.id, "person_id": person.id}
    insert_if_absent(session, Result, key, grade_released=True, progress_released=True)
    result = session.scalars(select(Result).filter_by(**key).with_for_update()).one()
    before = result.state
    after = before.after(grade, progress)
    is_from_future = told.occurred_at > latest
    if after == before:
        is_known = grade in (None, before.grade) and progress in (None, before.progress)
        return Stored(SAME if is_known else LATE, is_from_future)
    result.state = after
    session.flush()
    return Stored(NEW, is_from_future)


def find_activity(session: Session, course: Course, ref: ActivityRef, now: datetime) -> Activity:
    """The activity that a source means, made when it is the first to name it; its title follows the LMS."""
    known = session.scalar(
        select(Activity).where(Activity.course_id == course.id, Activity.external_id == ref.external_id)
    )
    activity = known or _named_by_instructor(session, course, ref)
    if activity is None:
        return get_or_create(
            session,
            Activity,
            {"course_id": course.id, "external_id": ref.external_id},
            title=ref.title or f"{ref.kind.replace('_', ' ').capitalize()} {ref.external_id.rpartition(':')[2]}"[:500],
            kind=ref.kind,
            created_at=now,
        )
    activity.title = ref.title or activity.title
    activity.kind, activity.external_id = ref.kind, ref.external_id
    return activity


def _own(fact, event: Event, latest: datetime):  # type: ignore[no-untyped-def]
    return None if fact is None else replace(fact, at=min(fact.at, latest), event_id=event.id)


def _named_by_instructor(session: Session, course: Course, ref: ActivityRef) -> Activity | None:
    """The activity that a rule named before any source did: the first to come with its title is meant."""
    wanted = ref.title.strip().casefold()
    if not wanted:
        return None
    waiting = session.scalars(
        select(Activity)
        .where(Activity.course_id == course.id, Activity.external_id.is_(None))
        .order_by(Activity.id)
        .with_for_update()
    )
    return next((activity for activity in waiting if activity.title.strip().casefold() == wanted), None)
