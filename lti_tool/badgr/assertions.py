"""What Badgr knows of awards, as frozen values: assertions, changes of them, and the badges in a backpack."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lti_tool.badgr.types import id_of, kept, web_address


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
    revocation_reason: str = ""
    created_at: datetime | None = None
    expires: datetime | None = None
    # The members that the answer had: what it leaves out is not said to be gone.
    told: frozenset[str] = frozenset()

    @property
    def is_live(self) -> bool:
        """Whether it is neither revoked nor past its end."""
        return not self.revoked and (self.expires is None or self.expires > datetime.now(UTC))

    def belongs_to(self, address: str) -> bool:
        """Whether an e-mail address is the recipient's (hashes: Open Badges 2.0, IdentityObject)."""
        kind, _, hashed = self.recipient.partition("$")
        if kind == "sha256" and hashed:
            return hashlib.sha256((address + self.salt).encode()).hexdigest() == hashed
        return self.recipient.casefold() == address.casefold()

    def is_of_another(self, address: str) -> bool:
        """Whether it says for certain that it is not this address's: a hash without its salt says nothing."""
        is_readable = bool(self.recipient) and (bool(self.salt) or not self.recipient.startswith("sha256$"))
        return is_readable and not self.belongs_to(address)

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "Assertion":
        """Read an assertion; raises KeyError, TypeError or ValueError when it is not one."""
        recipient = told.get("recipient") or {}
        return cls(
            entity_id=id_of(told),
            open_badge_id=web_address(told.get("openBadgeId")),
            badge_class_id=str(told.get("badgeclass") or ""),
            recipient=str(recipient.get("plaintextIdentity") or recipient.get("identity") or ""),
            salt=str(recipient.get("salt") or ""),
            image=web_address(told.get("image")) or None,
            issued_on=_moment(told.get("issuedOn")),
            revoked=bool(told.get("revoked")),
            revocation_reason=kept(str(told.get("revocationReason") or "")),
            created_at=_moment(told.get("createdAt")),
            expires=_moment(told.get("expires")),
            told=frozenset(told),
        )


@dataclass(frozen=True)
class Changes:
    """What has changed at the server; `until` is where to go on next time, in the server's own words.

    `odd` counts the entries that could not be understood: one of them keeps nobody from learning of the others.
    """

    assertions: tuple[Assertion, ...]
    until: str
    odd: int = 0


@dataclass(frozen=True)
class BackpackBadge:
    """A badge in somebody's backpack, with all that a page shows of it."""

    entity_id: str
    name: str
    description: str
    issuer_name: str
    image: str | None
    url: str
    issued_on: datetime | None
    revoked: bool

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "BackpackBadge":
        """Read an entry of `/v2/backpack/assertions?expand=badgeclass&expand=issuer`.

        Raises KeyError, TypeError or ValueError when it is not one.
        """
        badge = told.get("badgeclass") if isinstance(told.get("badgeclass"), Mapping) else {}
        issuer = badge.get("issuer") if isinstance(badge, Mapping) else {}
        issuer = issuer if isinstance(issuer, Mapping) else told.get("issuer")
        return cls(
            entity_id=str(told["entityId"]),
            name=str((badge or {}).get("name") or "A badge"),
            description=str((badge or {}).get("description") or ""),
            issuer_name=str(issuer.get("name") or "") if isinstance(issuer, Mapping) else "",
            image=web_address(told.get("image")) or web_address((badge or {}).get("image")) or None,
            url=web_address(told.get("openBadgeId")),
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
    expires: datetime | None = None
    # The same badge once more for somebody who has it.
    allow_duplicate: bool = False


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment before or after all years") from None
