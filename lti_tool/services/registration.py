"""Registers what the tool talks to: platforms, Badgr servers, sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from lti_tool.db import get_or_create
from lti_tool.errors import InvalidInputError, NotFoundError
from lti_tool.lti import keys
from lti_tool.lti.addresses import origin_of, origin_text
from lti_tool.models import Deployment, Platform
from lti_tool.services import audit
from lti_tool.settings import Settings
from lti_tool.toolbox import Toolbox

MAXIMUM_FRAMES = 20


@dataclass(frozen=True)
class PlatformData:
    """What an administrator says of an LMS."""

    name: str
    issuer: str
    client_id: str
    auth_login_url: str
    auth_token_url: str
    jwks_url: str
    auth_audience: str | None
    deployment_ids: tuple[str, ...]


def add_platform(tools: Toolbox, told: PlatformData, now: datetime, actor: str = audit.COMMAND_LINE) -> int:
    """Add or update a platform with its deployments; raises InvalidInputError naming what is wrong."""
    # The issuer is an identifier that is compared character by character: it is kept exactly as given.
    check_url(tools.settings, "issuer", told.issuer)
    for field in ("auth_login_url", "auth_token_url", "jwks_url"):
        check_url(tools.settings, field, getattr(told, field), longest=1000)
    name = told.name.strip() or told.issuer[:200]
    check_text("name", name, longest=200)
    check_text("client id", told.client_id)
    check_text("token audience", told.auth_audience or "none", longest=1000)
    for deployment_id in told.deployment_ids:
        check_text("deployment id", deployment_id)
    values = {
        "name": name,
        "auth_login_url": told.auth_login_url,
        "auth_token_url": told.auth_token_url,
        "jwks_url": told.jwks_url,
        "auth_audience": told.auth_audience,
    }
    key = {"issuer": told.issuer, "client_id": told.client_id}
    with tools.database.write() as session:
        platform = get_or_create(session, Platform, key, enabled=True, family="", created_at=now, **values)
        for column, value in values.items():
            setattr(platform, column, value)
        platform.jwks = platform.jwks_fetched_at = None
        for deployment_id in told.deployment_ids:
            named = {"platform_id": platform.id, "deployment_id": deployment_id}
            get_or_create(session, Deployment, named, approved=True, created_at=now).approved = True
        audit.note(session, actor, "platform entered", now, platform_id=platform.id, detail=told.issuer)
        session.commit()
        return platform.id


def list_platforms(tools: Toolbox) -> list[dict[str, Any]]:
    """Every platform, one row each."""
    with tools.database.read() as session:
        return [
            {"id": p.id, "name": p.name, "issuer": p.issuer, "client_id": p.client_id, "enabled": p.enabled}
            for p in session.scalars(select(Platform).order_by(Platform.id))
        ]


def show_platform(tools: Toolbox, platform_id: int) -> dict[str, Any]:
    """One platform whole; raises NotFoundError."""
    with tools.database.read() as session:
        platform = session.get(Platform, platform_id)
        if platform is None:
            raise NotFoundError("See: lti-badges platform list", "There is no such platform")
        return {
            "id": platform.id,
            "name": platform.name,
            "issuer": platform.issuer,
            "client_id": platform.client_id,
            "login_url": platform.auth_login_url,
            "token_url": platform.auth_token_url,
            "token_audience": platform.auth_audience or platform.auth_token_url,
            "jwks_url": platform.jwks_url,
            "deployments": [d.deployment_id for d in platform.deployments],
            "frames": platform.frame_origins,
            "enabled": platform.enabled,
        }


def set_enabled(
    tools: Toolbox, platform_id: int, now: datetime, *, enabled: bool, actor: str = audit.COMMAND_LINE
) -> None:
    """Let a platform launch and send events or not; raises NotFoundError."""
    with tools.database.write() as session:
        platform = session.get(Platform, platform_id)
        if platform is None:
            raise NotFoundError("See: lti-badges platform list", "There is no such platform")
        platform.enabled = enabled
        action = "platform switched on" if enabled else "platform switched off"
        audit.note(session, actor, action, now, platform_id=platform_id)
        session.commit()


def set_frame_origins(
    tools: Toolbox, platform_id: int, told: Sequence[str], now: datetime, actor: str = audit.COMMAND_LINE
) -> None:
    """Say whose pages may show the tool beside those of the LMS itself, all of them; raises InvalidInputError."""
    origins = sorted({_frame_origin(tools.settings, each) for each in told})
    if len(origins) > MAXIMUM_FRAMES:
        raise InvalidInputError(f"frames: at most {MAXIMUM_FRAMES} addresses can be entered.")
    with tools.database.write() as session:
        platform = session.get(Platform, platform_id)
        if platform is None:
            raise NotFoundError("See: lti-badges platform list", "There is no such platform")
        platform.frame_origins = origins
        detail = " ".join(origins) or "none"
        audit.note(session, actor, "pages around the LMS entered", now, platform_id=platform_id, detail=detail)
        session.commit()


def platform_of(tools: Toolbox, deployment_id: int) -> int:
    """The platform of a deployment; raises NotFoundError."""
    with tools.database.read() as session:
        deployment = session.get(Deployment, deployment_id)
    if deployment is None:
        raise NotFoundError("See the list of platforms.", "There is no such deployment")
    return deployment.platform_id


def rotate_keys(tools: Toolbox, now: datetime, actor: str = audit.COMMAND_LINE) -> str:
    """Sign with a new key pair from now on; the former stays published. Gives the new key's id."""
    with tools.database.write() as session:
        kid = keys.rotate(session, tools.vault, now).kid
        audit.note(session, actor, "key rotated", now, detail=kid)
        session.commit()
    return kid


def published_keys(tools: Toolbox, now: datetime) -> dict[str, Any]:
    """The tool's key set (RFC 7517); the first key pair is made when there is none yet."""
    with tools.database.read() as session:
        if (key_set := keys.public_jwks(session))["keys"]:
            return key_set
    with tools.database.write() as session:
        keys.signing_key(session, tools.vault, now)
        session.commit()
        return keys.public_jwks(session)


def check_url(settings: Settings, name: str, url: str, *, longest: int = 500) -> None:
    """Raise InvalidInputError unless this is a whole address with https (or http, where that is allowed)."""
    origin = origin_of(url)
    if origin is None:
        raise InvalidInputError(f"{name}: must be a whole address, such as https://lms.example.org/…")
    check_text(name, url, longest=longest)
    if origin[0] == "http" and not settings.allow_private_addresses:
        raise InvalidInputError(
            f"{name}: must start with https://. (http:// is taken only for trying the tool on one machine, with "
            "LTI_BADGES_ALLOW_PRIVATE_ADDRESSES=true.)"
        )


def _frame_origin(settings: Settings, told: str) -> str:
    url = told if "://" in told else f"https://{told}"
    check_url(settings, "frames", url)
    parts = urlsplit(url)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidInputError(f"frames: {told} must be a host alone, such as apps.lms.example.org.")
    return origin_text(url)


def check_text(name: str, value: str, *, longest: int = 255) -> None:
    """Raise InvalidInputError for a text that is empty or too long."""
    if not value.strip() or len(value) > longest:
        raise InvalidInputError(f"{name}: must have 1 to {longest} characters.")
