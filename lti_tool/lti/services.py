"""Calls to a platform's services: access tokens kept between calls, and answers read page by page."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests
from sqlalchemy import delete

from lti_tool.bodies import read_json
from lti_tool.db import Database, get_or_create
from lti_tool.http import retry_after
from lti_tool.lti.addresses import is_same_origin
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.keys import SigningKey, signing_key
from lti_tool.lti.links import linked
from lti_tool.lti.tokens import RETRYABLE, Grant, request_token
from lti_tool.models import Platform, PlatformToken
from lti_tool.vault import Vault, VaultError

MARGIN = timedelta(seconds=60)
# Moodle answers with a whole roster at once, and thinks before its first byte.
TIMEOUT = (5.0, 60.0)
MAXIMUM_BYTES = 64 * 1024 * 1024
MAXIMUM_PAGES = 1000
# Before a page is asked for again, in seconds: one bad answer is no reason to read a long roster from its beginning.
PAUSES = (0.5, 2.0)
LONGEST_ETAG = 500


@dataclass(frozen=True)
class Page:
    """One page of a container; `differences_url` is where only later changes are told (NRPS 2.0 §2.4.2)."""

    body: list[Any] | dict[str, Any]
    next_url: str | None
    differences_url: str | None
    # The version of what was read (RFC 9110 §8.8.3), and whether it is still the one that the caller knows.
    etag: str | None = None
    is_unchanged: bool = False


class ServiceClient:
    """Talks to the services of platforms on behalf of the tool; holds no transaction during a call."""

    def __init__(
        self, database: Database, vault: Vault, http: requests.Session, pauses: Sequence[float] = PAUSES
    ) -> None:
        self._database, self._vault, self._http, self._pauses = database, vault, http, pauses

    def token(self, platform_id: int, scopes: Sequence[str], now: datetime) -> str:
        """An access token for these scopes, kept until a minute before its end; raises LtiServiceError."""
        wanted = sorted(set(scopes))
        return self._kept_token(platform_id, wanted, now) or self._new_token(platform_id, wanted, now)

    def get_pages(
        self,
        platform_id: int,
        url: str,
        scopes: Sequence[str],
        accept: str,
        now: datetime,
        *,
        etag: str | None = None,
    ) -> Iterator[Page]:
        """Each page, following `Link: rel="next"` on the same origin; raises LtiServiceError after some tries.

        A caller that needs everything must read to the end: after an error nothing is complete. With the `etag` of an
        earlier read the first page may be empty and `is_unchanged`.
        """
        platform, seen, page = self._platform(platform_id), set[str](), url
        while page:
            if page in seen or len(seen) == MAXIMUM_PAGES:
                raise _error(platform, page, "its pages do not come to an end", retryable=False)
            seen.add(page)
            known = etag if page == url else None
            found = self._page(platform, page, sorted(set(scopes)), accept, now, known)
            yield found
            if found.next_url and not is_same_origin(found.next_url, url):
                raise _error(platform, page, "its next page is on another server", retryable=False)
            page = found.next_url or ""

    def send(
        self,
        platform_id: int,
        method: str,
        url: str,
        scopes: Sequence[str],
        now: datetime,
        *,
        body: dict[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Change something; gives the JSON of the answer, None when there is none. Raises LtiServiceError."""
        platform = self._platform(platform_id)
        wanted = sorted(set(scopes))
        with self._answer(
            platform, method, url, wanted, now, accept=content_type, body=body, content_type=content_type
        ) as response:
            status = response.status_code
            if not 200 <= status < 300:
                raise _refused(platform, url, response, now)
            try:
                return read_json(response, MAXIMUM_BYTES)
            except ValueError:
                return None

    def _platform(self, platform_id: int) -> Platform:
        with self._database.read() as session:
            platform = session.get(Platform, platform_id)
        if platform is None or not platform.enabled:
            raise LtiServiceError("The LMS is not registered any more, or switched off here.", retryable=False)
        return platform

    def _kept_token(self, platform_id: int, scopes: list[str], now: datetime) -> str | None:
        with self._database.read() as session:
            kept = (
                session.query(PlatformToken).filter_by(platform_id=platform_id, scopes=" ".join(scopes)).one_or_none()
            )
        if kept is None or now >= kept.expires_at - MARGIN:
            return None
        try:
            return self._vault.open(kept.sealed_token)
        except VaultError:
            return None

    def _new_token(self, platform_id: int, scopes: list[str], now: datetime) -> str:
        platform, key = self._platform(platform_id), self._signing_key(now)
        grant = request_token(self._http, platform, key, scopes, now)
        self._keep(platform_id, scopes, grant, now)
        return grant.access_token

    def _signing_key(self, now: datetime) -> SigningKey:
        with self._database.write() as session:
            key = signing_key(session, self._vault, now)
            session.commit()
        return key

    def _keep(self, platform_id: int, scopes: list[str], grant: Grant, now: datetime) -> None:
        sealed, end = self._vault.seal(grant.access_token), now + timedelta(seconds=grant.expires_in)
        with self._database.write() as session:
            key = {"platform_id": platform_id, "scopes": " ".join(scopes)}
            row = get_or_create(session, PlatformToken, key, sealed_token=sealed, expires_at=end)
            row.sealed_token, row.expires_at = sealed, end
            session.commit()

    def _forget(self, platform_id: int, scopes: list[str]) -> None:
        with self._database.write() as session:
            session.execute(delete(PlatformToken).filter_by(platform_id=platform_id, scopes=" ".join(scopes)))
            session.commit()

    def _page(
        self, platform: Platform, url: str, scopes: list[str], accept: str, now: datetime, etag: str | None
    ) -> Page:
        for pause in self._pauses:
            try:
                return self._page_at_once(platform, url, scopes, accept, now, etag)
            except LtiServiceError as error:
                # One that wants to be left alone for long is asked again by whoever knows when.
                if not error.retryable or (error.retry_after or 0.0) > pause:
                    raise
            time.sleep(pause)
        return self._page_at_once(platform, url, scopes, accept, now, etag)

    def _page_at_once(
        self, platform: Platform, url: str, scopes: list[str], accept: str, now: datetime, etag: str | None
    ) -> Page:
        with self._answer(platform, "GET", url, scopes, now, accept=accept, etag=etag) as response:
            if etag is not None and response.status_code == requests.codes.not_modified:
                return Page([], None, None, etag, is_unchanged=True)
            return _read_page(platform, url, response, now)

    @contextmanager
    def _answer(
        self,
        platform: Platform,
        method: str,
        url: str,
        scopes: list[str],
        now: datetime,
        *,
        accept: str = "application/json",
        body: dict[str, Any] | None = None,
        content_type: str = "application/json",
        etag: str | None = None,
    ) -> Iterator[requests.Response]:
        """The answer to a call, with a new token when the kept one is refused; raises LtiServiceError."""
        data = json.dumps(body).encode() if body is not None else None
        for attempt in ("kept token", "new token"):
            headers = {"Authorization": f"Bearer {self.token(platform.id, scopes, now)}", "Accept": accept}
            headers |= {"Content-Type": content_type} if data is not None else {}
            headers |= {"If-None-Match": etag} if etag is not None else {}
            try:
                # A redirect would carry the token elsewhere.
                with self._http.request(
                    method, url, data=data, headers=headers, timeout=TIMEOUT, stream=True, allow_redirects=False
                ) as response:
                    if response.status_code == requests.codes.unauthorized and attempt == "kept token":
                        self._forget(platform.id, scopes)
                        continue
                    yield response
                    return
            except requests.RequestException:
                raise _error(platform, url, "it cannot be reached", retryable=True) from None


def _read_page(platform: Platform, url: str, response: requests.Response, now: datetime) -> Page:
    status = response.status_code
    if status != requests.codes.ok:
        raise _refused(platform, url, response, now)
    try:
        body = read_json(response, MAXIMUM_BYTES)
    except ValueError:
        body = None
    if not isinstance(body, list | dict):
        raise _error(platform, url, "its answer is not readable", retryable=True, status=status)
    links = response.headers.get("Link", "")
    etag = response.headers.get("ETag", "")
    return Page(
        body,
        linked(links, "next", url),
        linked(links, "differences", url),
        etag if 0 < len(etag) <= LONGEST_ETAG else None,
    )


def _refused(platform: Platform, url: str, response: requests.Response, now: datetime) -> LtiServiceError:
    status, wait = response.status_code, retry_after(response.headers, now)
    what = f"it answers with status {status}"
    return _error(platform, url, what, retryable=status in RETRYABLE, status=status, wait=wait)


def _error(
    platform: Platform,
    url: str,
    what: str,
    *,
    retryable: bool,
    status: int | None = None,
    wait: float | None = None,
) -> LtiServiceError:
    if retryable:
        action = "It may work again in a few minutes; if it goes on, ask the administrator of the LMS."
    elif status in (401, 403):
        action = "Ask the administrator of the LMS whether the tool is still allowed to use this service."
    elif status == requests.codes.not_found:
        action = "The course or the tool in it may have been deleted; open the tool from the course once."
    else:
        action = "Please show this to the administrator of the LMS."
    # Without the query, which is long and of no use to a reader.
    address = url.partition("?")[0]
    return LtiServiceError(
        f"The service of {platform.name} at {address} failed: {what}. {action}",
        retryable=retryable,
        status=status,
        retry_after=wait,
    )
