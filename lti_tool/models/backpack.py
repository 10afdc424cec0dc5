"""Learners' own accounts, on Badgr servers and on any Badge Connect host; and who has signed in outside the LMS."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base
from lti_tool.models.badge import BadgrServer
from lti_tool.models.course import Person


class BadgeHost(Base):
    """A host that speaks Badge Connect (Open Badges 2.1), with the registration that the tool made there by itself."""

    __tablename__ = "badge_host"

    id: Mapped[int] = mapped_column(primary_key=True)
    # The address of its manifest (/.well-known/badgeconnect.json).
    manifest_url: Mapped[str] = mapped_column(String(500), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    api_base: Mapped[str] = mapped_column(String(500))
    authorization_url: Mapped[str] = mapped_column(String(500))
    token_url: Mapped[str] = mapped_column(String(500))
    scopes: Mapped[list[str]]
    client_id: Mapped[str] = mapped_column(String(255))
    sealed_client_secret: Mapped[str | None] = mapped_column(Text)
    # As the host's answer to the registration said (RFC 7591 §2, §3.2.1); an end of None is none.
    auth_method: Mapped[str] = mapped_column(String(40), default="client_secret_basic")
    secret_ends_at: Mapped[datetime | None]
    # What was registered; None is not known, of a registration from before it was kept.
    redirect_uri: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime]


class Backpack(Base):
    """A learner's own account, at a Badgr server or at a Badge Connect host; `addresses` are verified there."""

    __tablename__ = "backpack"
    __table_args__ = (
        UniqueConstraint("person_id", "server_id"),
        UniqueConstraint("person_id", "host_id"),
        CheckConstraint("(server_id IS NULL) <> (host_id IS NULL)", name="one_place"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    server_id: Mapped[int | None] = mapped_column(ForeignKey("badgr_server.id"))
    host_id: Mapped[int | None] = mapped_column(ForeignKey("badge_host.id"))
    user_name: Mapped[str] = mapped_column(String(500))
    addresses: Mapped[list[str]]
    sealed_access_token: Mapped[str] = mapped_column(Text)
    sealed_refresh_token: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime]
    dead_since: Mapped[datetime | None]
    created_at: Mapped[datetime]

    person: Mapped[Person] = relationship()
    server: Mapped[BadgrServer | None] = relationship()
    host: Mapped[BadgeHost | None] = relationship()


class LearnerVisit(Base):
    """That the holder of a browser session has signed in with Badgr outside any LMS, with these verified addresses."""

    __tablename__ = "learner_visit"
    __table_args__ = (Index(None, "expires_at"),)

    session_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(String(500))
    addresses: Mapped[list[str]]
    expires_at: Mapped[datetime]
