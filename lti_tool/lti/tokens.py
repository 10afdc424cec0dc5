"""Access tokens of a platform's services: asked for with a signed assertion, kept sealed until they end."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests
from pylti1p3.service_connector import ServiceConnector

from lti_tool.bodies import read_json
from lti_tool.http import retry_after
from lti_tool.lti.adapter import registration_of
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.keys import SigningKey
from lti_tool.models import Platform

ASSERTION_LIFETIME = timedelta(minutes=5)
CLOCK_SKEW = timedelta(seconds=5)
DEFAULT_LIFETIME, LONGEST_LIFETIME = 3600, 24 * 3600  # seconds
TIMEOUT = (5.0, 20.0)
MAXIMUM_BYTES = 256 * 1024
RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, repr=False)
class Grant:
    """A fresh access token and for how long it works, in seconds."""

    access_token: str
    expires_in: int


def request_token(
    http: requests.Session, platform: Platform, key: SigningKey, scopes: Sequence[str], now: datetime
) -> Grant:
    """Ask a platform for a token (LTI security framework §4.1, client credentials with private_key_jwt).

    Raises LtiServiceError, also when the platform grants less than was asked for.
    """
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": _assertion(http, platform, key, now),
        "scope": " ".join(scopes),
    }
    try:
        # A redirect would carry the assertion elsewhere.
        with http.post(
            platform.auth_token_url, data=form, timeout=TIMEOUT, stream=True, allow_redirects=False
        ) as response:
            status, body, wait = response.status_code, _body(response), retry_after(response.headers, now)
    except requests.RequestException:
        raise LtiServiceError(
            f"{platform.name} cannot be reached at its token address {platform.auth_token_url}. "
            "It may work again in a few minutes; if not, check the address and whether this server can reach it.",
            retryable=True,
        ) from None
    if status != requests.codes.ok:
        raise _refused(platform, status, body, wait)
    return _grant(platform, body, scopes)


def _assertion(http: requests.Session, platform: Platform, key: SigningKey, now: datetime) -> str:
    claims: dict[str, str | int] = {
        "iss": platform.client_id,
        "sub": platform.client_id,
        "aud": platform.auth_audience or platform.auth_token_url,
        "iat": int((now - CLOCK_SKEW).timestamp()),
        "exp": int((now + ASSERTION_LIFETIME).timestamp()),
        "jti": str(uuid.uuid4()),
    }
    # The library's types know keys as texts only; it hands them on to PyJWT, which takes both.
    private_key: Any = key.private_key
    return ServiceConnector(registration_of(platform), http).encode_jwt(claims, private_key, {"kid": key.kid})


def _body(response: requests.Response) -> dict[str, Any]:
    try:
        body = read_json(response, MAXIMUM_BYTES)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _grant(platform: Platform, body: dict[str, Any], scopes: Sequence[str]) -> Grant:
    token, granted, lifetime = body.get("access_token"), body.get("scope"), body.get("expires_in")
    if not isinstance(token, str) or not token:
        raise LtiServiceError(
            f"{platform.name} gave no access token in its answer from {platform.auth_token_url}. It may work "
            "again in a few minutes; if it goes on, check that this is the token address of the LMS.",
            retryable=True,
            status=200,
        )
    missing = sorted(set(scopes) - set(granted.split())) if isinstance(granted, str) and granted else []
    if missing:
        raise LtiServiceError(
            f"{platform.name} does not allow the tool: {', '.join(missing)}. "
            "Ask the administrator of the LMS to switch on this service for the tool.",
            retryable=False,
            status=200,
        )
    seconds = str(lifetime)
    is_number = seconds.isascii() and seconds.isdigit()
    return Grant(token, min(int(seconds[:9]), LONGEST_LIFETIME) if is_number else DEFAULT_LIFETIME)


def _refused(platform: Platform, status: int, body: dict[str, Any], wait: float | None) -> LtiServiceError:
    word = re.sub(r"[^a-z_]", "", str(body.get("error", "")))[:40]
    advice = {
        "invalid_client": "Check the client id, and that the LMS reads this tool's key set (/lti/jwks.json).",
        "invalid_scope": "Ask the administrator of the LMS to switch on its services for the tool.",
    }.get(word, "Check the registration of the tool in the LMS: client id, key set address and token address.")
    if status in RETRYABLE:
        advice = "It may work again later."
    return LtiServiceError(
        f"{platform.name} gave no access token (status {status}{', ' + word if word else ''}). {advice}",
        retryable=status in RETRYABLE,
        status=status,
        retry_after=wait,
    )
