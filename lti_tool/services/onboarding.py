"""How an LMS comes to us: by a one-time registration link, and by deployments that somebody approves."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from lti_tool.db import get_or_create
from lti_tool.domain.launch import LaunchSite
from lti_tool.errors import InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.lti import registration as dynamic
from lti_tool.lti.configuration import PlatformConfiguration, are_of_one_service, read_configuration
from lti_tool.lti.errors import LaunchError, RegistrationError
from lti_tool.lti.registration import Registered, ToolAddresses
from lti_tool.lti.state import digest
from lti_tool.models import Deployment, Platform, PlatformToken, RegistrationLink
from lti_tool.services import audit
from lti_tool.services.registration import check_url
from lti_tool.settings import Settings
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

LINK_LIFETIME = timedelta(days=7)
MAXIMUM_WAITING = 200
LINK_ENDED = (
    "This registration link was used already, has ended, or was never given. Ask the administrator of the Badges tool "
    "for a new one."
)


@dataclass(frozen=True)
class Outcome:
    """What a registration has led to; without a deployment the first launch waits for approval."""

    platform_name: str
    is_update: bool
    has_deployment: bool


def tool_addresses(settings: Settings) -> ToolAddresses:
    """The tool's public addresses."""
    base = settings.base_url
    return ToolAddresses(
        base, f"{base}/lti/login", f"{base}/lti/launch", f"{base}/lti/jwks.json", f"{base}/static/favicon.svg"
    )


def create_link(tools: Toolbox, actor: str, note: str, now: datetime, platform_id: int | None = None) -> str:
    """A registration link for one LMS, shown this once; with a platform it renews that one. Raises NotFoundError."""
    token = secrets.token_urlsafe(32)
    with tools.database.write() as session:
        if platform_id is not None and session.get(Platform, platform_id) is None:
            raise NotFoundError("See the list of platforms.", "There is no such platform")
        session.add(
            RegistrationLink(
                digest=digest(token),
                note=note.strip()[:200],
                created_by=actor,
                created_at=now,
                expires_at=now + LINK_LIFETIME,
                platform_id=platform_id,
            )
        )
        audit.note(session, actor, "registration link created", now, platform_id=platform_id, detail=note.strip())
        session.commit()
    return f"{tools.settings.base_url}/lti/register/{token}"


def check_link(tools: Toolbox, token: str, now: datetime) -> None:
    """Raise InvalidInputError unless this link may still be used."""
    with tools.database.read() as session:
        _open_link(session, token, now)


def register(
    tools: Toolbox, token: str, configuration_url: str, registration_token: str | None, now: datetime
) -> Outcome:
    """Register with the LMS that opened a link; raises InvalidInputError or RegistrationError, storing nothing."""
    check_link(tools, token, now)
    found = _read(tools, configuration_url, registration_token)
    if not found.registration_url:
        raise RegistrationError("This LMS registers no tools by itself. Ask for the tool to be registered by hand.")
    # Outside any transaction: the LMS answers when it likes. A link that is used twice meanwhile loses below.
    registered = dynamic.register(tools.http, found, tool_addresses(tools.settings), registration_token)
    with tools.database.write() as session:
        link = _open_link(session, token, now)
        platform, is_update = _store(session, link, found, registered, now)
        link.used_at, link.platform_id = now, platform.id
        # They are a part of what was just registered.
        platform.has_parameters = True
        action = "registration renewed" if is_update else "registered"
        audit.note(session, f"link of {link.created_by}", action, now, platform_id=platform.id, detail=found.issuer)
        session.commit()
        log.info("platform_registered", platform_id=platform.id, is_update=is_update)
        return Outcome(platform.name, is_update, registered.deployment_id is not None)


def look_up(tools: Toolbox, configuration_url: str) -> PlatformConfiguration:
    """The addresses that an LMS publishes of itself (OpenID configuration); raises RegistrationError."""
    return _read(tools, configuration_url, None)


def remember_deployment(tools: Toolbox, platform_id: int, deployment_id: str, now: datetime) -> None:
    """Note a deployment that launched (rightly signed) without being known, for an administrator to approve."""
    with tools.database.write() as session:
        waiting = select(func.count()).where(Deployment.platform_id == platform_id, Deployment.approved.is_(False))
        if (session.scalar(waiting) or 0) >= MAXIMUM_WAITING:
            log.warning("too_many_waiting_deployments", platform_id=platform_id)
            return
        key = {"platform_id": platform_id, "deployment_id": deployment_id}
        _note(
            session,
            "the LMS",
            "new deployment seen",
            get_or_create(session, Deployment, key, approved=False, created_at=now),
            deployment_id,
            now,
        )
        session.commit()


def set_approved(tools: Toolbox, deployment_id: int, actor: str, now: datetime, *, approved: bool) -> None:
    """Let a deployment launch or not; raises NotFoundError."""
    with tools.database.write() as session:
        deployment = _deployment(session, deployment_id)
        deployment.approved = approved
        action = "deployment approved" if approved else "deployment refused"
        _note(session, actor, action, deployment, deployment.deployment_id, now)
        session.commit()


def accept_host(tools: Toolbox, deployment_id: int, actor: str, now: datetime) -> None:
    """Say that the LMS has moved: launches from the address last seen are right from now on. Raises NotFoundError."""
    with tools.database.write() as session:
        deployment = _deployment(session, deployment_id)
        if deployment.foreign_host:
            moved = f"{deployment.host} to {deployment.foreign_host}"
            deployment.host, deployment.foreign_host = deployment.foreign_host, None
            _note(session, actor, "new address accepted", deployment, moved, now)
        session.commit()


def check_site(session: Session, deployment: Deployment, site: LaunchSite, now: datetime) -> None:
    """Notice a copy of an LMS (same ids, other host): commits what was noticed, and raises LaunchError."""
    deployment.platform.family = deployment.platform.family or site.family
    if deployment.recognises(site.host):
        deployment.host = deployment.host or site.host or None
        return
    known = deployment.host or ""
    if deployment.foreign_host != site.host:
        deployment.foreign_host = site.host
        _note(session, "the LMS", "launch from another address refused", deployment, f"{site.host}, not {known}", now)
    session.commit()
    raise LaunchError("deployment_copied", known=known, seen=site.host)


def _read(tools: Toolbox, url: str, token: str | None) -> PlatformConfiguration:
    """The configuration at an address, whose addresses are as those that somebody enters must be."""
    try:
        check_url(tools.settings, "openid_configuration", url, longest=2000)
        found = read_configuration(tools.http, url, token)
        check_url(tools.settings, "issuer", found.issuer)
        for name in ("auth_login_url", "auth_token_url", "jwks_url"):
            check_url(tools.settings, name, getattr(found, name), longest=1000)
        if found.registration_url:
            check_url(tools.settings, "registration_endpoint", found.registration_url, longest=1000)
    except InvalidInputError as error:
        raise RegistrationError(error.advice) from None
    return found


def _open_link(session: Session, token: str, now: datetime) -> RegistrationLink:
    link = session.scalar(select(RegistrationLink).where(RegistrationLink.digest == digest(token)).with_for_update())
    if link is None or link.used_at is not None or link.expires_at <= now:
        raise InvalidInputError(LINK_ENDED, "This registration link does not work")
    return link


def _store(
    session: Session, link: RegistrationLink, found: PlatformConfiguration, registered: Registered, now: datetime
) -> tuple[Platform, bool]:
    platform = link.platform
    if platform is not None and platform.issuer != found.issuer:
        raise RegistrationError(f"This link renews the registration of {platform.issuer}, not of {found.issuer}.")
    is_update = platform is not None
    if platform is None:
        key = {"issuer": found.issuer, "client_id": registered.client_id}
        is_update = session.scalar(select(Platform.id).filter_by(**key)) is not None
        name = link.note or found.name or found.issuer.split("//")[-1]
        addresses = {"auth_login_url": "", "auth_token_url": "", "jwks_url": ""}
        platform = get_or_create(
            session, Platform, key, name=name, family="", enabled=True, created_at=now, **addresses
        )
    _check_client(session, found, registered.client_id)
    if platform.client_id != registered.client_id:
        _change_client(session, platform, registered.client_id)
    platform.auth_login_url, platform.auth_token_url = found.auth_login_url, found.auth_token_url
    platform.jwks_url, platform.auth_audience = found.jwks_url, found.auth_audience
    platform.jwks = platform.jwks_fetched_at = None
    platform.family = found.family
    session.flush()
    if registered.deployment_id is not None:
        named = {"platform_id": platform.id, "deployment_id": registered.deployment_id}
        get_or_create(session, Deployment, named, approved=True, created_at=now).approved = True
    return platform, is_update


def _check_client(session: Session, found: PlatformConfiguration, client_id: str) -> None:
    """Raise RegistrationError for a client id that the same token service knows as that of another LMS."""
    others = select(Platform).where(Platform.client_id == client_id, Platform.issuer != found.issuer)
    for other in session.scalars(others):
        # Tokens for that one would be sent to wherever this one says.
        if are_of_one_service(other.auth_token_url, found.auth_token_url):
            raise RegistrationError(f"The LMS has given the client id of another LMS that is known here: {other.name}.")


def _change_client(session: Session, platform: Platform, client_id: str) -> None:
    """What the LMS calls the tool from now on; raises RegistrationError when another registration has this name."""
    taken = select(Platform.name).where(Platform.issuer == platform.issuer, Platform.client_id == client_id)
    if (name := session.scalar(taken)) is not None:
        raise RegistrationError(f"The LMS has given the client id of another registration that is known here: {name}.")
    platform.client_id = client_id
    # They were given to the former client.
    session.execute(delete(PlatformToken).where(PlatformToken.platform_id == platform.id))


def _deployment(session: Session, deployment_id: int) -> Deployment:
    deployment = session.get(Deployment, deployment_id)
    if deployment is None:
        raise NotFoundError("See the page of the platform.", "There is no such deployment")
    return deployment


def _note(session: Session, actor: str, action: str, deployment: Deployment, detail: str, now: datetime) -> None:
    audit.note(
        session, actor, action, now, platform_id=deployment.platform_id, deployment_id=deployment.id, detail=detail
    )
