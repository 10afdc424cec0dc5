"""Reads the roster of a course from the platform (NRPS), so that people are known before they ever launch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from lti_tool.db import wake
from lti_tool.errors import ConflictError
from lti_tool.logs import get_logger
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.nrps import Member, Roster, for_link, read_roster
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Course, Deployment, Platform, ResourceLink, Rule, RuleStatus
from lti_tool.services import members
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

STALE_AFTER = timedelta(minutes=10)
# So many courses in one sweep, and of each platform its share.
AT_ONCE = 20
# While somebody reads a roster nobody else does; a reader that died is not waited for longer.
LEASE = timedelta(minutes=15)
LONGEST_PAUSE = timedelta(hours=24)


def refresh_if_stale(session: Session, course: Course, now: datetime) -> None:
    """Ask for the roster to be read again unless that was done within the last ten minutes."""
    if course.memberships_url and (course.roster_synced_at is None or course.roster_synced_at < now - STALE_AFTER):
        wake(session, "roster", course.id)


def ask(tools: Toolbox, course_id: int) -> None:
    """Let the whole roster be read again at once; raises ConflictError where the platform offers none."""
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        if not course.memberships_url:
            raise ConflictError(
                "The LMS does not tell who is in this course. Ask its administrator to let Badges read it."
            )
        course.roster_synced_at = course.roster_differences_url = course.roster_due_at = None
        wake(session, "roster", course_id)
        session.commit()


def due_courses(session: Session, pause: timedelta, now: datetime) -> list[int]:
    """The courses with a badge whose roster was not read for so long, or never: of each platform its share, the
    longest waiting first; nobody has to open them."""
    used = select(Rule.course_id).where(Rule.status == RuleStatus.ACTIVE)
    last = Course.roster_synced_at
    place = func.row_number().over(partition_by=Deployment.platform_id, order_by=(last.asc().nulls_first(), Course.id))
    due = (
        select(Course.id, last.label("last"), place.label("place"))
        .join(Deployment, Deployment.id == Course.deployment_id)
        .where(Course.memberships_url.is_not(None), Course.id.in_(used), *is_due(pause, now))
        .subquery()
    )
    order = (due.c.place, due.c.last.asc().nulls_first(), due.c.id)
    return list(session.scalars(select(due.c.id).order_by(*order).limit(AT_ONCE)))


def is_due(pause: timedelta, now: datetime) -> Iterator[ColumnElement[bool]]:
    """That a roster was not read for so long, and that it may be asked for."""
    yield Course.roster_synced_at.is_(None) | (Course.roster_synced_at < now - pause)
    yield Course.roster_due_at.is_(None) | (Course.roster_due_at <= now)


def sync(tools: Toolbox, course_id: int, now: datetime, *, force: bool = False) -> bool:
    """Read the roster, or what has changed in it, and store it; whether that was done. A failed read changes nobody."""
    claim = _claim(tools, course_id, now, force=force)
    if claim is None:
        return False
    reader = _Reader(tools, claim, now)
    try:
        changes = None if force else reader.changes()
        roster = changes or reader.everybody()
    except LtiServiceError as error:
        _note_failure(tools, course_id, error, now)
        return False
    members.store(tools, course_id, roster, now, is_whole=changes is None)
    log.info("roster_read", course_id=course_id, members=len(roster.members), is_whole=changes is None)
    return True


@dataclass(frozen=True)
class _Claim:
    """A course whose roster nobody else reads at the same time, a link to the tool in it, and its platform."""

    course: Course
    link_id: str | None
    platform: Platform


def _claim(tools: Toolbox, course_id: int, now: datetime, *, force: bool) -> _Claim | None:
    with tools.database.write() as session:
        course = session.get(Course, course_id, with_for_update={"key_share": True})
        if course is None or not course.memberships_url:
            return None
        is_fresh = course.roster_synced_at is not None and course.roster_synced_at > now - STALE_AFTER
        must_wait = course.roster_due_at is not None and course.roster_due_at > now
        if (is_fresh or must_wait) and not force:
            return None
        course.roster_due_at = now + LEASE
        # Loaded with it, for the reader works outside of any transaction.
        claim = _Claim(course, _link_id(session, course), course.deployment.platform)
        session.commit()
    return claim


class _Reader:
    """The calls to the platform for one course; none inside a transaction."""

    def __init__(self, tools: Toolbox, claim: _Claim, now: datetime) -> None:
        self._client = ServiceClient(tools.database, tools.vault, tools.http)
        self._platform_id, course = claim.platform.id, claim.course
        self._url, self._differences_url = course.memberships_url or "", course.roster_differences_url
        self._link_id, self._now = claim.link_id, now
        # Canvas' events name people by ids that it tells only with the roster of a link (LMS.md §4.4).
        self._is_canvas = claim.platform.is_canvas

    def changes(self) -> Roster | None:
        """What has changed; None where the platform does not tell, or has forgotten what we knew."""
        if not self._differences_url:
            return None
        try:
            return self._read(self._differences_url)
        except LtiServiceError as error:
            if error.retryable:
                raise
            return None

    def everybody(self) -> Roster:
        """The whole roster; where it keeps addresses back, with those that it tells for the tool's own link."""
        roster = self._read(self._url)
        if self._link_id is None or (self._tells_addresses(roster) and not self._is_canvas):
            return roster
        try:
            told = {member.sub: member for member in self._read(for_link(self._url, self._link_id)).members}
        except LtiServiceError as error:
            # Moodle knows no link that was deleted; the roster itself is complete without it.
            log.info("roster_of_link_failed", status=error.status)
            return roster
        return replace(roster, members=tuple(_completed(member, told.get(member.sub)) for member in roster.members))

    def _tells_addresses(self, roster: Roster) -> bool:
        return all(member.email for member in roster.members)

    def _read(self, url: str) -> Roster:
        return read_roster(self._client, self._platform_id, url, self._now, is_canvas=self._is_canvas)


def _completed(member: Member, told: Member | None) -> Member:
    if told is None:
        return member
    aliases = tuple(dict.fromkeys(member.aliases + told.aliases))
    return replace(member, name=member.name or told.name, email=member.email or told.email, aliases=aliases)


def _link_id(session: Session, course: Course) -> str | None:
    query = select(ResourceLink.link_id).where(ResourceLink.course_id == course.id)
    return session.scalar(query.order_by(ResourceLink.id.desc()).limit(1))


def _note_failure(tools: Toolbox, course_id: int, error: LtiServiceError, now: datetime) -> None:
    log.warning("roster_failed", course_id=course_id, status=error.status, retryable=error.retryable)
    with tools.database.write() as session:
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        pause = min(STALE_AFTER * 2.0 ** min(course.roster_failures, 10), LONGEST_PAUSE)
        asked = timedelta(seconds=error.retry_after or 0.0)
        course.roster_due_at, course.roster_error = now + max(pause, asked), error.advice[:500]
        course.roster_failures += 1
        session.commit()
