"""Reads results from the LMS on a schedule, after launches and by a button: what no event told is found anyway."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import wake
from lti_tool.domain.events import GradeEvent, IdKind, ResultState
from lti_tool.logs import get_logger
from lti_tool.lti.errors import LtiServiceError
from lti_tool.models import Activity, Course, Event, Person, Rule, RuleStatus
from lti_tool.services import facts, health, results, roster, sources
from lti_tool.services.pull_ags import can_read_ags, read_ags
from lti_tool.sources import pull as pull_form
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

STALE_AFTER = timedelta(minutes=10)
LONGEST_PAUSE = timedelta(hours=24)
# So many courses in one sweep: nobody's course waits for all of another platform's.
AT_ONCE = 20
# An event that is younger may still be on its way.
GRACE = timedelta(minutes=5)

Reader = Callable[[Toolbox, Course, datetime], list[GradeEvent]]
READERS: Sequence[tuple[Callable[[Course], bool], Reader]] = ((can_read_ags, read_ags),)


@dataclass(frozen=True)
class Pulled:
    """What a pull found: results that were read, and how many of them nobody had told."""

    read: int
    changed: int


def request_if_stale(session: Session, course: Course, now: datetime) -> None:
    """Ask for the results to be read unless that was done within the last ten minutes."""
    if can_pull(course) and (course.pulled_at is None or course.pulled_at < now - STALE_AFTER):
        session.flush()
        wake(session, "pull", course.id)


def can_pull(course: Course) -> bool:
    """Whether the LMS lets the tool read results of this course."""
    return any(can_read(course) for can_read, _ in READERS)


def due_courses(session: Session, now: datetime) -> list[int]:
    """The courses with a badge whose results should be read now, the one that waits for longest first."""
    used = select(Rule.course_id).where(Rule.status == RuleStatus.ACTIVE)
    query = (
        select(Course.id)
        .where(Course.pull_due_at <= now, Course.id.in_(used))
        .order_by(Course.pull_due_at)
        .limit(AT_ONCE)
    )
    return list(session.scalars(query))


def pull(tools: Toolbox, course_id: int, now: datetime, *, force: bool = False) -> Pulled | None:
    """Read the results of a course and store what is not known; None when that was not due or did not work."""
    with tools.database.read() as session:
        course = session.get(Course, course_id)
        if course is None or not can_pull(course):
            return None
        if not force and course.pulled_at is not None and course.pulled_at > now - STALE_AFTER:
            return None
        readers = [read for can_read, read in READERS if can_read(course)]
    try:
        told = [event for read in readers for event in read(tools, course, now)]
    except LtiServiceError as error:
        _note_failure(tools, course_id, error, now)
        return None
    return take(tools, course_id, told, now)


def take(tools: Toolbox, course_id: int, told: list[GradeEvent], now: datetime) -> Pulled:
    """Store what was read and nobody has told; all but the first time, that much was lost on its way."""
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        platform_id, is_first = course.deployment.platform_id, course.pulled_at is None
        changed = _changed(session, course_id, platform_id, told)
        if changed:
            _store(session, tools, course_id, platform_id, changed, now)
        lost = 0 if is_first else sum(event.occurred_at < now - GRACE for event in changed)
        if lost:
            health.note_lost(session, platform_id, lost, now)
        course.pulled_at, course.pull_failures, course.pull_error = now, 0, None
        course.pull_due_at = _next(tools, 0, now)
        session.commit()
    log.info("results_read", course_id=course_id, read=len(told), changed=len(changed), lost=lost)
    return Pulled(len(told), len(changed))


def now_by_hand(tools: Toolbox, course_id: int, now: datetime) -> Pulled | None:
    """Read the course list and the results at once, because somebody asked for it."""
    roster.sync(tools, course_id, now, force=True)
    return pull(tools, course_id, now, force=True)


def _changed(session: Session, course_id: int, platform_id: int, told: list[GradeEvent]) -> list[GradeEvent]:
    known = facts.results_of(session, course_id)
    activities = {
        row.external_id: row.id
        for row in session.execute(select(Activity.id, Activity.external_id).where(Activity.course_id == course_id))
    }
    subs = [event.person[0].value for event in told if event.person[0].kind is IdKind.LTI]
    people = {}
    for start in range(0, len(subs), facts.CHUNK):
        query = select(Person.sub, Person.id).where(
            Person.platform_id == platform_id, Person.sub.in_(subs[start : start + facts.CHUNK])
        )
        people.update({row.sub: row.id for row in session.execute(query)})

    def state(event: GradeEvent) -> ResultState:
        person_id, activity_id = people.get(event.person[0].value), activities.get(event.activity.external_id)
        return known.get(person_id or 0, {}).get(activity_id or 0, ResultState())

    return [event for event in told if results.differs(state(event), event)]


def _store(
    session: Session, tools: Toolbox, course_id: int, platform_id: int, changed: list[GradeEvent], now: datetime
) -> None:
    """Keep what was found as an event like any other: it has its place in every time line, and can be replayed."""
    stamp = f"pull-{course_id}-{int(now.timestamp() * 1000)}"
    event = Event(
        source_id=sources.pull_source(session, tools.vault, platform_id, now).id,
        delivery_id=stamp,
        body=pull_form.write(changed),
        received_at=now,
        occurred_at=max(event.occurred_at for event in changed),
        due_at=now,
        run_key=stamp,
    )
    session.add(event)
    session.flush()
    wake(session, "event", event.id)


def _note_failure(tools: Toolbox, course_id: int, error: LtiServiceError, now: datetime) -> None:
    log.warning("results_not_read", course_id=course_id, status=error.status, retryable=error.retryable)
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        course.pull_failures += 1
        course.pulled_at, course.pull_error = now, error.advice[:500]
        course.pull_due_at = _next(tools, course.pull_failures, now)
        session.commit()


def _next(tools: Toolbox, failures: int, now: datetime) -> datetime | None:
    minutes = tools.settings.pull_minutes
    if not minutes:
        return None
    pause = min(timedelta(minutes=minutes) * 2.0 ** min(failures, 10), LONGEST_PAUSE)
    # Courses that were opened in the same minute are not all read in the same minute for ever.
    return now + pause * random.uniform(0.9, 1.1)  # noqa: S311 (spreading, not a secret)
