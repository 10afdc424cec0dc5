"""Everything one sandbox Badgr remembers, in memory; also what tests and the demo look into directly."""

import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lti_tool.sandbox.badgr.config import BadgrConfig
from lti_tool.sandbox.faults import Faults

Roles = dict[str, str]
"""owner, editor or staff by user id."""


def new_id() -> str:
    """An entity id as Badgr's are: 22 URL-safe characters."""
    return secrets.token_urlsafe(16)


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


@dataclass
class User:
    """Somebody with an account."""

    first_name: str
    last_name: str
    email: str
    verified: bool = True
    entity_id: str = field(default_factory=new_id)

    @property
    def name(self) -> str:
        """The full name."""
        return f"{self.first_name} {self.last_name}"


@dataclass
class Issuer:
    """An organisation that awards badges."""

    name: str
    email: str
    url: str
    description: str
    staff: Roles
    created_by: str
    picture: str | None
    entity_id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)


@dataclass
class BadgeClass:
    """A badge that can be awarded; `picture` is an SVG drawing, or a PNG in bytes."""

    issuer_id: str
    name: str
    description: str
    criteria_narrative: str
    created_by: str
    picture: str | bytes
    tags: list[str] = field(default_factory=list)
    expires: dict[str, Any] = field(default_factory=lambda: {"amount": None, "duration": None})
    criteria_url: str | None = None
    alignments: list[dict[str, Any]] = field(default_factory=list)
    entity_id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)

    @property
    def suffix(self) -> str:
        """How the name of its picture ends."""
        return "svg" if isinstance(self.picture, str) else "png"


@dataclass
class Recipient:
    """Who a badge is for; `identity` is plain."""

    identity: str
    type: str = "email"
    hashed: bool = True
    salt: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def shown_identity(self) -> str:
        """As an assertion shows it (Open Badges 2.0, IdentityObject)."""
        if not self.hashed:
            return self.identity
        return "sha256$" + hashlib.sha256((self.identity + self.salt).encode()).hexdigest()


@dataclass
class Assertion:
    """A badge that somebody holds."""

    badge_class_id: str
    recipient: Recipient
    issued_on: datetime
    created_by: str
    expires: datetime | None = None
    narrative: str | None = None
    evidence: list[dict[str, str | None]] = field(default_factory=list)
    revocation_reason: str | None = None
    revoked: bool = False
    acceptance: str = "Unaccepted"
    entity_id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)
    changed_at: datetime = field(default_factory=now)

    def revoke(self, reason: str) -> None:
        """Take it back."""
        self.revoked, self.revocation_reason, self.changed_at = True, reason, now()

    @property
    def is_live(self) -> bool:
        """Neither revoked nor over."""
        return not self.revoked and (self.expires is None or self.expires > now())


@dataclass(frozen=True)
class Client:
    """An application that has registered by itself (RFC 7591): Badge Connect scopes only."""

    client_id: str
    secret: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]


@dataclass
class Code:
    """An authorization code, not yet used."""

    user_id: str
    scopes: tuple[str, ...]
    redirect_uri: str
    challenge: str | None
    made_at: datetime = field(default_factory=now)
    # None is the application that the operator has entered.
    client_id: str | None = None


@dataclass
class Token:
    """An access token and the refresh token that came with it."""

    user_id: str
    scopes: tuple[str, ...]
    lifetime: timedelta
    access: str = field(default_factory=lambda: secrets.token_hex(15))
    refresh: str = field(default_factory=lambda: secrets.token_hex(15))
    expires_at: datetime = field(init=False)
    access_revoked: bool = False
    refresh_revoked: bool = False

    def __post_init__(self) -> None:
        """Start its life."""
        self.expires_at = now() + self.lifetime

    def accepts_access(self) -> bool:
        """Whether the access token is good; use in the second half of its life begins it anew, as Badgr does."""
        if self.access_revoked or self.expires_at <= now():
            return False
        if self.expires_at - now() < self.lifetime / 2:
            self.expires_at = now() + self.lifetime
        return True


@dataclass
class Backoff:
    """Failed token requests of one address."""

    failures: int = 0
    until: datetime = field(default_factory=now)


@dataclass(frozen=True)
class Served:
    """A request that was answered."""

    method: str
    path: str
    status: int


class BadgrState:
    """One sandbox Badgr. Whoever changes it, or reads several parts at once, holds `lock`."""

    def __init__(self, config: BadgrConfig) -> None:
        self.config = config
        self.lock = threading.RLock()
        self.faults = Faults()
        self.users: dict[str, User] = {}
        self.issuers: dict[str, Issuer] = {}
        self.badge_classes: dict[str, BadgeClass] = {}
        self.assertions: dict[str, Assertion] = {}
        self.imported: dict[str, list[str]] = {}
        # What a Badge Connect host was given, by its address.
        self.pushed: dict[str, dict[str, Any]] = {}
        self.clients: dict[str, Client] = {}
        self.codes: dict[str, Code] = {}
        self.tokens: list[Token] = []
        self.backoffs: dict[str, Backoff] = {}
        self.requests: list[Served] = []

    def token_of_access(self, access: str) -> Token | None:
        """The token pair that this good access token belongs to."""
        return next((t for t in self.tokens if t.access == access and t.accepts_access()), None)

    def new_token(self, user_id: str, scopes: tuple[str, ...]) -> Token:
        """A fresh pair."""
        token = Token(user_id, scopes, timedelta(seconds=self.config.access_lifetime))
        self.tokens.append(token)
        return token

    def same_identity(self, one: str, other: str) -> bool:
        """Whether a look-up takes them for the same."""
        return one.casefold() == other.casefold() if self.config.case_insensitive else one == other

    def live_assertions(self, recipient: str | None = None) -> list[Assertion]:
        """The awards that count, oldest first; for tests and the demo."""
        with self.lock:
            return [a for a in self.assertions.values() if a.is_live and recipient in (None, a.recipient.identity)]

    def end_access_tokens(self) -> None:
        """Let every access token run out now; refresh tokens stay good."""
        with self.lock:
            for token in self.tokens:
                token.expires_at = now()

    def withdraw_all(self) -> None:
        """As if every user had withdrawn the authorization at Badgr: access and refresh are over."""
        with self.lock:
            for token in self.tokens:
                token.access_revoked = token.refresh_revoked = True
