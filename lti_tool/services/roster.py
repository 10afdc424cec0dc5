"""Reads the roster of a course from the platform (NRPS), so that people are known before they ever launch."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import get_or_create, wake
from lti_tool.logs import get_logger
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.nrps import Member, Roster, read_roster
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Course, Enrolment, Person
from lti_tool.services import awarding
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

STALE_AFTER = timedelta(minutes=10)


def refresh_if_stale(session: Session, course: Course, now: datetime) -> None:
    """Ask for the roster to be read again unless that was done within the last ten minutes."""
    if course.memberships_url and (course.roster_synced_at is None or course.roster_synced_at < now - STALE_AFTER):
        wake(session, "roster", course.id)


def sync(tools: Toolbox, course_id: int, now: datetime, *, force: bool = False) -> bool:
    """Read the whole roster and store it; whether that was done. A failed read changes nobody."""
    with tools.database.read() as session:
        course = session.get(Course, course_id)
        if course is None or not course.memberships_url:
            return False
        fresh = course.roster_synced_at is not None and course.roster_synced_at > now - STALE_AFTER
        if fresh and not force:
            return False
        platform_id = course.deployment.platform_id
        url = course.memberships_url
    client = ServiceClient(tools.database, tools.vault, tools.http)
    try:
        roster = read_roster(client, platform_id, url, now)
    except LtiServiceError as error:
        _note_failure(tools, course_id, error, now)
        return False
    with tools.database.write() as session:
        _store(session, session.get_one(Course, course_id), platform_id, roster, now)
        session.commit()
    log.info("roster_read", course_id=course_id, members=len(roster.members))
    return True


def _note_failure(tools: Toolbox, course_id: int, error: LtiServiceError, now: datetime) -> None:
    log.warning("roster_failed", course_id=course_id, status=error.status, retryable=error.retryable)
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        course.roster_synced_at, course.roster_error = now, error.advice[:500]
        session.commit()


def _store(session: Session, course: Course, platform_id: int, roster: Roster, now: datetime) -> None:
    course.roster_synced_at, course.roster_error = now, None
    # In one order for everybody, so that two rosters never wait for each other's locks.
    for member in sorted(roster.members, key=lambda member: member.sub):
        _store_member(session, course, platform_id, member, now)
    present = {member.sub for member in roster.members}
    enrolments = session.scalars(select(Enrolment).where(Enrolment.course_id == course.id, Enrolment.active)).all()
    for enrolment in enrolments:
        # The roster was read whole: who is not in it has left the course.
        if enrolment.person.sub not in present:
            enrolment.active = False
    session.flush()
    awarding.release(session, now, course_id=course.id)


def _store_member(session: Session, course: Course, platform_id: int, member: Member, now: datetime) -> None:
    person = get_or_create(session, Person, {"platform_id": platform_id, "sub": member.sub}, name="", created_at=now)
    person.name = member.name or person.name
    person.email = member.email or person.email
    enrolment = get_or_create(
        session,
        Enrolment,
        {"course_id": course.id, "person_id": person.id},
        is_test=False,
        active=True,
        seen_at=now,
    )
    enrolment.roster_role = member.role
    enrolment.is_test = enrolment.is_test or member.is_test
    enrolment.active = member.active
    enrolment.seen_at = now
