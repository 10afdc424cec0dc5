"""The first leg of a launch: from the platform's login request to its authentication address."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pylti1p3.oidc_login import OIDCLogin
from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.lti.adapter import NoCookies, NoSession, OnePlatform, PlainRedirect, PlainRequest
from lti_tool.lti.addresses import is_same_origin
from lti_tool.lti.errors import LaunchError
from lti_tool.lti.state import LoginState, StateSigner, digest
from lti_tool.models import Platform

__all__ = ["STATE_PREFIX", "LoginRedirect", "StateSigner", "start_login"]

STATE_PREFIX = "state-"  # The library puts it before each state.


@dataclass(frozen=True)
class LoginRedirect:
    """Where to send the browser, and the cookie that it must bring back (10 minutes); `storage` may keep it, too."""

    url: str
    cookie_name: str
    cookie_value: str
    storage: str = ""


def start_login(
    session: Session, params: Mapping[str, str], signer: StateSigner, launch_url: str, now: datetime
) -> LoginRedirect:
    """Answer a login request (LTI security framework §5.1.1); raises LaunchError when it cannot be taken."""
    issuer = _required(params, "iss", "issuer_missing")
    _required(params, "login_hint", "login_hint_missing")
    target = _required(params, "target_link_uri", "target_missing")
    if not is_same_origin(target, launch_url):
        raise LaunchError("target_elsewhere")
    # The deployment is left to the launch, even where it is named already: only there its page can be shown.
    platform = _find_platform(session, issuer, params.get("client_id"))
    nonce, browser_secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    storage = params.get("lti_storage_target", "")[:100]
    issued_at = int(now.timestamp())
    state = LoginState(platform.id, digest(nonce), digest(browser_secret), target, issued_at, storage)
    login = _Login(params, platform, signer.sign(state), nonce)
    url = login.get_redirect_object(launch_url).get_redirect_url()
    return LoginRedirect(url, state.cookie_name, browser_secret, storage)


class _Login(OIDCLogin[PlainRequest, OnePlatform, NoSession, NoCookies, str]):
    """The library's authentication request with a state and a nonce of ours."""

    def __init__(self, params: Mapping[str, str], platform: Platform, state: str, nonce: str) -> None:
        super().__init__(
            PlainRequest(params),
            OnePlatform(platform),
            session_service=NoSession(),
            cookie_service=NoCookies(),
        )
        self._state, self._nonce = state, nonce

    def _get_uuid(self) -> str:
        return self._state

    def _generate_nonce(self) -> str:
        return self._nonce

    def get_redirect(self, url: str) -> PlainRedirect:
        return PlainRedirect(url)


def _required(params: Mapping[str, str], name: str, code: str) -> str:
    value = params.get(name)
    if not value:
        raise LaunchError(code)
    return value


def _find_platform(session: Session, issuer: str, client_id: str | None) -> Platform:
    query = select(Platform).where(Platform.issuer == issuer)
    found = session.scalars(query.where(Platform.client_id == client_id) if client_id else query).all()
    enabled = [platform for platform in found if platform.enabled]
    if not enabled:
        raise LaunchError("platform_disabled" if found else "unknown_platform")
    if len(enabled) > 1:
        raise LaunchError("platform_ambiguous")
    return enabled[0]
