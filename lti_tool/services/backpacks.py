"""Learners' own accounts: seeing all one's badges, choosing the address that badges go to, taking an award along."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import requests
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.badgr import connect
from lti_tool.badgr.assertions import BackpackBadge
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import BadgrError, DuplicateAwardError, body_of, from_exception
from lti_tool.badgr.types import Profile
from lti_tool.db import get_or_create
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import Award, AwardStatus, Backpack, BadgeHost, LearnerVisit, Person
from lti_tool.services import awarding, badge_hosts, grants
from lti_tool.services.backpack_tokens import Client, Place, address_of, client_of, find, store, with_client
from lti_tool.services.connections import end_grant, give_back, server_address, tokens_of
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

# Seeing all badges and pushing one; who one is, for the verified addresses.
BACKPACK_SCOPES = ("r:profile", "r:backpack", "rw:backpack")
SIGN_IN_SCOPES = ("r:profile",)
SESSION = timedelta(hours=8)


def scopes_of(tools: Toolbox, place: Place) -> tuple[str, ...]:
    """What is asked for there."""
    if place.server_id is not None:
        return BACKPACK_SCOPES
    with tools.database.read() as session:
        return tuple(session.get_one(BadgeHost, place.host_id).scopes)


def complete(
    tools: Toolbox, person_id: int, place: Place, code: str, verifier: str, redirect_uri: str, now: datetime
) -> str:
    """Turn the code into a learner's connected account; the name there.

    Raises BadgrError, InvalidInputError when rights are missing.
    """
    address = address_of(tools, place)
    wanted = frozenset(scopes_of(tools, place))
    try:
        pair = grants.exchange(tools, address, code, redirect_uri, verifier, wanted, now)
    except BadgrError as error:
        badge_hosts.note_refusal(tools, place.host_id, address, error, now)
        raise
    # What a host does not name among the rights is known by whether it gives a refresh token.
    if missing_scopes := wanted - pair.scopes - {connect.REFRESHING}:
        give_back(tools, address, pair)
        missing = ", ".join(sorted(missing_scopes))
        raise InvalidInputError(
            f"Your account did not allow everything that is needed to see your badges and to add one (missing: "
            f"{missing}). Connect it again and allow all of it; if that does not help, tell the administrator of the "
            "Badges tool."
        )
    profile = client_of(tools, place, address, pair.access_token).profile()
    with tools.database.write() as session:
        key = {"person_id": person_id, "server_id": place.server_id, "host_id": place.host_id}
        backpack = session.scalar(select(Backpack).filter_by(**key).with_for_update()) or Backpack(
            **key, created_at=now
        )
        former = tokens_of(tools, backpack) if backpack.dead_since is None else None
        session.add(backpack)
        backpack.user_name, backpack.addresses = profile.name, verified_addresses(profile)
        backpack.dead_since = None
        store(tools, backpack, pair)
        session.flush()
        _forget_strange_address(session, person_id)
        session.commit()
        log.info("backpack_connected", backpack_id=backpack.id, person_id=person_id)
    if place.server_id is not None:
        # Of the account that was here before, or of the same one: nobody holds this grant any more.
        give_back(tools, address, former)
    return profile.name


def _forget_strange_address(session: Session, person_id: int) -> None:
    """Badges go on to the chosen address only as long as it is one of an account of theirs."""
    person = session.get_one(Person, person_id)
    known = {address for other in of_person(session, person_id, also_ended=True) for address in other.addresses}
    if person.chosen_address not in known:
        person.chosen_address = None


def verified_addresses(profile: Profile) -> list[str]:
    """The addresses that somebody has proved to own, in small letters."""
    return sorted({email.address.strip().lower() for email in profile.emails if email.verified and email.address})


def of_person(session: Session, person_id: int, *, also_ended: bool = False) -> list[Backpack]:
    """The accounts that a learner has connected and that are still good; or all of them."""
    query = select(Backpack).where(Backpack.person_id == person_id)
    query = query if also_ended else query.where(Backpack.dead_since.is_(None))
    query = query.options(joinedload(Backpack.server), joinedload(Backpack.host)).order_by(Backpack.id)
    return list(session.scalars(query))


def badges(tools: Toolbox, person_id: int, backpack_id: int, now: datetime) -> list[BackpackBadge]:
    """Every badge in a learner's account, the newest first; raises BadgrError, NotFoundError, ConflictError."""
    found = with_client(
        tools,
        person_id,
        backpack_id,
        now,
        lambda client: client.backpack() if isinstance(client, BadgrClient) else client.badges(),
    )
    return sorted(found, key=lambda badge: badge.issued_on.timestamp() if badge.issued_on else 0, reverse=True)


def push(tools: Toolbox, person_id: int, backpack_id: int, award_id: int, now: datetime) -> None:
    """Put an own award into a connected account, where it may be already; raises BadgrError, NotFoundError,
    ConflictError."""
    with tools.database.read() as session:
        award = session.scalar(select(Award).where(Award.id == award_id, Award.person_id == person_id))
        if award is None or award.status is not AwardStatus.ISSUED or not award.open_badge_id:
            raise NotFoundError("This badge is not issued yet, or is not yours.")
        url = award.open_badge_id

    assertion = _public(tools, url)

    def send(client: Client) -> None:
        if isinstance(client, BadgrClient):
            client.import_badge(url)
        else:
            client.push(assertion)

    # That the account has it already is what was wanted.
    with suppress(DuplicateAwardError):
        with_client(tools, person_id, backpack_id, now, send)


def _public(tools: Toolbox, url: str) -> dict[str, Any]:
    """What the public page of a badge shows; raises ConflictError for one that was revoked (BADGR.md §8)."""
    try:
        answer = tools.http.get(url, headers={"Accept": "application/json"}, timeout=connect.TIMEOUT)
    except requests.RequestException as error:
        raise from_exception(error, wrote=False) from None
    assertion = body_of(answer)
    if isinstance(assertion, dict) and assertion.get("revoked"):
        raise ConflictError("Badgr says that this badge was revoked. It cannot be taken along.", "A revoked badge")
    if not answer.ok or not isinstance(assertion, dict):
        raise BadgrError("The public page of the badge cannot be read at the moment. Try again later.")
    return assertion


def choose_address(tools: Toolbox, person_id: int, address: str, now: datetime) -> None:
    """Let badges go to a verified address of an own account, or to that of the LMS (empty). Raises InvalidInputError.

    What is issued already stays where it is.
    """
    with tools.database.write() as session:
        known = {known for backpack in of_person(session, person_id) for known in backpack.addresses}
        person = session.get_one(Person, person_id)
        if address and address not in known and address != person.chosen_address:
            raise InvalidInputError("Choose one of the verified addresses of your connected accounts.")
        person.chosen_address = address or None
        session.flush()
        awarding.release(session, now, person_id=person_id)
        session.commit()
        log.info("address_chosen", person_id=person_id, is_own=bool(address))


def disconnect(tools: Toolbox, person_id: int, backpack_id: int) -> bool:
    """Forget a learner's account; whether it was ended there, too. Raises NotFoundError.

    Badges go to the LMS's address again if they went to one that no other account has.
    """
    with tools.database.read() as session:
        backpack = find(session, person_id, backpack_id, also_ended=True)
    # Badge Connect does not say where a host ends a grant.
    has_ended = backpack.dead_since is not None
    if not has_ended and backpack.server_id is not None:
        try:
            end_grant(tools, server_address(tools, backpack.server_id), tokens_of(tools, backpack))
            has_ended = True
        except BadgrError as error:
            log.warning("badgr_not_told", backpack_id=backpack_id, status=error.status)
    with tools.database.write() as session:
        backpack = find(session, person_id, backpack_id, also_ended=True)
        session.delete(backpack)
        session.flush()
        _forget_strange_address(session, person_id)
        session.commit()
    return has_ended


def sign_in(
    tools: Toolbox, server_id: int, code: str, verifier: str, redirect_uri: str, session_digest: str, now: datetime
) -> None:
    """Let whoever has proved to own a Badgr account see their own awards, outside any LMS. Raises BadgrError."""
    address = server_address(tools, server_id)
    # Anybody can come here, so nobody waits in a thread that others need.
    scopes = frozenset(SIGN_IN_SCOPES)
    pair = grants.exchange(tools, address, code, redirect_uri, verifier, scopes, now, patience=0)
    profile = BadgrClient(address.api_url, pair.access_token, tools.http).profile()
    # Nothing more is wanted of the account: the grant ends here.
    give_back(tools, address, pair)
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
