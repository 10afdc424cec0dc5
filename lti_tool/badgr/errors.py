"""What can go wrong with a Badgr server: one tree, and the one place that maps answers to it.

Decided by status *and* body, never by content type: Badgr sends JSON errors as text/html (BADGR.md §1.3).
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from lti_tool.badgr.types import kept

# Seconds; no server of these asks for more (BADGR.md §1.6), and nonsense must not stop anything for a year.
LONGEST_WAIT = 3600.0
NOT_FOUND = (
    "Badgr says it is not there, or the connected account may not use it. Check the role of that account in the issuer."
)
# Any of these makes a refusal Badgr's own.
ENVELOPE = ("status", "result", "fieldErrors", "validationErrors")
# Said of what workers do; pages say something else in its place.
TRIED_AGAIN = "It is tried again by itself"
# As an award is refused, and as a backpack refuses a badge.
DUPLICATES = ("previous award of this badge already exists", "DUPLICATE_BADGE")


class BadgrError(Exception):
    """A call to Badgr failed. `in_doubt`: it may have been carried out all the same. `retry_after` in seconds."""

    retryable = False

    def __init__(
        self,
        advice: str,
        *,
        status: int | None = None,
        in_doubt: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.advice = kept(advice)
        super().__init__(self.advice)
        self.status = status
        self.in_doubt = in_doubt
        self.retry_after = retry_after


class UnreachableError(BadgrError):
    """No answer came: name not found, connection refused or reset, timeout."""

    retryable = True


class ServerFaultError(BadgrError):
    """Badgr has a fault of its own, or is under maintenance."""

    retryable = True


class BlockedError(ServerFaultError):
    """A refusal that is not Badgr's own: what stands before it (a proxy, a firewall) did not let the call through."""


class NonsenseAnswerError(BadgrError):
    """The answer says success but is not what the API promises, or says in its envelope that there was none."""

    retryable = True


class ThrottledError(BadgrError):
    """Badgr asks us to wait."""

    retryable = True


class SignInThrottledError(ThrottledError):
    """The token address asks us to wait; calls with a good token are not meant (BADGR.md §1.6)."""


class UnauthorizedError(BadgrError):
    """The access token is not accepted (any more)."""


class NotFoundError(BadgrError):
    """Not there, or not for this account: Badgr answers both alike."""


class InvalidRequestError(BadgrError):
    """Badgr refuses what was sent; `faults` are its own words, field by field."""

    def __init__(self, advice: str, faults: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(advice, **kwargs)
        self.faults = faults


class DuplicateAwardError(InvalidRequestError):
    """The recipient has this badge already."""


class GrantRejectedError(BadgrError):
    """The authorization is over: the user has to connect again."""


class ClientRejectedError(BadgrError):
    """The tool's own key or secret is not accepted: an administrator has to correct it."""


class InvalidScopeError(BadgrError):
    """The tool's key may not ask for these rights: an administrator has to correct it."""


class SignInRefusedError(BadgrError):
    """The token address refuses the tool itself, not what was sent: an administrator corrects it, then it goes on."""

    retryable = True


def from_exception(error: requests.RequestException, *, wrote: bool) -> BadgrError:
    """The error for a call without an answer; `wrote` says that the call would have changed something."""
    # A connection that was never made has changed nothing. (requests wraps urllib3's reason in its own errors.)
    reason = getattr(error.args[0], "reason", None) if error.args else None
    never_sent = isinstance(reason, NewConnectionError | ConnectTimeoutError)
    advice = f"Badgr did not answer in time or closed the connection. {TRIED_AGAIN}."
    return UnreachableError(advice, in_doubt=wrote and not never_sent)


def from_response(response: requests.Response, *, wrote: bool) -> BadgrError:
    """The error for an answer of the API that is no success (BADGR.md §2)."""
    status = response.status_code
    body = body_of(response)
    if status == 429:
        return throttled(response)
    if status == 401:
        return UnauthorizedError("Badgr does not accept the access token.", status=status)
    if status in (408, 425) or (status in (403, 404) and not _is_badgrs(body)):
        advice = f"What stands before Badgr did not let the call through (HTTP {status}). {TRIED_AGAIN}."
        return BlockedError(advice, status=status, in_doubt=wrote, retry_after=_header(response))
    if status in (403, 404):
        return NotFoundError(NOT_FOUND, status=status)
    if 400 <= status < 500:
        return _invalid(status, body)
    # Redirects are its maintenance page; 5xx may come after the work was done.
    advice = f"Badgr has a problem of its own (HTTP {status}). {TRIED_AGAIN}."
    return ServerFaultError(advice, status=status, in_doubt=wrote and status >= 500, retry_after=_header(response))


def from_token_response(response: requests.Response, *, is_refresh: bool = False) -> BadgrError:
    """The error for an answer of the token address that is no success (BADGR.md §1.3, §1.6)."""
    status = response.status_code
    body = body_of(response)
    error = str(body.get("error", "")).replace(" ", "_") if isinstance(body, dict) else ""
    if status == 429:
        waiting = throttled(response)
        return SignInThrottledError(waiting.advice, status=status, retry_after=waiting.retry_after)
    if status >= 500 or 300 <= status < 400:
        advice = f"Badgr's sign-in has a problem of its own (HTTP {status}). {TRIED_AGAIN}."
        return ServerFaultError(advice, status=status, in_doubt=status >= 500, retry_after=_header(response))
    # The maintained fork says "Token refresh failed!" with 401 (BADGR.md §0); a wrong key names the client.
    is_refused = is_refresh and status == 401 and error and not error.startswith("invalid_client")
    if error == "invalid_grant" or is_refused:
        advice = "Badgr no longer accepts this authorization. Connect to Badgr again."
        return GrantRejectedError(advice, status=status)
    if error.startswith("invalid_client") or status == 401:
        advice = (
            "Badgr does not accept this tool's key or secret. The administrator of the Badges tool must correct it."
        )
        return ClientRejectedError(advice, status=status)
    if "scope" in error:
        advice = "Badgr does not let this tool ask for the rights it needs. Its administrator must correct the key."
        return InvalidScopeError(advice, status=status)
    return InvalidRequestError(
        f"Badgr refused the sign-in ({error or f'HTTP {status}'}). The administrator of the Badges tool must check the "
        "registration of the tool at Badgr, above all its redirect URI.",
        status=status,
    )


def throttled(response: requests.Response) -> ThrottledError:
    """Too many calls; the wait stands in the header or in the body."""
    body = body_of(response)
    told = body.get("expires") if isinstance(body, dict) else None
    wait = _header(response)
    if wait is None and isinstance(told, int | float) and not isinstance(told, bool):
        # In this order NaN, too, becomes a number.
        wait = max(0.0, float(min(LONGEST_WAIT, told)))
    return ThrottledError(f"Badgr asked us to wait. {TRIED_AGAIN}.", status=429, retry_after=wait)


def body_of(response: requests.Response) -> Any:
    """The JSON of an answer whatever its content type says; None when there is none, or one without measure."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _is_badgrs(body: Any) -> bool:
    return isinstance(body, dict) and not body.keys().isdisjoint(ENVELOPE)


def _invalid(status: int, body: Any) -> InvalidRequestError:
    faults = tuple(_faults(body)) if isinstance(body, dict) else ()
    if any(duplicate in fault for fault in faults for duplicate in DUPLICATES):
        advice = "Badgr says that this person has the badge already, but does not show it."
        return DuplicateAwardError(advice, faults, status=status)
    said = "; ".join(faults)[:500] or f"HTTP {status}"
    return InvalidRequestError(f"Badgr refused it: {said}", faults, status=status)


def _faults(body: dict[str, Any]) -> Iterator[str]:
    yield from _flat(body.get("validationErrors"), "")
    yield from _flat(body.get("fieldErrors"), "")
    # So is a registration refused (RFC 7591 §3.2.2).
    yield from _flat(body.get("error_description"), "")
    if isinstance(status := body.get("status"), dict) and status.get("description") not in (
        None,
        "bad request",
    ):
        yield str(status["description"])


def _flat(value: Any, name: str) -> Iterator[str]:
    """Dicts in dicts, lists, bare strings: Badgr has them all (BADGR.md §2)."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, name if key == "non_field_errors" else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner, name)
    elif value:
        yield f"{name}: {value}" if name else str(value)


def _header(response: requests.Response) -> float | None:
    """`Retry-After` in seconds, given as such or as a date (RFC 9110 §10.2.3); None when it is over or nonsense."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), LONGEST_WAIT)
    ahead = ahead_of(value, datetime.now(UTC))
    return min(ahead.total_seconds(), LONGEST_WAIT) if ahead is not None and ahead > timedelta(0) else None


def ahead_of(told: str, now: datetime) -> timedelta | None:
    """How far an HTTP date is ahead of this moment; None when it is none that can be understood."""
    try:
        moment = parsedate_to_datetime(told)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment) - now
    except (TypeError, ValueError, OverflowError):
        return None
