"""How often somebody may come back from a consent page with a code that is not taken.

Every refused code makes a Badgr server wait for all calls from here (BADGR.md §1.6): without a limit, anybody who opens
the page of signing in could stop all awards.
"""

import hashlib
import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import delete

from lti_tool.badgr.errors import BadgrError, SignInThrottledError
from lti_tool.db import insert_if_absent
from lti_tool.errors import ConflictError, InvalidInputError
from lti_tool.logs import get_logger
from lti_tool.models import OneTimeToken
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

# Refused codes in a while: of one who comes, and of all who come without having been let in by an LMS. Each doubles the
# server's wait until somebody's call is good, so six are a minute.
OF_ONE, OF_STRANGERS = 3, 6
WHILE = timedelta(hours=1)
# Visible characters (RFC 6749 §A.11); no server's are longer.
CODE = re.compile(r"[\x21-\x7e]{1,4096}")
NO_CODE = "Badgr has sent no code that could be used. Begin again."
TOO_MANY = "Signing in there has failed too often. Wait an hour, then begin again."


def check_code(code: str) -> None:
    """Raise InvalidInputError for what no server gives as a code: it is not worth a call."""
    if not CODE.fullmatch(code):
        raise InvalidInputError(NO_CODE)


def network(address: str) -> str:
    """Who a client's address stands for: one IPv4 address, or the /64 that one holder has of IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


@contextmanager
def attempt(tools: Toolbox, place: str, who: str, now: datetime, *, is_stranger: bool = False) -> Iterator[None]:
    """One exchange of a code at a place; raises ConflictError while too many were refused.

    The places are taken before the call, so that many at once are no more than one after the other.
    """
    taken: list[str] = []
    is_refused = False
    try:
        taken.append(_take(tools, f"{place} {who}", OF_ONE, now))
        if is_stranger:
            taken.append(_take(tools, place, OF_STRANGERS, now))
        yield
    except BadgrError as error:
        is_refused = _is_refusal(error)
        raise
    finally:
        if not is_refused:
            _give_back(tools, taken)


def may_ask(tools: Toolbox, what: str, now: datetime) -> bool:
    """Whether a host may be asked once more for what costs a refused code."""
    try:
        _take(tools, what, OF_ONE, now)
    except ConflictError:
        return False
    return True


def _is_refusal(error: BadgrError) -> bool:
    # No answer, a wait or a fault of the server is nobody's doing.
    return error.status is not None and error.status < 500 and not isinstance(error, SignInThrottledError)


def _take(tools: Toolbox, what: str, number: int, now: datetime) -> str:
    # Rows that can be inserted once and end by themselves; no address is stored, only its digest.
    digests = [hashlib.sha256(f"sign-in {place} at {what}".encode()).hexdigest() for place in range(number)]
    with tools.database.write() as session:
        session.execute(delete(OneTimeToken).where(OneTimeToken.digest.in_(digests), OneTimeToken.expires_at < now))
        for digest in digests:
            if insert_if_absent(session, OneTimeToken, {"digest": digest}, expires_at=now + WHILE):
                session.commit()
                return digest
        session.commit()
    log.warning("sign_in_waits")
    raise ConflictError(TOO_MANY)


def _give_back(tools: Toolbox, digests: list[str]) -> None:
    with tools.database.write() as session:
        session.execute(delete(OneTimeToken).where(OneTimeToken.digest.in_(digests)))
        session.commit()
