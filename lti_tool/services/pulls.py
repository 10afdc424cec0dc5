"""Reads results from the LMS on a schedule, after launches and by a button: what no event told is found anyway."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.db import get_or_create, wake
from lti_tool.domain.events import GradeEvent
from lti_tool.errors import ConflictError
from lti_tool.logs import get_logger
from lti_tool.lti.errors import LtiServiceError
from lti_tool.models import Course, Deployment, Event, PullMark, Rule, RuleStatus
from lti_tool.services import findings, health, roster, sources
from lti_tool.services.pull_ags import can_read_ags, read_ags
from lti_tool.services.pull_moodle import can_read_moodle, read_moodle
from lti_tool.services.reading import Reading
from lti_tool.sources import pull as pull_form
from lti_tool.toolbox import Toolbox
from lti_tool.vault import Vault

log = get_logger(__name__)

STALE_AFTER = timedelta(minutes=10)
LONGEST_PAUSE = timedelta(hours=24)
# So many courses in one sweep, and of each platform its share: no platform's courses wait for all of another's.
AT_ONCE = 20
# While somebody reads a course nobody else does; a reader that died is not waited for longer.
LEASE = timedelta(minutes=15)
# Events that leave something to be read come in flocks, when a whole class is graded.
FLOCK = timedelta(minutes=1)
# An event that is younger may still be on its way.
GRACE = timedelta(minutes=5)
NOT_UNDERSTOOD = (
    "The tool could not make sense of the results in the LMS. It is tried again; if it goes on, whoever runs the tool "
    "finds more in its log."
)


@dataclass(frozen=True)
class Reader:
    """A way to read results: whether it is open in a course, and reading (which raises LtiServiceError)."""

    name: str
    can_read: Callable[[Session, Vault, Course], bool]
    read: Callable[[Toolbox, Course, Mapping[str, str], datetime], Reading]


READERS: Sequence[Reader] = (
    Reader("ags", can_read_ags, read_ags),
    Reader("moodle", can_read_moodle, read_moodle),
)


@dataclass(frozen=True)
class Pulled:
    """What a pull found: results that were read, and how many of them nobody had told."""

    read: int
    changed: int


def can_pull(session: Session, vault: Vault, course: Course) -> bool:
    """Whether the LMS lets the tool read results of this course."""
    return any(reader.can_read(session, vault, course) for reader in READERS)


def put_on_schedule(session: Session, tools: Toolbox, course: Course, now: datetime) -> None:
    """Have a course read regularly from now on; one that is on the schedule already stays where it is."""
    if course.pull_due_at is None and tools.settings.pull_minutes and can_pull(session, tools.vault, course):
        course.pull_due_at = now


def request_if_stale(session: Session, vault: Vault, course: Course, now: datetime) -> None:
    """Ask for the results to be read unless that was done within the last ten minutes, or has failed lately."""
    is_fresh = course.pulled_at is not None and course.pulled_at > now - STALE_AFTER
    if not is_fresh and not _must_wait(course, now) and can_pull(session, vault, course):
        course.pull_due_at = now
        wake(session, "pull", course.id)


def request_for_event(tools: Toolbox, course_id: int, now: datetime) -> None:
    """Ask for the results to be read soon, because an event left something open that only the LMS can tell."""
    soon = now + FLOCK
    with tools.database.write() as session:
        course = session.get_one(Course, course_id, with_for_update=True)
        is_asked = course.pull_due_at is not None and course.pull_due_at <= soon
        if not is_asked and not _must_wait(course, now) and can_pull(session, tools.vault, course):
            course.pull_due_at = soon
            wake(session, "pull", course_id, soon)
        session.commit()


def request_by_hand(tools: Toolbox, course_id: int, now: datetime) -> None:
    """Ask for the course list and the results to be read at once; raises ConflictError where nothing can be read."""
    with tools.database.write() as session:
        course = session.get_one(Course, course_id, with_for_update=True)
        if not can_pull(session, tools.vault, course):
            raise ConflictError(
                "The LMS does not let the tool read results here. Open Badges from the course once more; if that does "
                "not help, ask the administrator of the LMS to switch on the grade services for the tool."
            )
        course.pull_due_at = now
        wake(session, "refresh", course_id)
        session.commit()


def due_courses(session: Session, now: datetime) -> list[int]:
    """The courses with a badge whose results should be read now: of each platform its share, the longest due first."""
    used = select(Rule.course_id).where(Rule.status == RuleStatus.ACTIVE)
    place = func.row_number().over(partition_by=Deployment.platform_id, order_by=(Course.pull_due_at, Course.id))
    due = (
        select(Course.id, Course.pull_due_at, place.label("place"))
        .join(Deployment, Deployment.id == Course.deployment_id)
        .where(Course.pull_due_at <= now, Course.id.in_(used))
        .subquery()
    )
    return list(session.scalars(select(due.c.id).order_by(due.c.place, due.c.pull_due_at, due.c.id).limit(AT_ONCE)))


def now_by_hand(tools: Toolbox, course_id: int, now: datetime) -> Pulled | None:
    """Read the course list and the results at once, because somebody asked for it."""
    roster.sync(tools, course_id, now, force=True)
    return pull(tools, course_id, now, force=True)


def pull(tools: Toolbox, course_id: int, now: datetime, *, force: bool = False) -> Pulled | None:
    """Read the results of a course and store what is not known; None when that was not due or nothing could be read.

    With `force` it is done though it is not due, and everything is read whether it has changed or not.
    """
    claim = _claim(tools, course_id, now, force=force)
    if claim is None:
        return None
    readings = [_read(tools, claim, reader, now) for reader in claim.readers]
    faults = [reading.fault for reading in readings if reading.fault is not None]
    told = [event for reading in readings for event in reading.events]
    with tools.database.write() as session:
        # Against events, but not against awards that name it: whoever opens these may have people locked that we want.
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        if all(reading.has_failed for reading in readings):
            course.pull_failures += 1
            found = None
        else:
            marks = {digest: etag for reading in readings for digest, etag in reading.marks.items()}
            silent = frozenset[str]().union(*(reading.silent for reading in readings))
            changes = keep(session, tools, course, told, marks, now, silent=silent)
            found = Pulled(sum(not _is_nothing(event) for event in told), changes)
            course.pulled_at, course.pull_failures = now, 0
        course.pull_error = " ".join(fault.advice for fault in faults)[:500] or None
        # Somebody may have asked for another read while this one was under way: it may have come too late for this one.
        asked = course.pull_due_at if found is not None and course.pull_due_at != claim.until else None
        planned = _next(tools, course.pull_failures, faults, now)
        course.pull_due_at = min(filter(None, (asked, planned)), default=None)
        session.commit()
    if found is not None:
        log.info("results_read", course_id=course_id, read=found.read, changed=found.changed)
    return found


@dataclass(frozen=True)
class _Claim:
    """A course that nobody else reads at the same time, by which ways, and what is known to have which version."""

    course: Course
    # Loaded with it, for readers work outside of any transaction.
    deployment: Deployment
    readers: list[Reader]
    marks: dict[str, str]
    # When others may read it though this reader has not come back.
    until: datetime


def _must_wait(course: Course, now: datetime) -> bool:
    """Whether the last attempt failed and the next one is not due."""
    return course.pull_failures > 0 and course.pull_due_at is not None and course.pull_due_at > now


def _claim(tools: Toolbox, course_id: int, now: datetime, *, force: bool) -> _Claim | None:
    with tools.database.write() as session:
        course = session.get(Course, course_id, with_for_update=True)
        if course is None or not (force or (course.pull_due_at is not None and course.pull_due_at <= now)):
            return None
        readers = [reader for reader in READERS if reader.can_read(session, tools.vault, course)]
        # Where nothing can be read any more, the next launch puts the course on the schedule again.
        course.pull_due_at = now + LEASE if readers else None
        known = select(PullMark.url_digest, PullMark.etag).where(PullMark.course_id == course_id)
        marks = {} if force else dict(session.execute(known).all())
        claim = _Claim(course, course.deployment, readers, marks, now + LEASE)
        session.commit()
    return claim if readers else None


def _read(tools: Toolbox, claim: _Claim, reader: Reader, now: datetime) -> Reading:
    """What one reader finds; one that fails does not stop the others."""
    try:
        reading = reader.read(tools, claim.course, claim.marks, now)
    except LtiServiceError as error:
        reading = Reading(fault=error)
    except Exception:
        # An answer that nobody has thought of: the other readers go on, and somebody is told.
        log.exception("results_not_understood", course_id=claim.course.id, reader=reader.name)
        reading = Reading(fault=LtiServiceError(NOT_UNDERSTOOD, retryable=True))
    if (fault := reading.fault) is not None:
        about = {"course_id": claim.course.id, "reader": reader.name}
        log.warning("results_not_read", **about, status=fault.status, retryable=fault.retryable)
    return reading


def _is_nothing(told: GradeEvent) -> bool:
    """Whether it says no more than that there is no grade."""
    return told.progress is None and (told.grade is None or told.grade.given is None)


def keep(
    session: Session,
    tools: Toolbox,
    course: Course,
    told: list[GradeEvent],
    marks: dict[str, str],
    now: datetime,
    *,
    silent: frozenset[str] = frozenset(),
) -> int:
    """Store what is not known, count what events should have told, and remember the versions; the number of changes."""
    platform_id = course.deployment.platform_id
    findings.learn_titles(session, course, told, tools.settings, now)
    changed = findings.changed(session, course.id, platform_id, told, now, silent)
    if changed:
        _store(session, tools, course.id, platform_id, changed, now)
    of_events = findings.without_own_columns(session, course.id, changed)
    lost = findings.lost(of_events, course.pulled_at, now - GRACE)
    if lost:
        health.note_lost(session, course.deployment, lost, now)
    for digest, etag in marks.items():
        get_or_create(session, PullMark, {"course_id": course.id, "url_digest": digest}, etag=etag).etag = etag
    return len(changed)


def _store(
    session: Session, tools: Toolbox, course_id: int, platform_id: int, changed: list[GradeEvent], now: datetime
) -> None:
    """Keep what was found as an event like any other: it has its place in every time line, and can be replayed."""
    stamp = f"pull-{course_id}-{int(now.timestamp() * 1000)}"
    event = Event(
        source_id=sources.own_source(session, tools.vault, platform_id, sources.PULL_KIND, now).id,
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


def _next(tools: Toolbox, failures: int, faults: list[LtiServiceError], now: datetime) -> datetime | None:
    """When to read again; after failures later and later, and never before the LMS wants to be asked again."""
    minutes = tools.settings.pull_minutes
    if not minutes:
        return None
    pause = timedelta(minutes=minutes) * 2.0 ** min(failures, 10)
    # Courses that were opened in the same minute are not all read in the same minute for ever.
    pause = min(pause * random.uniform(0.9, 1.1), LONGEST_PAUSE)  # noqa: S311 (spreading, not a secret)
    asked = max((fault.retry_after or 0.0 for fault in faults), default=0.0)
    return now + max(pause, timedelta(seconds=asked))
