"""Calls to the Badgr v2 API with one access token."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests

from lti_tool.badgr.errors import NonsenseAnswerError, body_of, from_exception, from_response
from lti_tool.badgr.types import Assertion, BadgeClass, Issuer, NewAward, Profile

Parsed = TypeVar("Parsed")

TIMEOUT = (5.0, 30.0)
PAGE_SIZE = 100
MAXIMUM_PAGES = 1000
# A server refuses a date ahead of its own clock, even by seconds (BADGR.md §6.1): recent ones are left to it.
CLOCK_MARGIN = timedelta(minutes=1)


class BadgrClient:
    """One Badgr user's view of one server; every method raises BadgrError."""

    def __init__(
        self,
        api_url: str,
        access_token: str,
        http: requests.Session,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self._api_url = api_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        self._http = http
        self._timeout = timeout

    def profile(self) -> Profile:
        """The user of this token (`GET /v2/users/self`)."""
        return self._one("GET", "/v2/users/self", Profile.parse)

    def issuers(self) -> list[Issuer]:
        """The issuers on whose staff this user is (`GET /v2/issuers`, never paged)."""
        return self._list("/v2/issuers", Issuer.parse)

    def badge_classes(self, issuer_id: str) -> list[BadgeClass]:
        """The badge classes of an issuer (`GET /v2/issuers/{id}/badgeclasses`)."""
        return self._list(f"/v2/issuers/{quote(issuer_id, safe='')}/badgeclasses?num={PAGE_SIZE}", BadgeClass.parse)

    def find_assertions(self, badge_class_id: str, recipient: str) -> list[Assertion]:
        """The live assertions of a badge class for an e-mail address (BADGR.md §6.3)."""
        address = recipient.strip().lower()
        # Unescaped, a "+" in an address would mean a space: nothing would be found and the badge sent again.
        path = f"/v2/badgeclasses/{quote(badge_class_id, safe='')}/assertions?recipient={quote(address, safe='')}"
        found = self._list(path, Assertion.parse)
        # A server that does not know the filter gives everybody's.
        return [a for a in found if not a.revoked and a.belongs_to(address)]

    def award(self, badge_class_id: str, award: NewAward) -> Assertion:
        """Award a badge once (`POST /v2/badgeclasses/{id}/assertions`); DuplicateAwardError if it is there already."""
        path = f"/v2/badgeclasses/{quote(badge_class_id, safe='')}/assertions"
        return self._one("POST", path, Assertion.parse, _award_body(award, datetime.now(UTC)))

    def _one(
        self,
        method: str,
        path: str,
        parse: Callable[[dict[str, Any]], Parsed],
        json: dict[str, Any] | None = None,
    ) -> Parsed:
        wrote = method != "GET"
        result = self._call(method, self._api_url + path, wrote=wrote, json=json)[0]
        if len(result) != 1:
            raise _nonsense(wrote)
        return _parsed(result[0], parse, wrote=wrote)

    def _list(self, path: str, parse: Callable[[dict[str, Any]], Parsed]) -> list[Parsed]:
        return [_parsed(entry, parse, wrote=False) for entry in self._pages(self._api_url + path)]

    def _pages(self, url: str) -> Iterator[dict[str, Any]]:
        for _ in range(MAXIMUM_PAGES):
            result, next_url = self._call("GET", url, wrote=False)
            yield from result
            if next_url is None:
                return
            # The token goes to the server that it belongs to and to nobody else.
            if _origin(next_url) != _origin(self._api_url):
                raise _nonsense(wrote=False)
            url = next_url
        raise _nonsense(wrote=False)

    def _call(
        self, method: str, url: str, *, wrote: bool, json: dict[str, Any] | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        try:
            response = self._http.request(
                method, url, json=json, headers=self._headers, timeout=self._timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            raise from_exception(error, wrote=wrote) from error
        if not 200 <= response.status_code < 300:
            raise from_response(response, wrote=wrote)
        body = body_of(response)
        result = body.get("result") if isinstance(body, dict) else None
        if not isinstance(result, list) or not all(isinstance(entry, dict) for entry in result):
            raise _nonsense(wrote)
        return result, response.links.get("next", {}).get("url")


def _award_body(award: NewAward, now: datetime) -> dict[str, Any]:
    body: dict[str, Any] = {
        "recipient": {"identity": award.recipient.strip().lower(), "type": "email", "hashed": True},
        "allowDuplicateAwards": False,
        "notify": award.notify,
    }
    if award.issued_on is not None and award.issued_on < now - CLOCK_MARGIN:
        body["issuedOn"] = award.issued_on.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if award.narrative:
        # Badgr strips what looks like a tag, text and all, and refuses pictures (BADGR.md §6.1).
        body["narrative"] = award.narrative.replace("<", "&lt;").replace("![", "! [")
    if award.evidence_url:
        body["evidence"] = [{"url": award.evidence_url}]
    return body


def _parsed(entry: dict[str, Any], parse: Callable[[dict[str, Any]], Parsed], *, wrote: bool) -> Parsed:
    try:
        return parse(entry)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _nonsense(wrote) from None


def _nonsense(wrote: bool) -> NonsenseAnswerError:
    advice = "Badgr's answer cannot be understood. It is tried again by itself; if it stays, check the API address."
    return NonsenseAnswerError(advice, in_doubt=wrote)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
