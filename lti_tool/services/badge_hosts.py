"""Hosts at which learners connect accounts by themselves (Badge Connect): found, registered with, and removed.

Anybody can run a host, and a learner can be talked into entering its address. So a host is taken at its word only for
itself: what it says of others is not believed.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from lti_tool import __version__
from lti_tool.badgr import connect, discovery, oauth
from lti_tool.badgr.discovery import Manifest
from lti_tool.badgr.errors import BadgrError, ClientRejectedError
from lti_tool.badgr.presets import PRESETS
from lti_tool.badgr.types import ServerAddress
from lti_tool.db import get_or_create
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.lti.addresses import origin_of
from lti_tool.models import Backpack, BadgeHost, BadgrServer
from lti_tool.services import audit, sign_in_limits, token_calls
from lti_tool.services.registration import check_url
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

MAXIMUM_HOSTS = 200


@dataclass(frozen=True)
class HostState:
    """A host as administrators see it; `accounts` are those that learners have connected there."""

    id: int
    name: str
    host: str
    accounts: int


def enter(tools: Toolbox, address: str, redirect_uri: str, now: datetime, *, is_doubted: bool = False) -> int:
    """Discover a host and register the tool there, once, or anew when the registration is of no use any more; its id.

    `is_doubted` says that somebody was told there that it does not know the tool; then it is asked. Raises BadgrError,
    InvalidInputError.
    """
    check_url(tools.settings, "address", address.strip())
    manifest = discovery.manifest(tools.http, address.strip())
    with tools.database.read() as session:
        _check_addresses(tools, session, manifest)
        known = session.scalar(select(BadgeHost).where(BadgeHost.manifest_url == manifest.url))
        number = session.scalar(select(func.count(BadgeHost.id))) or 0
    if known is None:
        if number >= MAXIMUM_HOSTS:
            raise ConflictError("No more hosts can be added here. Ask the administrator of the Badges tool.")
        return _register(tools, manifest, redirect_uri, None, now)
    if _is_outdated(known, manifest, redirect_uri, now) or (is_doubted and _is_forgotten(tools, known, now)):
        return _register(tools, manifest, redirect_uri, known, now)
    return known.id


def address_of(tools: Toolbox, host_id: int) -> ServerAddress:
    """The addresses of a host, with what it has given to the tool; raises LookupError for an unknown id."""
    with tools.database.read() as session:
        host = session.get(BadgeHost, host_id)
    if host is None:
        raise LookupError(f"no badge host {host_id}")
    secret = tools.vault.open(host.sealed_client_secret) if host.sealed_client_secret else ""
    return ServerAddress(
        ui_url="",
        api_url=host.api_base,
        client_id=host.client_id,
        client_secret=secret,
        authorization_url=host.authorization_url,
        token_url=host.token_url,
        is_basic=host.auth_method == connect.BASIC,
    )


def note_refusal(tools: Toolbox, host_id: int | None, address: ServerAddress, error: BadgrError, now: datetime) -> bool:
    """Whether a host has said that it does not know the tool by this registration; the next learner registers anew."""
    if host_id is None or not isinstance(error, ClientRejectedError):
        return False
    with tools.database.write() as session:
        host = session.get(BadgeHost, host_id, with_for_update=True)
        # Unless somebody has registered anew meanwhile.
        if host is not None and host.client_id == address.client_id:
            host.secret_ends_at = now
        session.commit()
    log.warning("badge_host_forgot_us", host_id=host_id)
    return True


def states(session: Session) -> list[HostState]:
    """Every host, by name."""
    query = select(Backpack.host_id, func.count()).where(Backpack.host_id.is_not(None)).group_by(Backpack.host_id)
    counted = {row[0]: row[1] for row in session.execute(query)}
    hosts = session.scalars(select(BadgeHost).order_by(BadgeHost.name, BadgeHost.id))
    return [HostState(host.id, host.name, urlsplit(host.api_base).netloc, counted.get(host.id, 0)) for host in hosts]


def remove(tools: Toolbox, host_id: int, actor: str, now: datetime) -> None:
    """Forget a host and the accounts that learners have connected there; raises NotFoundError.

    Badge Connect does not say where a grant ends: what the host itself keeps stays there.
    """
    with tools.database.write() as session:
        host = session.get(BadgeHost, host_id)
        if host is None:
            raise NotFoundError("See the list of badge hosts.", "There is no such badge host")
        session.execute(delete(Backpack).where(Backpack.host_id == host_id))
        session.delete(host)
        audit.note(session, actor, "badge host removed", now, detail=f"{host.name}: {host.api_base}")
        session.commit()


def _check_addresses(tools: Toolbox, session: Session, manifest: Manifest) -> None:
    """Raise InvalidInputError unless codes, tokens and badges go to the host itself (docs/decisions, 15)."""
    for url in (manifest.api_base, manifest.authorization_url, manifest.token_url, manifest.registration_url):
        # What the host says of itself is held to the same rule as what a person enters.
        check_url(tools.settings, f"an address of {manifest.name}", url)
    own, name = origin_of(manifest.url), urlsplit(manifest.url).netloc
    for url in (manifest.api_base, manifest.token_url, manifest.registration_url):
        if origin_of(url) != own:
            raise InvalidInputError(
                f"address: {name} sends to another address, {urlsplit(url).netloc}. That is not followed, for tokens "
                "and badges would go there. Enter the address of the host itself."
            )
    trusted = _interfaces_of(session, manifest.authorization_url)
    if trusted and own not in trusted:
        raise InvalidInputError(
            f"address: {name} asks for consent at {urlsplit(manifest.authorization_url).netloc}, to which it does not "
            "belong. Do not go on there: it would get what you allow. Enter the address of the host itself."
        )


def _interfaces_of(session: Session, consent_url: str) -> set[tuple[str, str, int] | None]:
    """The origins of the APIs that belong to a consent page that is known; none when it is not known."""
    consent, found = origin_of(consent_url), set()
    if consent in {origin_of(preset.ui_url) for preset in PRESETS.values() if preset.ui_url}:
        # All of one company, under a former and a present name.
        found |= {origin_of(preset.api_url) for preset in PRESETS.values()}
    for server in session.scalars(select(BadgrServer)):
        if origin_of(server.ui_url) == consent:
            found.add(origin_of(server.api_url))
    return found


def _is_outdated(host: BadgeHost, manifest: Manifest, redirect_uri: str, now: datetime) -> bool:
    """Whether what was registered and what is so differ, or the secret has ended."""
    stored = (host.api_base, host.authorization_url, host.token_url)
    if stored != (manifest.api_base, manifest.authorization_url, manifest.token_url):
        return True
    if host.redirect_uri is not None and host.redirect_uri != redirect_uri:
        return True
    return host.secret_ends_at is not None and host.secret_ends_at <= now


def _is_forgotten(tools: Toolbox, host: BadgeHost, now: datetime) -> bool:
    """Ask the host whether it still knows the tool; what else goes wrong says nothing of that."""
    if not sign_in_limits.may_ask(tools, f"whether host {host.id} knows us", now):
        return False
    address = address_of(tools, host.id)
    try:
        token_calls.respect_wait(tools, address, now)
        oauth.check_client(address, tools.http, host.redirect_uri or f"{tools.settings.base_url}/badgr/callback")
    except ClientRejectedError:
        return True
    except BadgrError as error:
        token_calls.note_wait(tools, address, error, now)
    return False


def _register(tools: Toolbox, manifest: Manifest, redirect_uri: str, known: BadgeHost | None, now: datetime) -> int:
    """Register, and keep that; of two who do it at once the first counts."""
    given = connect.register(tools.http, manifest, tools.settings.base_url, redirect_uri, __version__)
    told = {
        "name": manifest.name,
        "api_base": manifest.api_base,
        "authorization_url": manifest.authorization_url,
        "token_url": manifest.token_url,
        "scopes": list(given.scopes),
        "client_id": given.client_id,
        "sealed_client_secret": tools.vault.seal(given.client_secret) if given.client_secret else None,
        "auth_method": given.auth_method,
        "secret_ends_at": given.secret_ends_at,
        "redirect_uri": redirect_uri,
    }
    with tools.database.write() as session:
        host = get_or_create(session, BadgeHost, {"manifest_url": manifest.url}, **told, created_at=now)
        if known is not None and host.client_id == known.client_id:
            for name, value in told.items():
                setattr(host, name, value)
        session.commit()
        log.info("badge_host_registered", host_id=host.id, is_new=known is None)
        return host.id
