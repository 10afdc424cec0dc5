"""How much is sent to a Badgr server at once, and when it is left alone: limits, `Retry-After`, a circuit breaker.

All in the server's row, so that it holds across processes.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.badgr.errors import (
    LONGEST_WAIT,
    BadgrError,
    ClientRejectedError,
    GrantRejectedError,
    InvalidScopeError,
    NonsenseAnswerError,
    ServerFaultError,
    SignInRefusedError,
    SignInThrottledError,
    ThrottledError,
    UnreachableError,
)
from lti_tool.logs import get_logger
from lti_tool.models import Award, AwardStatus, BadgrServer, Course
from lti_tool.models.badge import Connection
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

FAILURES_TO_CLOSE = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=10)
# The server has asked us to wait and has not said for how long.
WAIT_ASKED = timedelta(seconds=30)
FULL_PAUSE = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
# They come from the token address and say nothing of the API.
OF_THE_SIGN_IN = (
    SignInThrottledError | SignInRefusedError | GrantRejectedError | ClientRejectedError | InvalidScopeError
)


def is_troubled(server: BadgrServer) -> bool:
    """Whether it has failed so often in a row that only one call at a time tries whether it is back."""
    return server.failures >= FAILURES_TO_CLOSE


def enter(session: Session, server_id: int, now: datetime) -> datetime | None:
    """Take a place for one award or revocation; None when it may go, else when to come back. Locks the server's row."""
    server = session.get_one(BadgrServer, server_id, with_for_update=True)
    if (until := left_alone_until(server, now)) is not None:
        return until
    if _sending(session, server_id, now) >= (1 if is_troubled(server) else server.max_parallel):
        return now + FULL_PAUSE
    if server.minute_started_at is None or server.minute_started_at <= now - MINUTE:
        server.minute_started_at, server.sent_in_minute = now, 0
    if server.max_per_minute is not None and server.sent_in_minute >= server.max_per_minute:
        return server.minute_started_at + MINUTE
    server.sent_in_minute += 1
    return None


def closed_until(session: Session, server_id: int, now: datetime) -> datetime | None:
    """Until when this server is left alone; None when it may be called."""
    return left_alone_until(session.get_one(BadgrServer, server_id), now)


def left_alone_until(server: BadgrServer, now: datetime) -> datetime | None:
    """The end of the pause after failures or of the wait that the server has asked for, whichever is later."""
    ends = [end for end in (server.closed_until, server.asked_until) if end is not None and end > now]
    return max(ends, default=None)


def note(tools: Toolbox, server_id: int, error: BadgrError | None, now: datetime) -> None:
    """Learn from how a call has ended: trouble of the server counts, a refusal of what was sent does not."""
    if isinstance(error, OF_THE_SIGN_IN):
        return
    is_trouble = isinstance(error, UnreachableError | ServerFaultError | NonsenseAnswerError)
    is_asked = isinstance(error, ThrottledError) or (error is not None and is_trouble and bool(error.retry_after))
    if not (is_trouble or is_asked):
        with tools.database.read() as session:
            if session.get_one(BadgrServer, server_id).failures == 0:
                return
    with tools.database.write() as session:
        server = session.get_one(BadgrServer, server_id, with_for_update=True)
        if error is not None and is_asked:
            wait = timedelta(seconds=min(error.retry_after, LONGEST_WAIT)) if error.retry_after else WAIT_ASKED
            server.asked_until = max(now + wait, server.asked_until or now)
        if is_trouble:
            server.failures += 1
            if is_troubled(server):
                pause = FIRST_PAUSE * 2 ** min(server.failures - FAILURES_TO_CLOSE, 10)
                server.closed_until = now + min(pause, LONGEST_PAUSE)
                log.warning("badgr_left_alone", server_id=server_id, failures=server.failures)
        elif not is_asked:
            # The API has answered. What it has asked for before stays asked for.
            server.failures, server.closed_until = 0, None
        session.commit()


def server_of(session: Session, course: Course) -> int:
    """The server that a connected course awards at."""
    return session.get_one(Connection, course.connection_id).server_id


def _sending(session: Session, server_id: int, now: datetime) -> int:
    is_sent = Award.status == AwardStatus.SENDING
    is_revoked = (Award.status == AwardStatus.REVOKING) & Award.lease.is_not(None)
    query = (
        select(func.count())
        .select_from(Award)
        .join(Course, Course.id == Award.course_id)
        .join(Connection, Connection.id == Course.connection_id)
        .where(is_sent | is_revoked, Award.due_at > now, Connection.server_id == server_id)
    )
    return session.scalar(query) or 0
