"""Connections to Badgr: made by consent, refreshed under a lock across processes, declared dead once."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.badgr import oauth
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import (
    BadgrError,
    ClientRejectedError,
    GrantRejectedError,
    InvalidRequestError,
    InvalidScopeError,
    SignInRefusedError,
    UnauthorizedError,
)
from lti_tool.badgr.types import ServerAddress, TokenPair
from lti_tool.http import LONGEST_ANSWER
from lti_tool.logs import get_logger
from lti_tool.models import Backpack, BadgrServer, Connection, Course
from lti_tool.services import awarding, token_calls
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

Answer = TypeVar("Answer")

REFRESH_BEFORE = timedelta(minutes=5)
# Longer than a refresh can take: to connect, to begin to answer, and to answer to the end.
LEASE = timedelta(seconds=LONGEST_ANSWER + 90)
# For who waits while somebody else refreshes.
PATIENCE = timedelta(seconds=45)
WAIT_STEP_SECONDS = 0.1
CONNECT_SECONDS = 5.0
# While the tool's own key is not accepted, somebody is told and has to correct it.
REFUSED_WAIT_SECONDS = 300.0
DEAD_REASON = "Badgr no longer accepts this connection. Press “Connect to Badgr” to connect again."


class ConnectionDeadError(Exception):
    """There is no connection that Badgr takes; somebody has to connect again."""


class ConnectionBusyError(Exception):
    """Another worker has been refreshing this connection for too long; try again later."""


def with_client(tools: Toolbox, connection_id: int, now: datetime, work: Callable[[BadgrClient], Answer]) -> Answer:
    """Do something at Badgr with this connection; a refused token is refreshed once.

    Raises ConnectionDeadError, ConnectionBusyError, or what `work` raises.
    """
    token = access_token(tools, connection_id, now)
    try:
        return work(_client(tools, connection_id, token))
    except UnauthorizedError:
        token = access_token(tools, connection_id, now, refused=token)
    try:
        return work(_client(tools, connection_id, token))
    except UnauthorizedError:
        _mark_dead(tools, connection_id, token, now)
        raise ConnectionDeadError(DEAD_REASON) from None


def is_connected(session: Session, course: Course) -> bool:
    """Whether this course has a connection that Badgr still takes, as far as is known."""
    if course.connection_id is None:
        return False
    return session.get_one(Connection, course.connection_id).is_alive


def access_token(tools: Toolbox, connection_id: int, now: datetime, refused: str | None = None) -> str:
    """A token that Badgr takes, refreshed when it ends soon or when it is the one just refused.

    Raises ConnectionDeadError, ConnectionBusyError, or the BadgrError of a refresh that may be tried again.
    """
    started = time.monotonic()
    while (waited := timedelta(seconds=time.monotonic() - started)) < PATIENCE:
        with tools.database.read() as session:
            connection = session.get_one(Connection, connection_id)
        if not connection.is_alive:
            raise ConnectionDeadError(connection.dead_reason)
        token = tools.vault.open(connection.sealed_access_token)
        # Another worker may have refreshed it since: then the stored token is not the refused one.
        # One that cannot be renewed is used until it is refused: use prolongs it at some servers (BADGR.md §1.4).
        is_lasting = connection.sealed_refresh_token is None or connection.expires_at - now > REFRESH_BEFORE
        if token != refused and is_lasting:
            return token
        if _take_lease(tools, connection_id, connection.sealed_access_token, now + waited):
            return _refresh(tools, connection, now + waited)
        time.sleep(WAIT_STEP_SECONDS)
    raise ConnectionBusyError("another worker is refreshing this connection")


def server_address(tools: Toolbox, server_id: int) -> ServerAddress:
    """Where a server is, with our key and secret there; raises LookupError for an unknown id."""
    with tools.database.read() as session:
        server = session.get(BadgrServer, server_id)
    if server is None:
        raise LookupError(f"no Badgr server {server_id}")
    secret = tools.vault.open(server.sealed_client_secret)
    return ServerAddress(server.ui_url, server.api_url, server.client_id, secret)


def _client(tools: Toolbox, connection_id: int, token: str) -> BadgrClient:
    with tools.database.read() as session:
        api_url = session.get_one(Connection, connection_id).server.api_url
    return BadgrClient(api_url, token, tools.http, timeout=(CONNECT_SECONDS, tools.settings.badgr_timeout_seconds))


def _take_lease(tools: Toolbox, connection_id: int, seen_token: str, now: datetime) -> bool:
    """Get the sole right to refresh, unless somebody has it or has just refreshed what we saw."""
    with tools.database.write() as session:
        taken = session.execute(
            update(Connection)
            .where(
                Connection.id == connection_id,
                Connection.sealed_access_token == seen_token,
                Connection.refresh_lease_until.is_(None) | (Connection.refresh_lease_until < now),
            )
            .values(refresh_lease_until=now + LEASE)
        )
        session.commit()
        return bool(taken.rowcount)  # type: ignore[attr-defined]


def _refresh(tools: Toolbox, connection: Connection, now: datetime) -> str:
    """Refresh with the lease in hand and store the new pair before anybody uses it."""
    address = server_address(tools, connection.server_id)
    token = tools.vault.open(connection.sealed_access_token)
    try:
        token_calls.respect_wait(tools, address, now)
        if connection.sealed_refresh_token is None:
            raise GrantRejectedError("Badgr gave no refresh token with this connection.")
        pair = oauth.refresh(address, tools.http, tools.vault.open(connection.sealed_refresh_token), now)
    except GrantRejectedError:
        if _mark_dead(tools, connection.id, token, now):
            raise ConnectionDeadError(DEAD_REASON) from None
        return access_token(tools, connection.id, now)
    except BadgrError as error:
        _let_go(tools, connection.id)
        token_calls.note_wait(tools, address, error, now)
        if isinstance(error, ClientRejectedError | InvalidScopeError | InvalidRequestError):
            raise SignInRefusedError(error.advice, status=error.status, retry_after=REFUSED_WAIT_SECONDS) from error
        raise
    # A server that gives no new refresh token goes on with the former one (RFC 6749 §6).
    former = tools.vault.open(connection.sealed_refresh_token)
    pair = replace(pair, refresh_token=pair.refresh_token or former)
    with tools.database.write() as session:
        stored = session.get_one(Connection, connection.id, with_for_update=True)
        if tools.vault.open(stored.sealed_access_token) == token:
            set_tokens(tools, stored, pair)
            if not stored.is_alive:
                # Another worker was refused, for this answer was on its way: what it has held goes on.
                stored.dead_since = stored.dead_reason = None
                session.flush()
                release(session, stored, now)
            session.commit()
            return pair.access_token
    # Meanwhile somebody has connected again, or disconnected: that counts, and nobody keeps this pair.
    give_back(tools, address, pair)
    return access_token(tools, connection.id, now)


def release(session: Session, connection: Connection, now: datetime) -> None:
    """Everything that waits for this connection goes on, in every course that uses it."""
    for course_id in session.scalars(select(Course.id).where(Course.connection_id == connection.id)).all():
        awarding.release(session, now, course_id=course_id)


def give_back(tools: Toolbox, address: ServerAddress, pair: TokenPair | None) -> None:
    """End a grant, if any, that is not wanted after all; that Badgr cannot be told is no failure of what was done."""
    try:
        end_grant(tools, address, pair)
    except BadgrError as error:
        log.warning("badgr_not_told", status=error.status)


def end_grant(tools: Toolbox, address: ServerAddress, pair: TokenPair | None) -> None:
    """End a grant at Badgr: by its refresh token, and by the access token only where there is no other."""
    if pair is not None and pair.access_token:
        kind = "refresh_token" if pair.refresh_token else "access_token"
        oauth.revoke(address, tools.http, pair.refresh_token or pair.access_token, kind)


def tokens_of(tools: Toolbox, holder: Connection | Backpack) -> TokenPair | None:
    """The tokens that are kept of a connection or a learner's account; None when there are none."""
    if not holder.sealed_access_token:
        return None
    refresh = tools.vault.open(holder.sealed_refresh_token) if holder.sealed_refresh_token else None
    return TokenPair(tools.vault.open(holder.sealed_access_token), refresh, holder.expires_at, frozenset())


def _let_go(tools: Toolbox, connection_id: int) -> None:
    with tools.database.write() as session:
        session.get_one(Connection, connection_id).refresh_lease_until = None
        session.commit()


def _mark_dead(tools: Toolbox, connection_id: int, token: str, now: datetime) -> bool:
    """Note that Badgr takes this token no more; False when it is not the present one, for somebody connected again."""
    with tools.database.write() as session:
        connection = session.get_one(Connection, connection_id, with_for_update=True)
        if tools.vault.open(connection.sealed_access_token) != token:
            return False
        connection.refresh_lease_until = None
        if connection.is_alive:
            connection.dead_since, connection.dead_reason = now, DEAD_REASON
            log.warning("badgr_connection_dead", connection_id=connection_id)
        session.commit()
        return True


def set_tokens(tools: Toolbox, connection: Connection, pair: TokenPair) -> None:
    """Store a pair of tokens, and let the lease of its refresh go."""
    connection.sealed_access_token = tools.vault.seal(pair.access_token)
    connection.sealed_refresh_token = tools.vault.seal(pair.refresh_token) if pair.refresh_token else None
    connection.expires_at = pair.expires_at
    # A refresh that does not name the scopes keeps them (RFC 6749 §6).
    connection.scopes = sorted(pair.scopes) or connection.scopes
    connection.refresh_lease_until = None
