"""The library's sequence of launch checks, its weak steps replaced by strict ones."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pylti1p3.exception import LtiException
from pylti1p3.message_launch import MessageLaunch
from sqlalchemy import select

from lti_tool.db import Database
from lti_tool.lti.adapter import NoCookies, NoSession, OnePlatform, PlainRequest
from lti_tool.lti.checks import check_header, check_message, check_parties, check_times, deployment_id_of
from lti_tool.lti.claims import LTI, Claims, address_of, group_of
from lti_tool.lti.errors import LaunchError, UnknownDeploymentError
from lti_tool.lti.keysets import KeySets
from lti_tool.lti.login import STATE_PREFIX
from lti_tool.lti.state import LoginState, StateSigner
from lti_tool.models import Deployment, Platform

# The library's decoder would read the clock by itself; `checks` looks at them with the time passed in.
SIGNATURE_ONLY = {
    f"verify_{claim}": claim == "signature" for claim in ("signature", "exp", "iat", "nbf", "aud", "iss", "sub", "jti")
}


class LaunchMessage(MessageLaunch[PlainRequest, OnePlatform, NoSession, NoCookies]):
    """One launch; the library's `validate()` runs the steps below in this order (LTI security §5.1.3)."""

    state: LoginState
    platform: Platform
    deployment: Deployment
    _deployment: Deployment | None
    _is_signed = False

    def __init__(
        self,
        database: Database,
        form: Mapping[str, str],
        cookies: Mapping[str, str],
        signer: StateSigner,
        keysets: KeySets,
        launch_url: str,
        now: datetime,
    ) -> None:
        super().__init__(
            PlainRequest(form),
            OnePlatform(),
            session_service=NoSession(),
            cookie_service=NoCookies(),
            requests_session=keysets.http,
        )
        self._database, self._form, self._cookies, self._signer = database, form, cookies, signer
        self._keysets, self._launch_url, self._now = keysets, launch_url, now
        self.set_jwt_verify_options(SIGNATURE_ONLY)  # type: ignore[arg-type]

    def _get_request_param(self, key: str) -> str:
        return self._form.get(key, "")

    @property
    def claims(self) -> Claims:
        """The claims, to be trusted only after `validate()`."""
        return self._jwt["body"]

    @property
    def nonce(self) -> str:
        """The nonce; raises LaunchError when there is none."""
        nonce = self.claims.get("nonce")
        if not isinstance(nonce, str) or not nonce:
            raise LaunchError("nonce_missing")
        return nonce

    @property
    def return_url(self) -> str:
        """The page of the LMS that shows this launch; empty unless the platform has signed it."""
        presentation = group_of(self.claims, f"{LTI}launch_presentation") if self._is_signed else {}
        return address_of(presentation, "return_url") or ""

    def validate_state(self) -> "LaunchMessage":
        """Step 1: our own state, still fresh, brought back by the browser that got it."""
        token = self._form.get("state")
        if not token:
            raise LaunchError("state_missing")
        self.state = self._signer.read(token.removeprefix(STATE_PREFIX), self._now)
        if not self.state.belongs_to(self._cookies):
            raise LaunchError("state_foreign")
        return self

    def validate_jwt_format(self) -> "LaunchMessage":
        """Step 2: a readable token, its header naming RS256 and a key."""
        if not self._form.get("id_token"):
            raise LaunchError("token_missing")
        try:
            super().validate_jwt_format()
        except LtiException:
            raise LaunchError("token_unreadable") from None
        header: Any = self._jwt["header"]
        if not isinstance(header, dict) or not isinstance(self.claims, dict):
            raise LaunchError("token_unreadable")
        check_header(header)
        return self

    def validate_nonce(self) -> "LaunchMessage":
        """Step 3: the nonce of this login; whether it was used before is found when it is consumed."""
        if not self.state.expects(self.nonce):
            raise LaunchError("nonce_wrong")
        return self

    def validate_registration(self) -> "LaunchMessage":
        """Step 4: the platform that started the login, enabled, and the token from it and for us."""
        with self._database.read() as session:
            platform = session.get(Platform, self.state.platform_id)
            deployment = session.scalars(
                select(Deployment).filter_by(
                    platform_id=self.state.platform_id, deployment_id=deployment_id_of(self.claims)
                )
            ).one_or_none()
        if platform is None:
            raise LaunchError("unknown_platform")
        if not platform.enabled:
            raise LaunchError("platform_disabled")
        check_parties(self.claims, platform.issuer, platform.client_id)
        self.platform, self._deployment = platform, deployment
        return self

    def get_public_key(self) -> tuple[RSAPublicKey, str]:  # type: ignore[override]
        """For step 5: the platform's key, and never another algorithm."""
        return self._keysets.key(self.platform, check_header(self._jwt["header"]), self._now), "RS256"

    def validate_jwt_signature(self) -> "LaunchMessage":
        """Step 5: the platform's signature, and the times that it signed."""
        try:
            super().validate_jwt_signature()
        except LtiException:
            raise LaunchError("bad_signature") from None
        self._is_signed = True
        check_times(self.claims, self._now)
        return self

    def validate_deployment(self) -> "LaunchMessage":
        """Step 6: a deployment that somebody approved; only now, for a new one is remembered and must be signed."""
        if self._deployment is None:
            raise UnknownDeploymentError(self.platform.id, deployment_id_of(self.claims))
        if not self._deployment.approved:
            raise LaunchError("deployment_not_approved")
        self.deployment = self._deployment
        return self

    def validate_message(self) -> "LaunchMessage":
        """Step 7: a complete message; the library's validator looks again after ours."""
        check_message(self.claims, self._launch_url)
        try:
            super().validate_message()
        except LtiException as error:
            raise LaunchError("message_incomplete", what=str(error)) from None
        return self

    def save_launch_data(self) -> "LaunchMessage":
        """Keep nothing in a session: the caller records the launch in the database."""
        return self
