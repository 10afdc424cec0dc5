"""What Badgr knows, as frozen values; parsing ignores unknown members and requires only what is needed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """A member's role in an issuer: staff may award, editors may also edit and revoke, owners do everything."""

    OWNER = "owner"
    EDITOR = "editor"
    STAFF = "staff"


@dataclass(frozen=True, repr=False)
class ServerAddress:
    """Where a server is and how this tool identifies itself there; the addresses have no trailing slash."""

    ui_url: str
    api_url: str
    client_id: str
    client_secret: str


@dataclass(frozen=True, repr=False)
class TokenPair:
    """An access token with its end, and what refreshes it; not shown by `repr`."""

    access_token: str
    refresh_token: str | None
    expires_at: datetime
    scopes: frozenset[str]


@dataclass(frozen=True)
class Email:
    """An address of a Badgr user."""

    address: str
    verified: bool
    primary: bool


@dataclass(frozen=True)
class Profile:
    """The user that a token belongs to."""

    entity_id: str
    name: str
    emails: tuple[Email, ...]

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "Profile":
        """Read `/v2/users/self`; raises KeyError or TypeError when it is not one."""
        name = f"{told.get('firstName') or ''} {told.get('lastName') or ''}".strip()
        emails = tuple(
            Email(str(e["email"]), bool(e.get("verified")), bool(e.get("primary"))) for e in told.get("emails") or []
        )
        return cls(str(told["entityId"]), name or "A Badgr user", emails)


@dataclass(frozen=True)
class StaffMember:
    """Who has which role in an issuer."""

    user_entity_id: str
    role: Role


@dataclass(frozen=True)
class Issuer:
    """An organisation in whose name badges are awarded."""

    entity_id: str
    name: str
    image: str | None
    url: str | None
    staff: tuple[StaffMember, ...]

    def role_of(self, user_entity_id: str) -> Role | None:
        """The role of a user in this issuer; None when the user is not on its staff."""
        return next((m.role for m in self.staff if m.user_entity_id == user_entity_id), None)

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "Issuer":
        """Read an issuer; raises KeyError or TypeError when it is not one."""
        staff = tuple(
            StaffMember(str(m["user"]), Role(m["role"]))
            for m in told.get("staff") or []
            if m.get("user") and m.get("role") in list(Role)
        )
        return cls(str(told["entityId"]), str(told["name"]), told.get("image"), told.get("url"), staff)


@dataclass(frozen=True)
class BadgeClass:
    """A badge that can be awarded."""

    entity_id: str
    open_badge_id: str
    issuer_id: str
    name: str
    description: str
    image: str | None
    criteria_url: str | None
    criteria_narrative: str | None
    tags: tuple[str, ...]

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "BadgeClass":
        """Read a badge class; raises KeyError or TypeError when it is not one."""
        return cls(
            entity_id=str(told["entityId"]),
            open_badge_id=str(told.get("openBadgeId") or ""),
            issuer_id=str(told.get("issuer") or ""),
            name=str(told["name"]),
            description=str(told.get("description") or ""),
            image=told.get("image"),
            criteria_url=told.get("criteriaUrl"),
            criteria_narrative=told.get("criteriaNarrative"),
            tags=tuple(map(str, told.get("tags") or [])),
        )


@dataclass(frozen=True)
class Assertion:
    """A badge that somebody holds; `recipient` is the plain address, or its salted hash where that is all we get."""

    entity_id: str
    open_badge_id: str
    badge_class_id: str
    recipient: str
    salt: str
    image: str | None
    issued_on: datetime | None
    revoked: bool

    def belongs_to(self, address: str) -> bool:
        """Whether an e-mail address is the recipient's (hashes: Open Badges 2.0, IdentityObject)."""
        kind, _, hashed = self.recipient.partition("$")
        if kind == "sha256" and hashed:
            return hashlib.sha256((address + self.salt).encode()).hexdigest() == hashed
        return self.recipient.casefold() == address.casefold()

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "Assertion":
        """Read an assertion; raises KeyError, TypeError or ValueError when it is not one."""
        recipient = told.get("recipient") or {}
        return cls(
            entity_id=str(told["entityId"]),
            open_badge_id=str(told.get("openBadgeId") or ""),
            badge_class_id=str(told.get("badgeclass") or ""),
            recipient=str(recipient.get("plaintextIdentity") or recipient.get("identity") or ""),
            salt=str(recipient.get("salt") or ""),
            image=told.get("image"),
            issued_on=_moment(told.get("issuedOn")),
            revoked=bool(told.get("revoked")),
        )


@dataclass(frozen=True)
class NewAward:
    """What to award: the recipient's e-mail address, and when it was achieved."""

    recipient: str
    issued_on: datetime | None = None
    narrative: str | None = None
    evidence_url: str | None = None
    notify: bool = False


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
