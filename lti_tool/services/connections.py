"""Connections to Badgr: made by consent, refreshed under a lock across processes, declared dead once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.badgr import oauth
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import BadgrError, GrantRejectedError, SignInThrottledError, UnauthorizedError
from lti_tool.badgr.types import Profile, ServerAddress, TokenPair
from lti_tool.db import get_or_create
from lti_tool.errors import InvalidInputError
from lti_tool.logs import get_logger
from lti_tool.models import BadgrServer, Connection, Course
from lti_tool.services import awarding
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

Answer = TypeVar("Answer")

REFRESH_BEFORE = timedelta(minutes=5)
# Longer than a refresh can take (5 s to connect, 30 s to answer), shorter than a teacher's patience.
LEASE = timedelta(seconds=45)
WAIT_STEP_SECONDS = 0.1
DEAD_REASON = "Badgr no longer accepts this connection. Press “Connect to Badgr” to connect again."


class ConnectionDeadError(Exception):
    """There is no connection that Badgr takes; somebody has to connect again."""


class ConnectionBusyError(Exception):
    """Another worker has been refreshing this connection for too long; try again later."""


@dataclass(frozen=True)
class Consent:
    """An authorization that was begun in a browser and comes back with a code."""

    course_id: int
    person_id: int
    server_id: int
    code_verifier: str


def complete(tools: Toolbox, consent: Consent, code: str, redirect_uri: str, now: datetime) -> Connection:
    """Turn the code into a connection of the course; raises BadgrError, InvalidInputError when rights are missing."""
    address = server_address(tools, consent.server_id)
    wanted = frozenset(oauth.NEEDED_SCOPES)
    pair = oauth.exchange_code(address, tools.http, code, redirect_uri, consent.code_verifier, wanted, now)
    if not wanted <= pair.scopes:
        missing = ", ".join(sorted(wanted - pair.scopes))
        raise InvalidInputError(
            f"Badgr did not allow everything that is needed to award badges (missing: {missing}). "
            "Ask the administrator of the Badges tool to correct the rights of its Badgr key."
        )
    profile = BadgrClient(address.api_url, pair.access_token, tools.http).profile()
    with tools.database.write() as session:
        connection = _store(tools, session, consent, pair, profile, now)
        courses = session.scalars(select(Course).where(Course.connection_id == connection.id))
        for course_id in {consent.course_id, *(course.id for course in courses)}:
            course = session.get_one(Course, course_id)
            course.connection = connection
            session.flush()
            awarding.release(session, now, course_id=course_id)
        session.commit()
        log.info("badgr_connected", connection_id=connection.id, course_id=consent.course_id)
        return connection


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
        _mark_dead(tools, connection_id, now)
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
    while (waited := timedelta(seconds=time.monotonic() - started)) < LEASE:
        with tools.database.read() as session:
            connection = session.get_one(Connection, connection_id)
        if not connection.is_alive:
            raise ConnectionDeadError(connection.dead_reason)
        token = tools.vault.open(connection.sealed_access_token)
        # Another worker may have refreshed it since: then the stored token is not the refused one.
        if token != refused and connection.expires_at - now > REFRESH_BEFORE:
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
    return BadgrClient(api_url, token, tools.http)


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
    try:
        _respect_backoff(tools, connection.server_id, now)
        if connection.sealed_refresh_token is None:
            raise GrantRejectedError("Badgr gave no refresh token with this connection.")
        address = server_address(tools, connection.server_id)
        pair = oauth.refresh(address, tools.http, tools.vault.open(connection.sealed_refresh_token), now)
    except GrantRejectedError:
        _mark_dead(tools, connection.id, now)
        raise ConnectionDeadError(DEAD_REASON) from None
    except BadgrError as error:
        _after_failed_refresh(tools, connection, error, now)
        raise
    with tools.database.write() as session:
        stored = session.get_one(Connection, connection.id)
        _set_tokens(tools, stored, pair)
        session.commit()
    return pair.access_token


def _respect_backoff(tools: Toolbox, server_id: int, now: datetime) -> None:
    with tools.database.read() as session:
        until = session.get_one(BadgrServer, server_id).token_calls_after
    if until is not None and until > now:
        raise SignInThrottledError(
            "Badgr asked us to wait before the next sign-in.", retry_after=(until - now).total_seconds()
        )


def _after_failed_refresh(tools: Toolbox, connection: Connection, error: BadgrError, now: datetime) -> None:
    with tools.database.write() as session:
        session.get_one(Connection, connection.id).refresh_lease_until = None
        if isinstance(error, SignInThrottledError):
            # The server counts by address: every connection to it waits, or the wait only grows (BADGR.md §1.6).
            server = session.get_one(BadgrServer, connection.server_id)
            server.token_calls_after = now + timedelta(seconds=error.retry_after or 60)
        session.commit()


def _mark_dead(tools: Toolbox, connection_id: int, now: datetime) -> None:
    with tools.database.write() as session:
        connection = session.get_one(Connection, connection_id)
        connection.refresh_lease_until = None
        if connection.is_alive:
            connection.dead_since, connection.dead_reason = now, DEAD_REASON
            log.warning("badgr_connection_dead", connection_id=connection_id)
        session.commit()


def _store(
    tools: Toolbox, session: Session, consent: Consent, pair: TokenPair, profile: Profile, now: datetime
) -> Connection:
    key = {
        "server_id": consent.server_id,
        "person_id": consent.person_id,
        "badgr_user_id": profile.entity_id,
    }
    connection = get_or_create(
        session,
        Connection,
        key,
        badgr_user_name=profile.name,
        scopes=sorted(pair.scopes),
        sealed_access_token="",
        expires_at=pair.expires_at,
        created_at=now,
    )
    connection.badgr_user_name = profile.name
    connection.dead_since = connection.dead_reason = None
    _set_tokens(tools, connection, pair)
    return connection


def _set_tokens(tools: Toolbox, connection: Connection, pair: TokenPair) -> None:
    connection.sealed_access_token = tools.vault.seal(pair.access_token)
    connection.sealed_refresh_token = tools.vault.seal(pair.refresh_token) if pair.refresh_token else None
    connection.expires_at = pair.expires_at
    # A refresh that does not name the scopes keeps them (RFC 6749 §6).
    connection.scopes = sorted(pair.scopes) or connection.scopes
    connection.refresh_lease_until = None
