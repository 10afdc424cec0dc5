"""What every kind of source offers: verify a delivery, name it, read the grade events in it, answer it."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe
from typing import Any

import requests

from lti_tool.domain.events import GradeEvent
from lti_tool.errors import LtiBadgesError


class SignatureError(LtiBadgesError):
    """The delivery is not signed with a secret of this source, or it is too old."""

    status = 401
    title = "The signature is not right"


class UnavailableError(LtiBadgesError):
    """What a delivery is checked with cannot be reached now; the sender shall send it again."""

    status = 503
    title = "This cannot be checked at the moment"


class MalformedError(LtiBadgesError):
    """The body cannot be understood; the advice names the field."""

    title = "The body is not right"


@dataclass(frozen=True)
class Delivery:
    """One request as it came; the names of headers are in lower case."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Access:
    """What a delivery is checked with: the source's secrets (newest first), its options, and a session for key sets."""

    secrets: Sequence[str]
    options: Mapping[str, str]
    http: requests.Session
    now: datetime


@dataclass(frozen=True)
class Option:
    """Something that an administrator enters for a source, beside its secret."""

    name: str
    label: str
    hint: str
    required: bool = False
    secret: bool = False
    # A whole web address, with https.
    address: bool = False
    # The name of another option without which this one says nothing.
    needs: str = ""


@dataclass(frozen=True)
class Answer:
    """What a delivery is answered with once it is stored; `body` None is an empty one."""

    status: int
    body: Any


@dataclass(frozen=True)
class SourceKind:
    """One kind of webhook.

    `verify(delivery, access)` gives the payload to keep (what is personal and not needed is left out), or raises
    SignatureError, MalformedError or UnavailableError. `parse(payload)` gives the grade events, none for a delivery
    about something else, or raises MalformedError. `delivery_id(delivery, payload)` is the same for a repeated
    delivery (at most 255 characters). `answer(payload, event_id, is_repeat)` says what the sender expects, `event_id`
    is None for a delivery about something else; no `answer` is our own 202 with the id. `differs(payload, stored)`
    says whether a delivery with a known id is another one than that which is stored.
    """

    label: str
    new_secret: Callable[[], str]
    verify: Callable[[Delivery, Access], bytes]
    delivery_id: Callable[[Delivery, bytes], str]
    parse: Callable[[bytes], list[GradeEvent]]
    options: tuple[Option, ...] = ()
    answer: Callable[[bytes, int | None, bool], Answer] | None = None
    differs: Callable[[bytes, bytes], bool] | None = None
    # How the sender shows the secret, for the guide on the page: "header", "query" (?key=…), "basic", "body".
    shown_in: str = "header"
    # An example delivery of this source for "send a test event": (headers, query, body) for a secret and a moment.
    example: Callable[[str, Mapping[str, str], datetime], Delivery] | None = None


def new_token() -> str:
    """A secret for senders that show it as it is."""
    return token_urlsafe(32)


def require_secret(shown: str, secrets: Sequence[str], advice: str) -> None:
    """Compare a shared secret in constant time with every one of the source; raises SignatureError."""
    given = shown.encode(errors="surrogatepass")
    if not shown or not any(hmac.compare_digest(given, secret.encode()) for secret in secrets):
        raise SignatureError(advice)
