"""What was read from an LMS against what is known: what is new in it, and what an event should have told."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from lti_tool.db import chunks
from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    IdKind,
    ProgressFact,
    ResultState,
)
from lti_tool.models import Activity, Course, Event, Person, Result, Source
from lti_tool.services import activities, binding, facts
from lti_tool.services.activities import Shelf
from lti_tool.services.sources import OWN_KINDS
from lti_tool.settings import Settings

UNFINISHED = (ActivityProgress.INITIALIZED, ActivityProgress.STARTED, ActivityProgress.IN_PROGRESS)
# The kind of an activity that AGS tells of.
LINE_ITEM = "line_item"
INSTANT = timedelta(microseconds=1)


def learn_titles(session: Session, course: Course, told: list[GradeEvent], settings: Settings, now: datetime) -> None:
    """Give activities the titles that they have in the LMS: some sources name them by nothing but an id.

    The caller has the course locked against events.
    """
    refs = _refs(told)
    shelf = Shelf(session, course.id, refs)
    # What is not known yet is named when a result in it is stored: nothing is made here.
    known = [(ref, activity) for ref in refs if ref.title and (activity := shelf.known(ref)) is not None]
    binding.settle_in(session, course, [ref for ref, _ in known], settings, now)
    for ref, activity in known:
        activities.rename(activity, ref)


def changed(
    session: Session,
    course_id: int,
    platform_id: int,
    told: list[GradeEvent],
    read_at: datetime,
    silent: Collection[str] = (),
) -> list[GradeEvent]:
    """Of all that was read at a moment, what says something else than what is known, and is not older than that.

    `silent` are the ids of activities of which the LMS does not say whether grades are released.
    """
    known = facts.results_of(session, course_id)
    refs = _refs(told)
    shelf = Shelf(session, course_id, refs)
    keys = {ref: activity.id for ref in refs if (activity := shelf.known(ref)) is not None}
    people = _people(session, platform_id, told)

    def state(event: GradeEvent) -> ResultState:
        person_id, activity_id = people.get(event.person[0].value), keys.get(event.activity)
        return known.get(person_id or 0, {}).get(activity_id or 0, ResultState())

    found = [(state(event), event, event.activity.external_id not in silent) for event in told]
    return [
        news
        for before, event, tells_release in found
        if (news := news_of(before, event, read_at, tells_release=tells_release)) is not None
    ]


def news_of(
    known: ResultState, told: GradeEvent, read_at: datetime, *, tells_release: bool = True
) -> GradeEvent | None:
    """What is new in a result that was read; None when it is known, times apart, or older than what is known."""
    if known.grade and told.grade and not tells_release:
        told = replace(told, grade=replace(told.grade, released=known.grade.released))
    told = _completed(known, told, read_at)
    if not _differs(known, told) or known.after(told.grade, told.progress) == known:
        return None
    return told


def without_own_columns(session: Session, course_id: int, changed: list[GradeEvent]) -> list[GradeEvent]:
    """The changes without those in line items that no event has ever named.

    An LMS calls the tool's own columns by other names in its events, or says nothing of them.
    """
    items = {event.activity.external_id for event in changed if event.activity.kind == LINE_ITEM}
    told_by = or_(Event.id == Result.grade_event_id, Event.id == Result.progress_event_id)
    named = set[str | None]()
    for some in chunks(sorted(items)):
        query = select(Activity.external_id).join(Result, Result.activity_id == Activity.id).join(Event, told_by)
        query = query.join(Source, Source.id == Event.source_id).where(Source.kind.not_in(OWN_KINDS))
        named.update(session.scalars(query.where(Activity.course_id == course_id, Activity.external_id.in_(some))))
    return [event for event in changed if event.activity.external_id not in items - named]


def lost(changed: list[GradeEvent], since: datetime | None, until: datetime) -> int:
    """How many of the changes happened after the last read and long enough ago for an event to have told them.

    None at the first read, nor of what the LMS does not date: that may have happened just now.
    """
    return 0 if since is None else sum(since < event.occurred_at < until for event in changed)


def _refs(told: list[GradeEvent]) -> list[ActivityRef]:
    return list(dict.fromkeys(event.activity for event in told))


def _people(session: Session, platform_id: int, told: list[GradeEvent]) -> dict[str, int]:
    subs = list({event.person[0].value for event in told if event.person[0].kind is IdKind.LTI})
    people = {}
    for some in chunks(subs):
        query = select(Person.sub, Person.id).where(Person.platform_id == platform_id, Person.sub.in_(some))
        people.update({row.sub: row.id for row in session.execute(query)})
    return people


def _completed(known: ResultState, told: GradeEvent, read_at: datetime) -> GradeEvent:
    """A grade that is known, with what the LMS says of it now: a maximum, and whether the learner may see it.

    Moodle's events tell neither (LMS.md §5.7), and come a little after the time at which the gradebook dates the grade.
    Nor does the gradebook date anew what is only hidden, or shown at last.
    """
    before, now = known.grade, told.grade
    if before is None or now is None or before.given != now.given or now.at > before.at:
        return told
    # Of what happened after the read, the read knows nothing; that a grade is hidden is believed in any case.
    is_later = before.at <= read_at and (before.released, before.maximum) != (now.released, now.maximum)
    tells_more = before.maximum is None and now.maximum is not None
    if is_later or tells_more or (before.released and not now.released):
        return replace(told, grade=replace(now, at=before.at + INSTANT))
    return told


def _differs(known: ResultState, told: GradeEvent) -> bool:
    return _grade_differs(known.grade, told.grade) or _progress_differs(known, told.progress)


def _grade_differs(known: GradeFact | None, told: GradeFact | None) -> bool:
    if told is None:
        return False
    if known is None or known.given is None:
        # That there is no grade is no news where none is known.
        return told.given is not None
    return (known.given, known.maximum, known.released) != (told.given, told.maximum, told.released)


def _progress_differs(known: ResultState, told: ProgressFact | None) -> bool:
    if told is None:
        return False
    before = known.beside(told)
    if before is None:
        # Nothing is known of most people in most activities, and nothing is what that says.
        return told.progress not in UNFINISHED
    return before.progress is not told.progress
