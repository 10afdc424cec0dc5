"""What Badgr knows, as frozen values; parsing ignores unknown members and requires only what is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from dateutil.relativedelta import relativedelta

UNITS = ("days", "weeks", "months", "years")


class Role(StrEnum):
    """A member's role in an issuer: staff may award, editors may also edit and revoke, owners do everything."""

    OWNER = "owner"
    EDITOR = "editor"
    STAFF = "staff"


@dataclass(frozen=True, repr=False)
class ServerAddress:
    """Where a server is and how this tool identifies itself there; the addresses have no trailing slash.

    Badge Connect hosts name their OAuth addresses themselves; a Badgr server has its own at known paths.
    """

    ui_url: str
    api_url: str
    client_id: str
    client_secret: str
    authorization_url: str = ""
    token_url: str = ""
    # Whether key and secret go in a header (RFC 6749 §2.3.1); else in the body.
    is_basic: bool = False

    @property
    def consent_url(self) -> str:
        """Where the browser goes to allow something."""
        return self.authorization_url or f"{self.ui_url}/auth/oauth2/authorize"

    @property
    def tokens_url(self) -> str:
        """Where codes and refresh tokens are exchanged."""
        return self.token_url or f"{self.api_url}/o/token"


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
    email: str = ""
    description: str = ""

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
        return cls(
            entity_id=str(told["entityId"]),
            name=str(told["name"]),
            image=told.get("image"),
            url=told.get("url"),
            staff=staff,
            email=str(told.get("email") or ""),
            description=str(told.get("description") or ""),
        )


@dataclass(frozen=True)
class Alignment:
    """What a badge stands for in somebody's framework of skills."""

    name: str
    url: str
    code: str = ""
    description: str = ""
    framework: str = ""


# Badgr has no limit; more is for ever.
MOST = 99_999
LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class Lifetime:
    """For how long a badge is good once it is awarded: so many days, weeks, months or years."""

    amount: int
    unit: str

    def end(self, start: datetime) -> datetime:
        """When a badge awarded at `start` ends. Badgr itself does not apply it (BADGR.md §5)."""
        # The end of January and one month is the end of February.
        try:
            return start + relativedelta(**{self.unit: self.amount})  # type: ignore[arg-type]
        except (ValueError, OverflowError):
            return LAST_DAY

    @classmethod
    def parse(cls, told: object) -> "Lifetime | None":
        """Read `expires` of a badge class; None when there is none that can be understood."""
        if not isinstance(told, Mapping):
            return None
        amount, unit = told.get("amount"), told.get("duration")
        is_good = isinstance(amount, int) and 0 < amount <= MOST and unit in UNITS
        return cls(amount, str(unit)) if is_good and isinstance(amount, int) else None


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
    lifetime: Lifetime | None = None
    alignments: tuple[Alignment, ...] = ()

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
            lifetime=Lifetime.parse(told.get("expires")),
            alignments=tuple(
                Alignment(
                    str(a["targetName"]),
                    str(a["targetUrl"]),
                    str(a.get("targetCode") or ""),
                    str(a.get("targetDescription") or ""),
                    str(a.get("targetFramework") or ""),
                )
                for a in told.get("alignments") or []
                if a.get("targetName") and a.get("targetUrl")
            ),
        )


@dataclass(frozen=True)
class NewBadgeClass:
    """A badge class to be made or changed; `image` is a data URI, or the present address to leave it as it is."""

    name: str
    description: str
    image: str
    criteria_narrative: str
    criteria_url: str = ""
    tags: tuple[str, ...] = ()
    alignments: tuple[Alignment, ...] = ()
    lifetime: Lifetime | None = None


@dataclass(frozen=True)
class NewIssuer:
    """An issuer to be made or changed; `email` is one of the user's verified addresses, `image` as in a badge class."""

    name: str
    url: str
    email: str
    description: str
    image: str | None = None
