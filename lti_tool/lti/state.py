"""The `state` of a login: a signed token that binds the launch to its login and to one browser."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer

from lti_tool.lti.errors import LaunchError

STATE_LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True)
class LoginState:
    """What a login leaves for its launch; `issued_at` in whole seconds since 1970."""

    platform_id: int
    nonce_digest: str
    browser_digest: str
    target_link_uri: str
    issued_at: int
    # The window of the platform that keeps the secret for browsers without our cookie (LTI platform storage).
    storage: str = ""

    @property
    def cookie_name(self) -> str:
        """The cookie of the browser's secret; one for each login, so that tabs do not disturb each other."""
        return f"lti_state_{self.browser_digest[:12]}"

    def belongs_to(self, cookies: Mapping[str, str]) -> bool:
        """Whether the browser with these cookies is the one that started the login."""
        return hmac.compare_digest(digest(cookies.get(self.cookie_name, "")), self.browser_digest)

    def expects(self, nonce: str) -> bool:
        """Whether the login asked for this nonce."""
        return hmac.compare_digest(digest(nonce), self.nonce_digest)


class StateSigner:
    """Signs with the first key and reads with any of them."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        # The time stands in the payload: itsdangerous' own stamp would read the clock by itself.
        self._serializer = URLSafeSerializer(
            list(reversed(secret_keys)),
            salt="lti-badges login state",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def sign(self, state: LoginState) -> str:
        """The state as a token that is safe in an address."""
        return str(self._serializer.dumps(astuple(state)))

    def read(self, token: str, now: datetime) -> LoginState:
        """The state of a token; raises LaunchError when it is not ours or older than ten minutes."""
        try:
            state = LoginState(*self._serializer.loads(token))
        except (BadData, TypeError):
            raise LaunchError("state_invalid") from None
        if now.timestamp() - state.issued_at > STATE_LIFETIME.total_seconds():
            raise LaunchError("state_expired")
        return state


def digest(secret: str) -> str:
    """SHA-256 of a long random text, in hex; enough where nobody can guess the text."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
