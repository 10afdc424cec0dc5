"""Badgr servers, connections to them (OAuth grants), and our copy of the badge classes in use."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base


class BadgrServer(Base):
    """A server that speaks the Badgr v2 API, with the key and secret it gave to this tool."""

    __tablename__ = "badgr_server"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    ui_url: Mapped[str] = mapped_column(String(500))
    api_url: Mapped[str] = mapped_column(String(500))
    client_id: Mapped[str] = mapped_column(String(255))
    sealed_client_secret: Mapped[str] = mapped_column(Text)
    # Token calls to one host share one throttle there (BADGR.md §1.6): nobody asks again before this moment.
    token_calls_after: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Connection(Base):
    """An OAuth grant of one Badgr user on one server, made by one person of a platform."""

    __tablename__ = "connection"
    __table_args__ = (UniqueConstraint("server_id", "person_id", "badgr_user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("badgr_server.id"))
    # A person's row knows its connections, not the other way round: no foreign key cycle between the tables.
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
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
    created_at: Mapped[datetime]

    server: Mapped[BadgrServer] = relationship()

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
    fetched_at: Mapped[datetime]

    server: Mapped[BadgrServer] = relationship()
