"""When the token address of a host may be called: it makes everybody wait who comes from one address, so that a wait
holds for every key, connection and account at that host (BADGR.md §1.6)."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from lti_tool.badgr.errors import BadgrError, SignInThrottledError
from lti_tool.badgr.types import ServerAddress
from lti_tool.db import get_or_create
from lti_tool.models import TokenWait
from lti_tool.toolbox import Toolbox

# The server has asked us to wait and has not said for how long.
WAIT_ASKED = timedelta(seconds=60)


def respect_wait(tools: Toolbox, address: ServerAddress, now: datetime) -> None:
    """Raise SignInThrottledError, with the seconds that are left, while the host wants no token call."""
    with tools.database.read() as session:
        wait = session.get(TokenWait, _origin(address))
    if wait is not None and wait.until > now:
        advice = "Badgr asked us to wait before the next sign-in."
        raise SignInThrottledError(advice, retry_after=(wait.until - now).total_seconds())


def note_wait(tools: Toolbox, address: ServerAddress, error: BadgrError, now: datetime) -> None:
    """Remember that the host asks us to wait; other errors say nothing of that, nor does one of `respect_wait`."""
    if not isinstance(error, SignInThrottledError) or error.status is None:
        return
    until = now + (timedelta(seconds=error.retry_after) if error.retry_after else WAIT_ASKED)
    with tools.database.write() as session:
        wait = get_or_create(session, TokenWait, {"origin": _origin(address)}, until=until)
        wait.until = until
        session.commit()


def _origin(address: ServerAddress) -> str:
    parts = urlsplit(address.tokens_url)
    return f"{parts.scheme}://{parts.netloc}".lower()
