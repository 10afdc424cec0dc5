"""Finds a server's addresses from one of them, where the server offers that (BADGR.md §1.1)."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from lti_tool.badgr.errors import BadgrError, NonsenseAnswerError, body_of, from_exception

TIMEOUT = (5.0, 10.0)
WELL_KNOWN = "/.well-known/badgeconnect.json"


@dataclass(frozen=True)
class Manifest:
    """What a host says of itself (Open Badges 2.1, Badge Connect manifest)."""

    url: str
    name: str
    api_base: str
    authorization_url: str
    token_url: str
    registration_url: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Addresses:
    """Where a Badgr server's pages and its API are."""

    ui_url: str
    api_url: str


def manifest(http: requests.Session, address: str) -> Manifest:
    """The manifest of the host at this address; raises BadgrError when it offers none."""
    url = address.rstrip("/")
    url = url if url.endswith(".json") or "/manifest" in url else url + WELL_KNOWN
    answer = _get(http, url)
    body = body_of(answer)
    apis = body.get("badgeConnectAPI") if isinstance(body, dict) else None
    if not isinstance(apis, list) or not apis or not isinstance(apis[0], dict):
        raise NonsenseAnswerError(f"There is no Badge Connect manifest at {urlsplit(url).netloc}.")
    api: dict[str, Any] = apis[0]
    found = {name: str(api.get(name) or "") for name in ("apiBase", "authorizationUrl", "tokenUrl", "registrationUrl")}
    if not all(urlsplit(value).scheme in ("http", "https") for value in found.values()):
        raise NonsenseAnswerError(f"The Badge Connect manifest at {urlsplit(url).netloc} lacks an address.")
    return Manifest(
        url=answer.url,
        name=str(api.get("name") or urlsplit(url).netloc)[:200],
        api_base=found["apiBase"].rstrip("/"),
        authorization_url=found["authorizationUrl"],
        token_url=found["tokenUrl"],
        registration_url=found["registrationUrl"],
        scopes=tuple(map(str, api.get("scopesOffered") or ())),
    )


def addresses(http: requests.Session, address: str) -> Addresses:
    """The addresses of a Badgr server from one of them; raises BadgrError when it does not tell."""
    found = manifest(http, address)
    return Addresses(_origin(found.authorization_url), _origin(found.token_url))


def _get(http: requests.Session, url: str) -> requests.Response:
    try:
        # The address is one that a person has entered; private ones are refused by the session.
        response = http.get(url, timeout=TIMEOUT, headers={"Accept": "application/json"})
    except requests.RequestException as error:
        raise from_exception(error, wrote=False) from error
    hops = [hop.url for hop in (*response.history, response)]
    if url.startswith("https:") and not all(hop.startswith("https:") for hop in hops):
        raise BadgrError(f"{urlsplit(url).netloc} leads to an address without https, which is not followed.")
    if not response.ok:
        raise BadgrError(f"{urlsplit(url).netloc} does not tell its addresses (HTTP {response.status_code}).")
    return response


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
