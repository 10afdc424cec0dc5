"""When the token address of a Badgr server may be called: it makes everybody wait who comes from one address, so that a
wait holds for every connection and every account at that host (BADGR.md §1.6)."""

from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from lti_tool.badgr.errors import BadgrError, SignInThrottledError
from lti_tool.models import BadgrServer
from lti_tool.toolbox import Toolbox

# The server has asked us to wait and has not said for how long.
WAIT_ASKED = timedelta(seconds=60)


def respect_wait(tools: Toolbox, api_url: str, now: datetime) -> None:
    """Raise SignInThrottledError, with the seconds that are left, while the host wants no token call."""
    query = select(func.max(BadgrServer.token_calls_after)).where(BadgrServer.api_url == api_url)
    with tools.database.read() as session:
        until = session.scalar(query)
    if until is not None and until > now:
        advice = "Badgr asked us to wait before the next sign-in."
        raise SignInThrottledError(advice, retry_after=(until - now).total_seconds())


def note_wait(tools: Toolbox, api_url: str, error: BadgrError, now: datetime) -> None:
    """Remember that the host asks us to wait; other errors say nothing of that."""
    if not isinstance(error, SignInThrottledError):
        return
    until = now + (timedelta(seconds=error.retry_after) if error.retry_after else WAIT_ASKED)
    with tools.database.write() as session:
        # Two keys at one host are two rows here and one caller there.
        session.execute(update(BadgrServer).where(BadgrServer.api_url == api_url).values(token_calls_after=until))
        session.commit()
