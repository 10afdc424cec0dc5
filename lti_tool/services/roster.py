"""Reads the roster of a course from the platform (NRPS), so that people are known before they ever launch."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import wake
from lti_tool.errors import ConflictError
from lti_tool.logs import get_logger
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.nrps import Member, Roster, for_link, read_roster
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Course, ResourceLink, Rule, RuleStatus
from lti_tool.services import members
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

STALE_AFTER = timedelta(minutes=10)
# So many courses in one sweep.
AT_ONCE = 20


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
        course.roster_synced_at = course.roster_differences_url = None
        wake(session, "roster", course_id)
        session.commit()


def due_courses(session: Session, pause: timedelta, now: datetime) -> list[int]:
    """The courses with a badge whose roster was not read for so long, the longest first; nobody has to open them."""
    query = (
        select(Course.id)
        .where(
            Course.memberships_url.is_not(None),
            Course.roster_synced_at < now - pause,
            Course.id.in_(select(Rule.course_id).where(Rule.status == RuleStatus.ACTIVE)),
        )
        .order_by(Course.roster_synced_at)
        .limit(AT_ONCE)
    )
    return list(session.scalars(query))


def sync(tools: Toolbox, course_id: int, now: datetime, *, force: bool = False) -> bool:
    """Read the roster, or what has changed in it, and store it; whether that was done. A failed read changes nobody."""
    with tools.database.read() as session:
        course = session.get(Course, course_id)
        if course is None or not course.memberships_url:
            return False
        fresh = course.roster_synced_at is not None and course.roster_synced_at > now - STALE_AFTER
        if fresh and not force:
            return False
        reader = _Reader(tools, course, _link_id(session, course), now)
    try:
        changes = None if force else reader.changes()
        roster = changes or reader.everybody()
    except LtiServiceError as error:
        _note_failure(tools, course_id, error, now)
        return False
    members.store(tools, course_id, roster, now, is_whole=changes is None)
    log.info("roster_read", course_id=course_id, members=len(roster.members), is_whole=changes is None)
    return True


class _Reader:
    """The calls to the platform for one course; none inside a transaction."""

    def __init__(self, tools: Toolbox, course: Course, link_id: str | None, now: datetime) -> None:
        self._client = ServiceClient(tools.database, tools.vault, tools.http)
        self._platform_id = course.deployment.platform_id
        self._url, self._differences_url = course.memberships_url or "", course.roster_differences_url
        self._link_id, self._now = link_id, now
        # Canvas' events name people by ids that it tells only with the roster of a link (LMS.md §4.4).
        self._is_canvas = course.deployment.platform.is_canvas

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
        course = session.get_one(Course, course_id)
        course.roster_synced_at, course.roster_error = now, error.advice[:500]
        session.commit()
