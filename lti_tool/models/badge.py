"""Badgr servers, connections to them (OAuth grants), and our copy of the badge classes in use."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base

# Enough to award and to revoke (BADGR.md §1.2).
NEEDED_SCOPES = ("r:profile", "rw:issuer")


class BadgrServer(Base):
    """A server that speaks the Badgr v2 API, with the key and secret it gave to this tool."""

    __tablename__ = "badgr_server"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    ui_url: Mapped[str] = mapped_column(String(500))
    api_url: Mapped[str] = mapped_column(String(500))
    client_id: Mapped[str] = mapped_column(String(255))
    sealed_client_secret: Mapped[str] = mapped_column(Text)
    # What is asked for at consent; not every server knows every scope (BADGR.md §0).
    scopes: Mapped[list[str]] = mapped_column(default=lambda: list(NEEDED_SCOPES))
    # How many awards are sent side by side, and in a minute; None is as many as come.
    max_parallel: Mapped[int] = mapped_column(default=4)
    max_per_minute: Mapped[int | None]
    minute_started_at: Mapped[datetime | None]
    sent_in_minute: Mapped[int] = mapped_column(default=0)
    # The circuit breaker: failures in a row, and until when nobody tries.
    failures: Mapped[int] = mapped_column(default=0)
    closed_until: Mapped[datetime | None]
    # Until when the server itself has asked to be left alone; no success of anybody ends that.
    asked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class TokenWait(Base):
    """That the token address of a host wants no call before a moment: whoever calls from here shares one throttle there
    (BADGR.md §1.6), by whatever key, for teachers' and learners' accounts alike."""

    __tablename__ = "token_wait"

    origin: Mapped[str] = mapped_column(String(500), primary_key=True)
    until: Mapped[datetime]


class Connection(Base):
    """An OAuth grant of one Badgr user on one server: made by one person of a platform for the courses that they teach,
    or by an administrator for all courses of a deployment (then `deployment_id` is set and `person_id` is not)."""

    __tablename__ = "connection"
    __table_args__ = (
        UniqueConstraint("server_id", "person_id", "badgr_user_id"),
        UniqueConstraint("server_id", "deployment_id", "badgr_user_id"),
        CheckConstraint("(person_id IS NULL) <> (deployment_id IS NULL)", name="one_owner"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("badgr_server.id"))
    # A person's row knows its connections, not the other way round: no foreign key cycle between the tables.
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployment.id"))
    # The issuers that courses may use by an institution's connection; none is all of them.
    allowed_issuers: Mapped[list[str]] = mapped_column(default=list)
    badgr_user_id: Mapped[str] = mapped_column(String(255))
    badgr_user_name: Mapped[str] = mapped_column(String(500))
    scopes: Mapped[list[str]] = mapped_column(default=list)
    sealed_access_token: Mapped[str] = mapped_column(Text)
    sealed_refresh_token: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime]
    # Whoever holds this lease may refresh; it is how processes exclude each other on every database.
    refresh_lease_until: Mapped[datetime | None]
    dead_since: Mapped[datetime | None]
    dead_reason: Mapped[str | None] = mapped_column(String(500))
    # Where the server's changed feed was read to, in the server's own words; and when changes were last looked for.
    changes_until: Mapped[str | None] = mapped_column(String(100))
    changes_checked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    server: Mapped[BadgrServer] = relationship()

    @property
    def ends_at(self) -> datetime | None:
        """When it is known to end by itself: a grant without a refresh token cannot be renewed."""
        return self.expires_at if self.is_alive and self.sealed_refresh_token is None else None

    def allows(self, issuer_entity_id: str) -> bool:
        """Whether courses may award in the name of this issuer by it."""
        return not self.allowed_issuers or issuer_entity_id in self.allowed_issuers

    @property
    def is_alive(self) -> bool:
        """Whether Badgr still takes this grant, as far as we know."""
        return self.dead_since is None


class BadgeClass(Base):
    """Our copy of a badge class, for display and for awarding; Badgr's own is the truth."""

    __tablename__ = "badge_class"
    __table_args__ = (UniqueConstraint("server_id", "entity_id"), Index(None, "issuer_entity_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("badgr_server.id"))
    entity_id: Mapped[str] = mapped_column(String(255))
    issuer_entity_id: Mapped[str] = mapped_column(String(255))
    issuer_name: Mapped[str] = mapped_column(String(500))
    name: Mapped[str] = mapped_column(String(1024))
    description: Mapped[str] = mapped_column(Text, default="")
    image_url: Mapped[str | None] = mapped_column(String(2000))
    criteria_narrative: Mapped[str | None] = mapped_column(Text)
    criteria_url: Mapped[str | None] = mapped_column(String(2000))
    open_badge_id: Mapped[str] = mapped_column(String(2000))
    expires: Mapped[dict[str, Any] | None]
    tags: Mapped[list[str]] = mapped_column(default=list)
    fetched_at: Mapped[datetime]
    # When Badgr said that it is not there any more, or not for us.
    gone_at: Mapped[datetime | None]

    server: Mapped[BadgrServer] = relationship()
