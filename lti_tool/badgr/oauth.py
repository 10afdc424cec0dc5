"""Badgr's OAuth 2: the consent address, code for tokens, refresh, revocation (BADGR.md §1)."""

from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session

from lti_tool.badgr.client import TIMEOUT
from lti_tool.badgr.errors import GrantRejectedError, NonsenseAnswerError, body_of, from_exception, from_token_response
from lti_tool.badgr.types import ServerAddress, TokenPair, text_of

NEEDED_SCOPES = ("r:profile", "rw:issuer")
DEFAULT_LIFETIME_SECONDS = 3600.0
# Ten years: what is said to be good for ever must be a date all the same.
LONGEST_LIFETIME_SECONDS = 10 * 365 * 86_400.0


def new_verifier() -> str:
    """A PKCE code verifier (RFC 7636 §4.1)."""
    return str(generate_token(64))


def authorization_url(
    server: ServerAddress, redirect_uri: str, scopes: Iterable[str], state: str, code_verifier: str
) -> str:
    """The consent page on the server's UI, with PKCE; servers without it ignore the challenge."""
    session = OAuth2Session(
        server.client_id, scope=list(scopes), redirect_uri=redirect_uri, code_challenge_method="S256"
    )
    url, _ = session.create_authorization_url(server.consent_url, state=state, code_verifier=code_verifier)
    return str(url)


def exchange_code(
    server: ServerAddress,
    http: requests.Session,
    code: str,
    redirect_uri: str,
    code_verifier: str,
    requested: frozenset[str],
    now: datetime,
) -> TokenPair:
    """The tokens for a code, within its 60 seconds; raises BadgrError."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier,
    }
    return _tokens(_post(server, http, server.tokens_url, form), requested, now)


def refresh(server: ServerAddress, http: requests.Session, refresh_token: str, now: datetime) -> TokenPair:
    """A new pair; from then on both old tokens are dead (BADGR.md §1.4). Raises BadgrError."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return _tokens(_post(server, http, server.tokens_url, form), frozenset(), now)


def check_client(server: ServerAddress, http: requests.Session, redirect_uri: str) -> None:
    """Find out whether the server knows this tool's key and secret; raises BadgrError when it does not.

    A code that nobody has given is refused for itself only when the key is good (BADGR.md §1.3).
    """
    form = {"grant_type": "authorization_code", "code": "is-this-key-good", "redirect_uri": redirect_uri}
    try:
        _post(server, http, server.tokens_url, form)
    except GrantRejectedError:
        return
    raise NonsenseAnswerError("This does not answer like a Badgr server: it took a code that nobody has given.")


def revoke(server: ServerAddress, http: requests.Session, token: str, kind: str = "refresh_token") -> None:
    """End an authorization, by its refresh token wherever there is one (BADGR.md §1.7); raises BadgrError.

    After an access token was revoked alone, the next refresh is a fault of the server.
    """
    # With the slash: without it Badgr redirects, and a redirected POST becomes a GET.
    _post(server, http, f"{server.api_url}/o/revoke_token/", {"token": token, "token_type_hint": kind})


def _post(server: ServerAddress, http: requests.Session, url: str, form: dict[str, str]) -> requests.Response:
    # Posted by hand: Authlib raises away the status and follows content types, and Badgr's errors need both.
    headers, credentials = _credentials(server)
    try:
        response = http.post(
            url,
            data=form | credentials,
            headers={"Accept": "application/json"} | headers,
            timeout=TIMEOUT,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise from_exception(error, wrote=True) from error
    if not 200 <= response.status_code < 300:
        raise from_token_response(response, is_refresh=form.get("grant_type") == "refresh_token")
    return response


def _credentials(server: ServerAddress) -> tuple[dict[str, str], dict[str, str]]:
    """Key and secret as headers and as fields of the form."""
    if server.is_basic and server.client_secret:
        both = f"{quote_plus(server.client_id)}:{quote_plus(server.client_secret)}"
        return {"Authorization": f"Basic {b64encode(both.encode()).decode()}"}, {}
    # An operator's key goes in the body, because Badgr splits a Basic header at every colon (BADGR.md §1.3).
    secret = {"client_secret": server.client_secret} if server.client_secret else {}
    return {}, {"client_id": server.client_id} | secret


def _tokens(response: requests.Response, requested: frozenset[str], now: datetime) -> TokenPair:
    body = body_of(response)
    try:
        # Without `scope` in the answer it is what was asked for (RFC 6749 §5.1).
        scopes = frozenset(str(body["scope"]).split()) if body.get("scope") else requested
        end = now + _lifetime(body.get("expires_in"))
        refresh_token = text_of(body, "refresh_token") if body.get("refresh_token") else None
        return TokenPair(text_of(body, "access_token"), refresh_token, end, scopes)
    except (KeyError, TypeError, ValueError, AttributeError):
        advice = "Badgr's sign-in gave an answer that cannot be understood. Try to connect again."
        raise NonsenseAnswerError(advice, in_doubt=True) from None


def _lifetime(told: Any) -> timedelta:
    """How long an access token is good; whatever is said of that, the tokens are the only ones from now on."""
    try:
        seconds = float(told)
    except (TypeError, ValueError, OverflowError):
        seconds = 0.0
    return timedelta(seconds=min(seconds, LONGEST_LIFETIME_SECONDS) if seconds > 0 else DEFAULT_LIFETIME_SECONDS)
