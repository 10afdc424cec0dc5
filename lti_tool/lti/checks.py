"""The checks of a launch that need only its claims (LTI security framework §5.1.3, LTI core 1.3 §5.3)."""

from datetime import datetime, timedelta
from typing import Any

from lti_tool.lti.addresses import is_same_origin
from lti_tool.lti.claims import ID_LENGTH, LTI, Claims, content_request_of, group_of, id_of, is_storable
from lti_tool.lti.errors import LaunchError

LEEWAY = timedelta(seconds=10)
MAXIMUM_AGE = timedelta(hours=1)
# Seconds; a number as large as this is no moment.
END_OF_TIME = 250_000_000_000


def check_header(header: Any) -> str:
    """The key id in the token's header; raises LaunchError unless RS256 and a key are named."""
    if header.get("alg") != "RS256":
        raise LaunchError("wrong_algorithm")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise LaunchError("kid_missing")
    return kid


def check_parties(claims: Claims, issuer: str, client_id: str) -> None:
    """Raise LaunchError unless the token is from this issuer, for this client and for no stranger."""
    if claims.get("iss") != issuer:
        raise LaunchError("wrong_issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise LaunchError("wrong_audience")
    if "azp" in claims and claims["azp"] != client_id:
        raise LaunchError("wrong_authorized_party")
    if "azp" not in claims and any(other != client_id for other in audiences):
        raise LaunchError("untrusted_audience")


def check_times(claims: Claims, now: datetime) -> None:
    """Raise LaunchError unless the token is valid now (10 s of leeway) and at most an hour old."""
    moment, leeway = now.timestamp(), LEEWAY.total_seconds()
    if moment >= _time(claims, "exp", "expiry_missing") + leeway:
        raise LaunchError("token_expired")
    issued_at = _time(claims, "iat", "issued_at_missing")
    not_before = _time(claims, "nbf", "token_from_future") if "nbf" in claims else issued_at
    if max(issued_at, not_before) > moment + leeway:
        raise LaunchError("token_from_future")
    if issued_at < moment - MAXIMUM_AGE.total_seconds() - leeway:
        raise LaunchError("token_too_old")


def check_message(claims: Claims, launch_url: str) -> None:
    """Raise LaunchError unless this is a complete launch of somebody to our address: of a link, or to choose one."""
    if claims.get(f"{LTI}version") != "1.3.0":
        raise LaunchError("wrong_version")
    _check_type(claims.get(f"{LTI}message_type"))
    if not isinstance(claims.get(f"{LTI}roles"), list):
        raise LaunchError("roles_missing")
    if content_request_of(claims) is None and not id_of(group_of(claims, f"{LTI}resource_link"), "id"):
        raise LaunchError("resource_link_missing")
    target = claims.get(f"{LTI}target_link_uri")
    if not isinstance(target, str) or not target:
        raise LaunchError("target_missing")
    if not is_same_origin(target, launch_url):
        raise LaunchError("target_elsewhere")
    if not id_of(claims, "sub"):
        raise LaunchError("anonymous")


def deployment_id_of(claims: Claims) -> str:
    """The deployment id; raises LaunchError when it is missing or too long."""
    value = claims.get(f"{LTI}deployment_id")
    if not isinstance(value, str) or not 0 < len(value) <= ID_LENGTH or not is_storable(value):
        raise LaunchError("deployment_missing")
    return value


def _check_type(message_type: object) -> None:
    if not message_type:
        raise LaunchError("message_type_missing")
    if message_type not in ("LtiResourceLinkRequest", "LtiDeepLinkingRequest"):
        raise LaunchError("message_type_unknown")


def _time(claims: Claims, name: str, code: str) -> float:
    value = claims.get(name)
    # JSON as Python reads it knows NaN, which is neither before nor after anything, and numbers without end.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < END_OF_TIME:
        raise LaunchError(code)
    return value
