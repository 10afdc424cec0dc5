"""What Badgr knows, as frozen values; parsing ignores unknown members and requires only what is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from dateutil.relativedelta import relativedelta

UNITS = ("days", "weeks", "months", "years")
# As long as an id or an address may be to be kept.
LONGEST_ID, LONGEST_ADDRESS = 255, 2000


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


def kept(text: str) -> str:
    """A text without what no database can keep: NUL, and halves of a character."""
    return text.replace("\0", "").encode(errors="replace").decode()


def text_of(told: Mapping[str, Any], name: str) -> str:
    """A member that must be there, as text with something in it; raises KeyError or ValueError."""
    text = told[name]
    if not isinstance(text, str) or not text or not text.isprintable():
        raise ValueError(f"{name} is no text")
    return text


def id_of(told: Mapping[str, Any]) -> str:
    """The id of an entity; raises KeyError or ValueError when it is none that can be kept."""
    found = text_of(told, "entityId")
    if len(found) > LONGEST_ID:
        raise ValueError("entityId is too long")
    return found


def web_address(told: object) -> str:
    """An address that a page may show: whoever issued the badge has written it. Empty for anything else."""
    found = told.get("id") if isinstance(told, Mapping) else told
    is_good = isinstance(found, str) and found.startswith(("https://", "http://")) and found.isprintable()
    return found if is_good and isinstance(found, str) and len(found) <= LONGEST_ADDRESS else ""


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
        """Read `/v2/users/self`; raises KeyError, TypeError or ValueError when it is not one."""
        name = f"{told.get('firstName') or ''} {told.get('lastName') or ''}".strip()
        emails = tuple(
            Email(str(e["email"]), bool(e.get("verified")), bool(e.get("primary"))) for e in told.get("emails") or []
        )
        return cls(id_of(told), name or "A Badgr user", emails)


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
        """Read an issuer; raises KeyError, TypeError or ValueError when it is not one."""
        staff = tuple(
            StaffMember(str(m["user"]), Role(m["role"]))
            for m in told.get("staff") or []
            if m.get("user") and m.get("role") in list(Role)
        )
        return cls(
            entity_id=id_of(told),
            name=str(told["name"]),
            image=web_address(told.get("image")) or None,
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
        unit = str(told.get("duration") or "").strip().lower().removesuffix("s") + "s"
        try:
            # Some write "1", or 1.0; `True` would be 1 as well.
            amount = int(str(told.get("amount")).strip().removesuffix(".0"))
        except ValueError:
            return None
        return cls(amount, unit) if 0 < amount <= MOST and unit in UNITS else None

    @classmethod
    def is_told(cls, told: object) -> bool:
        """Whether `expires` of a badge class says anything at all, be it what `parse` cannot understand."""
        return any(value for value in told.values()) if isinstance(told, Mapping) else bool(told)


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
    # Badgr says something of its end that we do not understand: then its awards have none.
    is_end_unclear: bool = False

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "BadgeClass":
        """Read a badge class; raises KeyError, TypeError or ValueError when it is not one."""
        lifetime = Lifetime.parse(told.get("expires"))
        return cls(
            entity_id=id_of(told),
            open_badge_id=web_address(told.get("openBadgeId")),
            issuer_id=str(told.get("issuer") or ""),
            name=str(told["name"]),
            description=str(told.get("description") or ""),
            image=web_address(told.get("image")) or None,
            criteria_url=told.get("criteriaUrl"),
            criteria_narrative=told.get("criteriaNarrative"),
            tags=tuple(map(str, told.get("tags") or [])),
            lifetime=lifetime,
            is_end_unclear=lifetime is None and Lifetime.is_told(told.get("expires")),
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
