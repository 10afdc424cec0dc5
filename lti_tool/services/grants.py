"""Who awards by which Badgr account: connecting one, using one's own in another course, an institution's, ending it."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.badgr import oauth
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import BadgrError, SignInThrottledError
from lti_tool.badgr.types import Issuer, Profile, ServerAddress, TokenPair
from lti_tool.db import get_or_create
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import (
    Award,
    AwardStatus,
    BadgeClass,
    BadgrServer,
    Connection,
    Course,
    Deployment,
    Person,
    Rule,
    RuleStatus,
)
from lti_tool.services import audit, awarding, token_calls
from lti_tool.services.connections import end_grant, give_back, release, server_address, set_tokens, tokens_of
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

LONGEST_WAIT_SECONDS = 15.0
NOT_ALLOWED = (
    "Your institution does not let its account award the badges of this course: they are of another issuer. Ask the "
    "administrator of the Badges tool to allow that issuer, or use your own account."
)


@dataclass(frozen=True)
class Consent:
    """An authorization that was begun in a browser and comes back with a code: for a course and a person who teaches
    it, or for all courses of a deployment by an administrator."""

    server_id: int
    code_verifier: str
    course_id: int | None = None
    person_id: int | None = None
    deployment_id: int | None = None
    actor: str = ""


@dataclass(frozen=True)
class Choice:
    """A connection that a course can use."""

    id: int
    user_name: str
    server_name: str
    owner: str
    is_alive: bool
    is_own: bool
    is_used: bool


def wanted_scopes(session: Session, server_id: int) -> tuple[str, ...]:
    """What is asked for at this server's consent page."""
    return tuple(session.get_one(BadgrServer, server_id).scopes)


def complete(tools: Toolbox, consent: Consent, code: str, redirect_uri: str, now: datetime) -> Connection:
    """Turn the code into a connection; raises BadgrError, InvalidInputError when rights are missing."""
    address = server_address(tools, consent.server_id)
    wanted = frozenset(oauth.NEEDED_SCOPES)
    pair = exchange(tools, address, code, redirect_uri, consent.code_verifier, wanted, now)
    if not wanted <= pair.scopes:
        give_back(tools, address, pair)
        missing = ", ".join(sorted(wanted - pair.scopes))
        raise InvalidInputError(
            f"Badgr did not allow everything that is needed to award badges (missing: {missing}). "
            "Ask the administrator of the Badges tool to correct the rights of its Badgr key."
        )
    client = BadgrClient(address.api_url, pair.access_token, tools.http)
    profile, found = client.profile(), _issuers(client)
    with tools.database.write() as session:
        connection, former = _store(tools, session, consent, pair, profile, now)
        if consent.course_id is not None:
            _attach(session, session.get_one(Course, consent.course_id), connection, found, now)
        else:
            told = f"{profile.name} at {connection.server.name}"
            audit.note(session, consent.actor, "institution's account connected", now, detail=told)
        session.flush()
        release(session, connection, now)
        session.commit()
        log.info("badgr_connected", connection_id=connection.id, course_id=consent.course_id)
    # Nobody holds the grant any more that this one takes the place of.
    give_back(tools, address, former)
    return connection


def exchange(
    tools: Toolbox,
    address: ServerAddress,
    code: str,
    redirect_uri: str,
    verifier: str,
    wanted: frozenset[str],
    now: datetime,
    *,
    patience: float = LONGEST_WAIT_SECONDS,
) -> TokenPair:
    """The tokens for a code; a wait of so many seconds that the server asks for is waited, for the person would have to
    begin anew.

    A code lives for 60 seconds (BADGR.md §1.3), and somebody else's failure may have made the server ask (§1.6).
    """

    def exchange_once(at: datetime) -> TokenPair:
        token_calls.respect_wait(tools, address, at)
        try:
            return oauth.exchange_code(address, tools.http, code, redirect_uri, verifier, wanted, at)
        except BadgrError as error:
            token_calls.note_wait(tools, address, error, at)
            raise

    try:
        return exchange_once(now)
    except SignInThrottledError as error:
        if error.retry_after is None or error.retry_after > patience:
            raise
        time.sleep(error.retry_after)
        return exchange_once(now + timedelta(seconds=error.retry_after))


def choices(session: Session, course: Course, person_id: int) -> list[Choice]:
    """What this person can let the course use: the present connection, own ones, and the institution's."""
    is_mine, is_ours = Connection.person_id == person_id, Connection.deployment_id == course.deployment_id
    query = (
        select(Connection)
        .where((is_mine & Connection.dead_since.is_(None)) | is_ours | (Connection.id == course.connection_id))
        .options(joinedload(Connection.server))
        .order_by(Connection.id)
    )
    return [
        Choice(
            id=c.id,
            user_name=c.badgr_user_name,
            server_name=c.server.name,
            owner=owner_of(session, c),
            is_alive=c.is_alive,
            is_own=c.person_id == person_id,
            is_used=c.id == course.connection_id,
        )
        for c in session.scalars(query)
    ]


def owner_of(session: Session, connection: Connection) -> str:
    """Who made a connection, for people."""
    if connection.person_id is None:
        return "your institution"
    return session.get_one(Person, connection.person_id).display_name


def use(tools: Toolbox, course_id: int, person_id: int, connection_id: int, found: list[Issuer], now: datetime) -> None:
    """Let a course use one of the connections that this person can choose; raises NotFoundError for another."""
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        chosen = next((c for c in choices(session, course, person_id) if c.id == connection_id and c.is_alive), None)
        if chosen is None:
            raise NotFoundError("Choose one of the connections in the list.")
        connection = session.get_one(Connection, connection_id)
        if not _may_use(session, course, connection):
            raise ConflictError(NOT_ALLOWED)
        _attach(session, course, connection, found, now)
        session.flush()
        awarding.release(session, now, course_id=course_id)
        session.commit()
        log.info("connection_chosen", course_id=course_id, connection_id=connection_id, person_id=person_id)


def disconnect(tools: Toolbox, connection_id: int, actor: str, now: datetime) -> bool:
    """End a connection here and at Badgr; whether Badgr has confirmed it. Awards wait until somebody connects again."""
    with tools.database.read() as session:
        connection = session.get_one(Connection, connection_id)
    has_ended, seen = True, connection.sealed_access_token
    if connection.is_alive:
        present = tokens_of(tools, connection)
        try:
            end_grant(tools, server_address(tools, connection.server_id), present)
        except BadgrError as error:
            log.warning("badgr_not_told", connection_id=connection_id, status=error.status)
            has_ended = False
    with tools.database.write() as session:
        connection = session.get_one(Connection, connection_id, with_for_update=True)
        # Somebody may have renewed it while Badgr was told.
        newer = tokens_of(tools, connection) if connection.sealed_access_token != seen else None
        connection.dead_since = connection.dead_since or now
        connection.dead_reason = f"{actor} has disconnected it."
        # Nothing is left that could be used by whoever finds it.
        connection.sealed_access_token, connection.sealed_refresh_token = tools.vault.seal(""), None
        audit.note(session, actor, "Badgr account disconnected", now, detail=connection.badgr_user_name)
        session.commit()
    give_back(tools, server_address(tools, connection.server_id), newer)
    return has_ended


def allow_issuers(tools: Toolbox, connection_id: int, entity_ids: list[str], actor: str, now: datetime) -> None:
    """Limit an institution's connection to some issuers; an empty list is all of them. Raises NotFoundError.

    What courses award in the name of another one waits then, and goes out when that one is allowed.
    """
    with tools.database.write() as session:
        connection = session.get(Connection, connection_id)
        if connection is None or connection.deployment_id is None:
            raise NotFoundError("There is no such account of an institution.")
        connection.allowed_issuers = sorted(set(entity_ids))
        for course in session.scalars(select(Course).where(Course.connection_id == connection_id)):
            if course.issuer_entity_id is not None and not connection.allows(course.issuer_entity_id):
                course.issuer_entity_id = course.issuer_name = course.issuer_role = None
        session.flush()
        release(session, connection, now)
        audit.note(session, actor, "allowed issuers changed", now, detail=", ".join(connection.allowed_issuers))
        session.commit()


def _may_use(session: Session, course: Course, connection: Connection) -> bool:
    """Whether the institution lets this course award what its rules award; anybody else's account has no limits."""
    in_use = select(BadgeClass.issuer_entity_id).join(Rule)
    in_use = in_use.where(Rule.course_id == course.id, Rule.status != RuleStatus.DRAFT)
    return all(connection.allows(issuer_id) for issuer_id in set(session.scalars(in_use)))


def _issuers(client: BadgrClient) -> list[Issuer] | None:
    try:
        return client.issuers()
    except BadgrError:
        # Not worth losing the connection: whoever chooses the issuer is told what is wrong.
        return None


def _attach(
    session: Session, course: Course, connection: Connection, found: list[Issuer] | None, now: datetime
) -> None:
    """Let the course use the connection, and keep its issuer only if this account can award in its name, too."""
    if course.connection_id != connection.id:
        # What was changed at Badgr while another connection looked, or none did, must be found by this one.
        connection.changes_until = None
        _try_again(session, course, now)
    course.connection = connection
    if found is None:
        return
    wanted = course.issuer_entity_id or session.scalar(
        select(BadgeClass.issuer_entity_id).join(Rule).where(Rule.course_id == course.id).order_by(Rule.id.desc())
    )
    issuer = next((i for i in found if i.entity_id == wanted), None)
    if issuer is None or not connection.allows(issuer.entity_id):
        course.issuer_entity_id = course.issuer_name = course.issuer_role = None
    else:
        course.issuer_entity_id, course.issuer_name = issuer.entity_id, issuer.name
        course.issuer_role = issuer.role_of(connection.badgr_user_id)


def _try_again(session: Session, course: Course, now: datetime) -> None:
    """What Badgr has refused the former account may be granted to this one."""
    failed = select(Award).where(Award.course_id == course.id, Award.status == AwardStatus.FAILED)
    for award in session.scalars(failed.with_for_update()):
        awarding.add_step(session, award, "released", "Another Badgr account was connected: it is tried again.", now)
        awarding.make_due(session, award, now)


def _store(
    tools: Toolbox, session: Session, consent: Consent, pair: TokenPair, profile: Profile, now: datetime
) -> tuple[Connection, TokenPair | None]:
    """The connection of this account, and the tokens that it had before."""
    key: dict[str, object] = {"server_id": consent.server_id, "badgr_user_id": profile.entity_id}
    if consent.deployment_id is not None:
        key["deployment_id"] = session.get_one(Deployment, consent.deployment_id).id
    else:
        key["person_id"] = consent.person_id
    connection = get_or_create(
        session,
        Connection,
        key,
        badgr_user_name=profile.name,
        scopes=sorted(pair.scopes),
        allowed_issuers=[],
        sealed_access_token="",
        expires_at=pair.expires_at,
        created_at=now,
    )
    former = tokens_of(tools, connection) if connection.is_alive else None
    connection.badgr_user_name = profile.name
    connection.dead_since = connection.dead_reason = None
    set_tokens(tools, connection, pair)
    return connection, former
