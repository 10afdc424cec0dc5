"""The tokens of learners' own accounts: used, and renewed by one process at a time."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.badgr import oauth
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.connect import ConnectClient
from lti_tool.badgr.errors import BadgrError, GrantRejectedError, UnauthorizedError
from lti_tool.badgr.types import ServerAddress, TokenPair
from lti_tool.db import insert_if_absent
from lti_tool.errors import ConflictError, NotFoundError
from lti_tool.models import Backpack, OneTimeToken
from lti_tool.services import badge_hosts, token_calls
from lti_tool.services.connections import (
    LEASE,
    PATIENCE,
    WAIT_STEP_SECONDS,
    ConnectionBusyError,
    give_back,
    server_address,
)
from lti_tool.toolbox import Toolbox

Answer = TypeVar("Answer")
Client = BadgrClient | ConnectClient

ENDED = "This account is not connected any more. Connect it again."


class AccountEndedError(ConflictError):
    """A learner's account is not connected any more: they have to connect it again."""


@dataclass(frozen=True)
class Place:
    """Where an account is: a Badgr server or a Badge Connect host."""

    server_id: int | None = None
    host_id: int | None = None


def address_of(tools: Toolbox, place: Place) -> ServerAddress:
    """The OAuth addresses of a place, with the tool's key there; raises LookupError."""
    if place.server_id is not None:
        return server_address(tools, place.server_id)
    return badge_hosts.address_of(tools, place.host_id or 0)


def client_of(tools: Toolbox, place: Place, address: ServerAddress, token: str) -> Client:
    """What speaks to an account with this token."""
    kind = BadgrClient if place.server_id is not None else ConnectClient
    return kind(address.api_url, token, tools.http)


def with_client(
    tools: Toolbox, person_id: int, backpack_id: int, now: datetime, work: Callable[[Client], Answer]
) -> Answer:
    """Do something in a learner's account; a refused token is renewed once.

    Raises NotFoundError, AccountEndedError when the learner has to connect again, ConnectionBusyError, or what `work`
    raises.
    """
    with tools.database.read() as session:
        backpack = find(session, person_id, backpack_id)
    place = Place(backpack.server_id, backpack.host_id)
    address = address_of(tools, place)
    token = tools.vault.open(backpack.sealed_access_token)
    try:
        return work(client_of(tools, place, address, token))
    except UnauthorizedError:
        token = _renewed(tools, backpack_id, address, token, now)
    try:
        return work(client_of(tools, place, address, token))
    except UnauthorizedError:
        # Not even a token of this moment is taken there.
        _mark_dead(tools, backpack_id, token, now)
        raise AccountEndedError(ENDED) from None


def find(session: Session, person_id: int, backpack_id: int, *, also_ended: bool = False) -> Backpack:
    """An account of this person; raises NotFoundError for another's, and for one that has ended."""
    query = select(Backpack).where(Backpack.id == backpack_id, Backpack.person_id == person_id)
    found = session.scalar(query.options(joinedload(Backpack.person)))
    if found is None or (found.dead_since is not None and not also_ended):
        raise NotFoundError(ENDED)
    return found


def store(tools: Toolbox, backpack: Backpack, pair: TokenPair) -> None:
    """Keep a pair of tokens, sealed."""
    backpack.sealed_access_token = tools.vault.seal(pair.access_token)
    backpack.sealed_refresh_token = tools.vault.seal(pair.refresh_token) if pair.refresh_token else None
    backpack.expires_at = pair.expires_at


def _renewed(tools: Toolbox, backpack_id: int, address: ServerAddress, refused: str, now: datetime) -> str:
    """Another token than the refused one: what another process has renewed meanwhile, or a new one."""
    started = time.monotonic()
    while (waited := timedelta(seconds=time.monotonic() - started)) < PATIENCE:
        if _take_lease(tools, backpack_id, now + waited):
            try:
                return _renew(tools, backpack_id, address, refused, now + waited)
            finally:
                _give_lease_back(tools, backpack_id)
        time.sleep(WAIT_STEP_SECONDS)
    raise ConnectionBusyError("another process is renewing this account")


def _renew(tools: Toolbox, backpack_id: int, address: ServerAddress, refused: str, now: datetime) -> str:
    with tools.database.read() as session:
        backpack = session.get(Backpack, backpack_id)
    if backpack is None or backpack.dead_since is not None:
        raise AccountEndedError(ENDED)
    token = tools.vault.open(backpack.sealed_access_token)
    if token != refused:
        return token
    try:
        token_calls.respect_wait(tools, address, now)
        if backpack.sealed_refresh_token is None:
            raise GrantRejectedError(ENDED)
        pair = oauth.refresh(address, tools.http, tools.vault.open(backpack.sealed_refresh_token), now)
    except GrantRejectedError:
        _mark_dead(tools, backpack_id, refused, now)
        raise AccountEndedError(ENDED) from None
    except BadgrError as error:
        token_calls.note_wait(tools, address, error, now)
        if badge_hosts.note_refusal(tools, backpack.host_id, address, error, now):
            # The refresh token was given to a registration that is no more.
            _mark_dead(tools, backpack_id, refused, now)
            raise AccountEndedError(ENDED) from None
        raise
    former = tools.vault.open(backpack.sealed_refresh_token)
    pair = replace(pair, refresh_token=pair.refresh_token or former)
    with tools.database.write() as session:
        stored = session.get(Backpack, backpack_id, with_for_update=True)
        if stored is not None and tools.vault.open(stored.sealed_access_token) == refused:
            store(tools, stored, pair)
            # Another process was refused, for this answer was on its way.
            stored.dead_since = None
            session.commit()
            return pair.access_token
    # Meanwhile another account was connected here, or this one was ended: nobody keeps this pair.
    give_back(tools, address, pair)
    if stored is None or stored.dead_since is not None:
        raise AccountEndedError(ENDED)
    return tools.vault.open(stored.sealed_access_token)


def _mark_dead(tools: Toolbox, backpack_id: int, refused: str, now: datetime) -> None:
    with tools.database.write() as session:
        backpack = session.get(Backpack, backpack_id)
        # Unless the learner has connected it again meanwhile.
        if backpack is not None and tools.vault.open(backpack.sealed_access_token) == refused:
            backpack.dead_since = now
        session.commit()


def _take_lease(tools: Toolbox, backpack_id: int, now: datetime) -> bool:
    # A row that can be inserted once, and ends by itself when its process dies: it is how processes exclude each other.
    digest = _lease(backpack_id)
    with tools.database.write() as session:
        session.execute(delete(OneTimeToken).where(OneTimeToken.digest == digest, OneTimeToken.expires_at < now))
        taken = insert_if_absent(session, OneTimeToken, {"digest": digest}, expires_at=now + LEASE)
        session.commit()
        return taken


def _give_lease_back(tools: Toolbox, backpack_id: int) -> None:
    with tools.database.write() as session:
        session.execute(delete(OneTimeToken).where(OneTimeToken.digest == _lease(backpack_id)))
        session.commit()


def _lease(backpack_id: int) -> str:
    return hashlib.sha256(f"renewal of backpack {backpack_id}".encode()).hexdigest()
