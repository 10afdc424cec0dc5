"""Calls to the Badgr v2 API with one access token."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import requests

from lti_tool.badgr import bodies
from lti_tool.badgr.assertions import Assertion, BackpackBadge, Changes, NewAward
from lti_tool.badgr.errors import TRIED_AGAIN, NonsenseAnswerError, ahead_of, body_of, from_exception, from_response
from lti_tool.badgr.types import BadgeClass, Issuer, NewBadgeClass, NewIssuer, Profile

Parsed = TypeVar("Parsed")

TIMEOUT = (5.0, 30.0)
PAGE_SIZE = 100
MAXIMUM_PAGES = 1000
LONGEST_REASON = 255
# A clock that was never set says 1970; before that, what it says is no time at all.
LONGEST_BEHIND = timedelta(days=36_500)


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
        # How far the server's clock is behind ours, as its last answer said.
        self.clock_behind = timedelta(0)

    def profile(self) -> Profile:
        """The user of this token (`GET /v2/users/self`)."""
        return self._one("GET", "/v2/users/self", Profile.parse)

    def issuers(self) -> list[Issuer]:
        """The issuers on whose staff this user is (`GET /v2/issuers`, never paged)."""
        return self._list("/v2/issuers", Issuer.parse)

    def badge_classes(self, issuer_id: str) -> list[BadgeClass]:
        """The badge classes of an issuer (`GET /v2/issuers/{id}/badgeclasses`)."""
        return self._list(f"/v2/issuers/{quote(issuer_id, safe='')}/badgeclasses?num={PAGE_SIZE}", BadgeClass.parse)

    def badge_class(self, badge_class_id: str) -> BadgeClass:
        """One badge class (`GET /v2/badgeclasses/{id}`)."""
        return self._one("GET", f"/v2/badgeclasses/{quote(badge_class_id, safe='')}", BadgeClass.parse)

    def create_badge_class(self, issuer_id: str, told: NewBadgeClass) -> BadgeClass:
        """Make a badge class (`POST /v2/issuers/{id}/badgeclasses`); editors and owners only."""
        path = f"/v2/issuers/{quote(issuer_id, safe='')}/badgeclasses"
        return self._one("POST", path, BadgeClass.parse, bodies.badge_class(told))

    def update_badge_class(self, badge_class_id: str, told: NewBadgeClass) -> BadgeClass:
        """Change a badge class (`PUT /v2/badgeclasses/{id}`); editors and owners only."""
        path = f"/v2/badgeclasses/{quote(badge_class_id, safe='')}"
        return self._one("PUT", path, BadgeClass.parse, bodies.badge_class(told))

    def create_issuer(self, told: NewIssuer) -> Issuer:
        """Make an issuer, whose owner is this user (`POST /v2/issuers`)."""
        return self._one("POST", "/v2/issuers", Issuer.parse, bodies.issuer(told))

    def update_issuer(self, issuer_id: str, told: NewIssuer) -> Issuer:
        """Change an issuer (`PUT /v2/issuers/{id}`); its staff is left as it is."""
        return self._one("PUT", f"/v2/issuers/{quote(issuer_id, safe='')}", Issuer.parse, bodies.issuer(told))

    def find_assertions(self, badge_class_id: str, recipient: str) -> list[Assertion]:
        """The assertions of a badge class for an e-mail address, revoked and expired ones too (BADGR.md §6.3)."""
        address = recipient.strip().lower()
        # Unescaped, a "+" in an address would mean a space: nothing would be found and the badge sent again.
        path = (
            f"/v2/badgeclasses/{quote(badge_class_id, safe='')}/assertions"
            f"?recipient={quote(address, safe='')}&include_revoked=1&include_expired=1"
        )
        found = self._list(path, Assertion.parse)
        # A server that does not know the filter gives everybody's.
        return [assertion for assertion in found if assertion.belongs_to(address)]

    def assertion(self, assertion_id: str) -> Assertion:
        """One assertion, also a revoked one (`GET /v2/assertions/{id}`)."""
        return self._one("GET", f"/v2/assertions/{quote(assertion_id, safe='')}", Assertion.parse)

    def revoke(self, assertion_id: str, reason: str) -> Assertion:
        """Revoke an assertion; editors and owners only, staff gets NotFoundError (BADGR.md §6.5)."""
        path, body = f"/v2/assertions/{quote(assertion_id, safe='')}", {"revocation_reason": reason[:LONGEST_REASON]}
        revoked = self._one("DELETE", path, Assertion.parse, body)
        if not revoked.revoked:
            raise _nonsense(wrote=True)
        return revoked

    def changed_assertions(self, since: str) -> Changes:
        """What has changed since a moment in the server's words (`GET /v2/assertions/changed`), all pages."""
        url: str | None = f"{self._api_url}/v2/assertions/changed?since={quote(since, safe='')}"
        found: list[Assertion | None] = []
        until = since
        for _ in range(MAXIMUM_PAGES):
            if url is None:
                good = tuple(filter(None, found))
                return Changes(good, until, len(found) - len(good))
            body = body_of(self._answer("GET", url, wrote=False))
            found += [_assertion_or_none(entry) for entry in _result(body, wrote=False)]
            # Only the first answer's time: what happens while the pages are read must come again.
            until = until if until != since else str(body.get("timestamp") or since)
            paging = body.get("pagination") or {}
            next_url = paging.get("nextResults") if isinstance(paging, dict) and paging.get("hasNext") else None
            url = self._next(url, next_url) if next_url else None
        raise _nonsense(wrote=False)

    def backpack(self) -> list[BackpackBadge]:
        """Every badge of this user, from all issuers (`GET /v2/backpack/assertions`, never paged)."""
        return self._list("/v2/backpack/assertions?expand=badgeclass&expand=issuer", BackpackBadge.parse)

    def import_badge(self, url: str) -> BackpackBadge:
        """Put a hosted assertion into this user's backpack (`POST /v2/backpack/import`, BADGR.md §7)."""
        return self._one("POST", "/v2/backpack/import", BackpackBadge.parse, {"url": url})

    def award(self, badge_class_id: str, award: NewAward) -> Assertion:
        """Award a badge once (`POST /v2/badgeclasses/{id}/assertions`); DuplicateAwardError if it is there already."""
        path = f"/v2/badgeclasses/{quote(badge_class_id, safe='')}/assertions"
        body = bodies.award(award, datetime.now(UTC) - self.clock_behind)
        made = self._one("POST", path, Assertion.parse, body)
        if made.is_of_another(award.recipient.strip().lower()):
            raise _nonsense(wrote=True)
        return made

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
            url = self._next(url, next_url)
        raise _nonsense(wrote=False)

    def _next(self, present: str, told: object) -> str:
        """The next page at our own address of the API, whatever host the server says.

        Behind a proxy it may know itself by another name, or without TLS; and the token goes to nobody else.
        """
        try:
            there, here = urlsplit(urljoin(present, str(told))), urlsplit(self._api_url)
        except ValueError:
            raise _nonsense(wrote=False) from None
        path = there.path if there.path.startswith(f"{here.path}/") else f"{here.path}/{there.path.lstrip('/')}"
        url = urlunsplit((here.scheme, here.netloc, path, there.query, ""))
        if url == present:
            raise _nonsense(wrote=False)
        return url

    def _call(
        self, method: str, url: str, *, wrote: bool, json: dict[str, Any] | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        response = self._answer(method, url, wrote=wrote, json=json)
        result = _result(body_of(response), wrote=wrote)
        if not all(isinstance(entry, dict) for entry in result):
            raise _nonsense(wrote)
        return result, response.links.get("next", {}).get("url")

    def _answer(self, method: str, url: str, *, wrote: bool, json: dict[str, Any] | None = None) -> requests.Response:
        try:
            response = self._http.request(
                method, url, json=json, headers=self._headers, timeout=self._timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            raise from_exception(error, wrote=wrote) from error
        self.clock_behind = _behind(response.headers.get("Date"))
        if not 200 <= response.status_code < 300:
            raise from_response(response, wrote=wrote)
        return response


def _result(body: Any, *, wrote: bool) -> list[Any]:
    """What an envelope holds; not every server has a `status` in it (BADGR.md §0)."""
    result = body.get("result") if isinstance(body, dict) else None
    if not isinstance(result, list):
        raise _nonsense(wrote)
    status = body.get("status")
    if isinstance(status, dict) and status.get("success") is False:
        advice = f"Badgr says that this did not work: {status.get('description')}"[:500]
        raise NonsenseAnswerError(f"{advice}. {TRIED_AGAIN}.", in_doubt=wrote)
    return result


def _assertion_or_none(entry: Any) -> Assertion | None:
    try:
        return _parsed(entry, Assertion.parse, wrote=False)
    except NonsenseAnswerError:
        return None


def _parsed(entry: dict[str, Any], parse: Callable[[dict[str, Any]], Parsed], *, wrote: bool) -> Parsed:
    try:
        return parse(entry)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _nonsense(wrote) from None


def _nonsense(wrote: bool) -> NonsenseAnswerError:
    advice = f"Badgr's answer cannot be understood. {TRIED_AGAIN}; if it stays, check the API address."
    return NonsenseAnswerError(advice, in_doubt=wrote)


def _behind(told: str | None) -> timedelta:
    """How far a clock that tells this `Date` is behind ours; nothing if it is ahead or not told (RFC 9110 §6.6.1)."""
    ahead = ahead_of(told or "", datetime.now(UTC))
    return -ahead if ahead is not None and -LONGEST_BEHIND < ahead < timedelta(0) else timedelta(0)
