"""Badge Connect (Open Badges 2.1): registers with any host by itself, reads badges there and puts badges there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from lti_tool.badgr.assertions import BackpackBadge
from lti_tool.badgr.discovery import Manifest
from lti_tool.badgr.errors import BadgrError, NonsenseAnswerError, body_of, from_exception, from_response
from lti_tool.badgr.types import Email, Profile

SCOPE = "https://purl.imsglobal.org/spec/ob/v2p1/scope/"
SCOPES = tuple(f"{SCOPE}{name}" for name in ("assertion.readonly", "assertion.create", "profile.readonly"))
# Some hosts give a refresh token only to who asks for it; not every host knows the word.
REFRESHING = "offline_access"
TIMEOUT = (5.0, 20.0)
PAGE_SIZE, MAXIMUM_PAGES = 50, 20
# How many badge classes and issuers are looked up, where a host names them by their addresses only.
MAXIMUM_LOOK_UPS = 40
# What Badgr takes, and no other (its mainsite/oauth2_api.py); also the one that is meant when an answer names none.
BASIC = "client_secret_basic"


@dataclass(frozen=True, repr=False)
class Registration:
    """What a host gave to the tool that registered (RFC 7591 §3.2.1); not shown by `repr`, for it holds a secret."""

    client_id: str
    client_secret: str
    scopes: tuple[str, ...]
    auth_method: str = BASIC
    secret_ends_at: datetime | None = None


def register(http: requests.Session, host: Manifest, base_url: str, redirect_uri: str, version: str) -> Registration:
    """Register the tool (RFC 7591); raises BadgrError."""
    offered = [scope for scope in SCOPES if not host.scopes or scope in host.scopes]
    offered += [REFRESHING] if REFRESHING in host.scopes else []
    body = {
        "client_name": "LTI Badges",
        "client_uri": base_url,
        "logo_uri": f"{base_url}/static/favicon.svg",
        "tos_uri": f"{base_url}/privacy",
        "policy_uri": f"{base_url}/privacy",
        "software_id": "lti-badges",
        "software_version": version,
        "redirect_uris": [redirect_uri],
        "token_endpoint_auth_method": BASIC,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": " ".join(offered),
    }
    answer = _object(_call(http, "POST", host.registration_url, {}, body))
    client_id = answer.get("client_id")
    if not isinstance(client_id, str) or not client_id:
        raise NonsenseAnswerError(f"{host.name} has not registered this tool: it gave no client id.")
    granted = tuple(str(answer.get("scope") or "").split()) or tuple(offered)
    return Registration(
        client_id=client_id,
        client_secret=str(answer.get("client_secret") or ""),
        scopes=granted,
        auth_method=str(answer.get("token_endpoint_auth_method") or BASIC)[:40],
        secret_ends_at=_moment(answer.get("client_secret_expires_at")),
    )


class ConnectClient:
    """One person's badges at one host; every method raises BadgrError."""

    def __init__(self, api_base: str, access_token: str, http: requests.Session) -> None:
        self._api_base, self._http = api_base, http
        self._headers = {"Authorization": f"Bearer {access_token}"}

    def profile(self) -> Profile:
        """Whose account it is. Anybody can run a host, so what it says of addresses proves nothing."""
        entries = self._results("/profile")
        told = entries[0] if entries else {}
        address = str(told.get("email") or "")
        emails = (Email(address, verified=False, primary=True),) if address else ()
        return Profile(str(told.get("id") or address), str(told.get("name") or address or "A learner"), emails)

    def badges(self) -> list[BackpackBadge]:
        """Every badge there (`GET /assertions`), page by page."""
        found: list[BackpackBadge] = []
        seen: dict[str, Mapping[str, Any]] = {}
        for page in range(MAXIMUM_PAGES):
            entries = self._results(f"/assertions?limit={PAGE_SIZE}&offset={page * PAGE_SIZE}")
            found += [self._badge(entry, seen) for entry in entries]
            if len(entries) < PAGE_SIZE:
                break
        return found

    def push(self, assertion: Mapping[str, Any]) -> None:
        """Put an assertion there (`POST /assertions`)."""
        _call(self._http, "POST", f"{self._api_base}/assertions", self._headers, {"assertion": dict(assertion)})

    def _badge(self, told: Mapping[str, Any], seen: dict[str, Mapping[str, Any]]) -> BackpackBadge:
        badge = self._whole(told.get("badge"), seen)
        entry = {
            "entityId": told.get("id") or "",
            "openBadgeId": told.get("id"),
            "badgeclass": {**badge, "issuer": self._whole(badge.get("issuer"), seen)},
            "image": told.get("image"),
            "issuedOn": told.get("issuedOn"),
            "revoked": told.get("revoked"),
        }
        try:
            return BackpackBadge.parse(entry)
        except (KeyError, TypeError, ValueError):
            raise NonsenseAnswerError("The badge host gave an answer that cannot be understood.") from None

    def _whole(self, told: Any, seen: dict[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """What stands in the assertion, or what its address shows (Open Badges 2.0: either may be given)."""
        if isinstance(told, Mapping):
            return told
        if not isinstance(told, str) or not told.startswith(("https://", "http://")):
            return {}
        if told not in seen and len(seen) < MAXIMUM_LOOK_UPS:
            try:
                # A public page, perhaps somebody else's: it gets no token.
                seen[told] = _object(_call(self._http, "GET", told, {}))
            except BadgrError:
                # The badge is shown without what cannot be read.
                seen[told] = {}
        return seen.get(told, {})

    def _results(self, path: str) -> list[dict[str, Any]]:
        body = _object(_call(self._http, "GET", self._api_base + path, self._headers))
        results = body.get("results")
        if isinstance(results, dict):
            results = [results]
        if not isinstance(results, list) or not all(isinstance(entry, dict) for entry in results):
            raise NonsenseAnswerError("The badge host gave an answer that cannot be understood.")
        return results


def _moment(told: Any) -> datetime | None:
    """The end of a secret in seconds since 1970; None when it has none (0), or for nonsense."""
    if not isinstance(told, int | float) or isinstance(told, bool) or told <= 0:
        return None
    try:
        return datetime.fromtimestamp(told, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _call(
    http: requests.Session, method: str, url: str, headers: Mapping[str, str], body: dict[str, Any] | None = None
) -> requests.Response:
    wrote = method != "GET"
    try:
        response = http.request(
            method,
            url,
            json=body,
            headers={"Accept": "application/json"} | dict(headers),
            timeout=TIMEOUT,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise from_exception(error, wrote=wrote) from error
    if not 200 <= response.status_code < 300:
        raise from_response(response, wrote=wrote)
    return response


def _object(response: requests.Response) -> dict[str, Any]:
    body = body_of(response)
    if not isinstance(body, dict):
        raise NonsenseAnswerError("The badge host gave an answer that cannot be understood.")
    return body
