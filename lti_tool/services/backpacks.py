"""Learners' own accounts: seeing all one's badges, choosing the address that badges go to, taking an award along."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool import __version__
from lti_tool.badgr import connect, discovery, oauth
from lti_tool.badgr.assertions import BackpackBadge
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.connect import ConnectClient
from lti_tool.badgr.errors import BadgrError, GrantRejectedError, UnauthorizedError, body_of
from lti_tool.badgr.types import Profile, ServerAddress
from lti_tool.db import get_or_create
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import Award, AwardStatus, Backpack, BadgeHost, LearnerVisit, Person
from lti_tool.services import awarding, grants
from lti_tool.services.connections import server_address
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

Answer = TypeVar("Answer")
Client = BadgrClient | ConnectClient

# Seeing all badges and pushing one; who one is, for the verified addresses.
BACKPACK_SCOPES = ("r:profile", "r:backpack", "rw:backpack")
SIGN_IN_SCOPES = ("r:profile",)
SESSION = timedelta(hours=8)
MAXIMUM_HOSTS = 200
ENDED = "This account is not connected any more. Connect it again."


@dataclass(frozen=True)
class Place:
    """Where an account is: a Badgr server or a Badge Connect host."""

    server_id: int | None = None
    host_id: int | None = None


def address_of(tools: Toolbox, place: Place) -> ServerAddress:
    """The OAuth addresses of a place, with the tool's key there; raises LookupError."""
    if place.server_id is not None:
        return server_address(tools, place.server_id)
    with tools.database.read() as session:
        host = session.get(BadgeHost, place.host_id or 0)
    if host is None:
        raise LookupError(f"no badge host {place.host_id}")
    secret = tools.vault.open(host.sealed_client_secret) if host.sealed_client_secret else ""
    return ServerAddress("", host.api_base, host.client_id, secret, host.authorization_url, host.token_url)


def scopes_of(tools: Toolbox, place: Place) -> tuple[str, ...]:
    """What is asked for there."""
    if place.server_id is not None:
        return BACKPACK_SCOPES
    with tools.database.read() as session:
        return tuple(session.get_one(BadgeHost, place.host_id).scopes)


def add_host(tools: Toolbox, address: str, redirect_uri: str, now: datetime) -> int:
    """Discover a Badge Connect host and register the tool there, once; its id. Raises BadgrError, InvalidInputError."""
    if not address.startswith(("https://", "http://")):
        raise InvalidInputError("address: must be a whole address, such as https://badges.example.org.")
    manifest = discovery.manifest(tools.http, address.strip())
    with tools.database.read() as session:
        known = session.scalar(select(BadgeHost.id).where(BadgeHost.manifest_url == manifest.url))
        number = session.scalar(select(func.count(BadgeHost.id))) or 0
    if known is not None:
        return known
    if number >= MAXIMUM_HOSTS:
        raise ConflictError("No more hosts can be added here. Ask the administrator of the Badges tool.")
    base = tools.settings.base_url
    client_id, secret, scopes = connect.register(tools.http, manifest, base, redirect_uri, __version__)
    with tools.database.write() as session:
        told = {
            "name": manifest.name,
            "api_base": manifest.api_base,
            "authorization_url": manifest.authorization_url,
            "token_url": manifest.token_url,
            "scopes": list(scopes),
            "client_id": client_id,
            "sealed_client_secret": tools.vault.seal(secret) if secret else None,
            "created_at": now,
        }
        host = get_or_create(session, BadgeHost, {"manifest_url": manifest.url}, **told)
        session.commit()
        return host.id


def complete(
    tools: Toolbox, person_id: int, place: Place, code: str, verifier: str, redirect_uri: str, now: datetime
) -> str:
    """Turn the code into a learner's connected account; the name there. Raises BadgrError."""
    address = address_of(tools, place)
    wanted = frozenset(scopes_of(tools, place))
    pair = grants.exchange(tools, address, code, redirect_uri, verifier, wanted, now)
    profile = _client(tools, place, address, pair.access_token).profile()
    with tools.database.write() as session:
        key = {"person_id": person_id, "server_id": place.server_id, "host_id": place.host_id}
        backpack = session.scalar(select(Backpack).filter_by(**key)) or Backpack(**key, created_at=now)
        session.add(backpack)
        backpack.user_name, backpack.addresses = profile.name, verified_addresses(profile)
        backpack.sealed_access_token = tools.vault.seal(pair.access_token)
        backpack.sealed_refresh_token = tools.vault.seal(pair.refresh_token) if pair.refresh_token else None
        backpack.expires_at, backpack.dead_since = pair.expires_at, None
        session.commit()
        log.info("backpack_connected", backpack_id=backpack.id, person_id=person_id)
    return profile.name


def verified_addresses(profile: Profile) -> list[str]:
    """The addresses that somebody has proved to own, in small letters."""
    return sorted({email.address.strip().lower() for email in profile.emails if email.verified and email.address})


def of_person(session: Session, person_id: int) -> list[Backpack]:
    """The accounts that a learner has connected and that are still good."""
    query = select(Backpack).where(Backpack.person_id == person_id, Backpack.dead_since.is_(None))
    query = query.options(joinedload(Backpack.server), joinedload(Backpack.host)).order_by(Backpack.id)
    return list(session.scalars(query))


def badges(tools: Toolbox, person_id: int, backpack_id: int, now: datetime) -> list[BackpackBadge]:
    """Every badge in a learner's account, the newest first; raises BadgrError, NotFoundError, ConflictError."""
    found = _with_client(
        tools,
        person_id,
        backpack_id,
        now,
        lambda client: client.backpack() if isinstance(client, BadgrClient) else client.badges(),
    )
    return sorted(found, key=lambda badge: badge.issued_on.timestamp() if badge.issued_on else 0, reverse=True)


def push(tools: Toolbox, person_id: int, backpack_id: int, award_id: int, now: datetime) -> None:
    """Put an own award into a connected account; raises BadgrError, NotFoundError, ConflictError."""
    with tools.database.read() as session:
        award = session.scalar(select(Award).where(Award.id == award_id, Award.person_id == person_id))
        if award is None or award.status is not AwardStatus.ISSUED or not award.open_badge_id:
            raise NotFoundError("This badge is not issued yet, or is not yours.")
        url = award.open_badge_id

    def send(client: Client) -> None:
        if isinstance(client, BadgrClient):
            client.import_badge(url)
            return
        public = tools.http.get(url, headers={"Accept": "application/json"}, timeout=connect.TIMEOUT)
        assertion = body_of(public)
        if not public.ok or not isinstance(assertion, dict):
            raise BadgrError("The public page of the badge cannot be read at the moment. Try again later.")
        client.push(assertion)

    _with_client(tools, person_id, backpack_id, now, send)


def choose_address(tools: Toolbox, person_id: int, address: str, now: datetime) -> None:
    """Let badges go to a verified address of an own account, or to that of the LMS (empty). Raises InvalidInputError.

    What is issued already stays where it is.
    """
    with tools.database.write() as session:
        known = {known for backpack in of_person(session, person_id) for known in backpack.addresses}
        if address and address not in known:
            raise InvalidInputError("Choose one of the verified addresses of your connected accounts.")
        session.get_one(Person, person_id).chosen_address = address or None
        session.flush()
        awarding.release(session, now, person_id=person_id)
        session.commit()
        log.info("address_chosen", person_id=person_id, is_own=bool(address))


def disconnect(tools: Toolbox, person_id: int, backpack_id: int) -> None:
    """Forget a learner's account; badges go to the LMS's address again if they went to one of it."""
    with tools.database.read() as session:
        backpack = _find(session, person_id, backpack_id)
        place, sealed = Place(backpack.server_id, backpack.host_id), backpack.sealed_refresh_token
    if sealed is not None and place.server_id is not None:
        try:
            oauth.revoke(address_of(tools, place), tools.http, tools.vault.open(sealed))
        except BadgrError as error:
            log.warning("badgr_not_told", backpack_id=backpack_id, status=error.status)
    with tools.database.write() as session:
        backpack = _find(session, person_id, backpack_id)
        person = backpack.person
        if person.chosen_address in backpack.addresses:
            person.chosen_address = None
        session.delete(backpack)
        session.commit()


def sign_in(
    tools: Toolbox, server_id: int, code: str, verifier: str, redirect_uri: str, session_digest: str, now: datetime
) -> None:
    """Let whoever has proved to own a Badgr account see their own awards, outside any LMS. Raises BadgrError."""
    address = server_address(tools, server_id)
    pair = grants.exchange(tools, address, code, redirect_uri, verifier, frozenset(SIGN_IN_SCOPES), now)
    profile = BadgrClient(address.api_url, pair.access_token, tools.http).profile()
    if pair.refresh_token:
        try:
            # Nothing more is wanted of the account: the grant ends here.
            oauth.revoke(address, tools.http, pair.refresh_token)
        except BadgrError as error:
            log.info("badgr_not_told", status=error.status)
    with tools.database.write() as session:
        visit = get_or_create(
            session,
            LearnerVisit,
            {"session_digest": session_digest},
            user_name=profile.name,
            addresses=[],
            expires_at=now + SESSION,
        )
        visit.user_name, visit.addresses = profile.name, verified_addresses(profile)
        visit.expires_at = now + SESSION
        session.commit()


def sign_out(tools: Toolbox, session_digest: str) -> None:
    """End a visit outside the LMS."""
    with tools.database.write() as session:
        session.execute(delete(LearnerVisit).where(LearnerVisit.session_digest == session_digest))
        session.commit()


def _with_client(
    tools: Toolbox, person_id: int, backpack_id: int, now: datetime, work: Callable[[Client], Answer]
) -> Answer:
    with tools.database.read() as session:
        backpack = _find(session, person_id, backpack_id)
    place = Place(backpack.server_id, backpack.host_id)
    address = address_of(tools, place)
    try:
        return work(_client(tools, place, address, tools.vault.open(backpack.sealed_access_token)))
    except UnauthorizedError:
        token = _refreshed(tools, backpack, address, now)
    return work(_client(tools, place, address, token))


def _refreshed(tools: Toolbox, backpack: Backpack, address: ServerAddress, now: datetime) -> str:
    try:
        if backpack.sealed_refresh_token is None:
            raise GrantRejectedError(ENDED)
        pair = oauth.refresh(address, tools.http, tools.vault.open(backpack.sealed_refresh_token), now)
    except GrantRejectedError:
        with tools.database.write() as session:
            session.get_one(Backpack, backpack.id).dead_since = now
            session.commit()
        raise ConflictError(ENDED) from None
    with tools.database.write() as session:
        stored = session.get_one(Backpack, backpack.id)
        stored.sealed_access_token = tools.vault.seal(pair.access_token)
        stored.sealed_refresh_token = tools.vault.seal(pair.refresh_token) if pair.refresh_token else None
        stored.expires_at = pair.expires_at
        session.commit()
    return pair.access_token


def _client(tools: Toolbox, place: Place, address: ServerAddress, token: str) -> Client:
    kind = BadgrClient if place.server_id is not None else ConnectClient
    return kind(address.api_url, token, tools.http)


def _find(session: Session, person_id: int, backpack_id: int) -> Backpack:
    query = select(Backpack).where(Backpack.id == backpack_id, Backpack.person_id == person_id)
    found = session.scalar(query.options(joinedload(Backpack.person)))
    if found is None or found.dead_since is not None:
        raise NotFoundError(ENDED)
    return found
