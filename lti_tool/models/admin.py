"""Administrators, what they may see at the moment, the links by which an LMS registers, and who did what."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base
from lti_tool.models.course import Person
from lti_tool.models.platform import Deployment, Platform


class AdminAccount(Base):
    """A local administrator; the password is an argon2 hash. Failed sign-ins in a row make the next ones wait."""

    __tablename__ = "admin_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    password_hash: Mapped[str] = mapped_column(String(300))
    created_at: Mapped[datetime]
    failures: Mapped[int] = mapped_column(default=0)
    wait_until: Mapped[datetime | None]


class AdminVisit(Base):
    """That the holder of a browser session administers: all of it (an account), or one deployment (an LMS's own)."""

    __tablename__ = "admin_visit"
    __table_args__ = (Index(None, "expires_at"),)

    session_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("admin_account.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployment.id"))
    expires_at: Mapped[datetime]

    account: Mapped[AdminAccount | None] = relationship()
    person: Mapped[Person | None] = relationship()
    deployment: Mapped[Deployment | None] = relationship()


class RegistrationLink(Base):
    """A link that lets one LMS register itself once (LTI Dynamic Registration 1.0 §3.2), or renew its registration."""

    __tablename__ = "registration_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    note: Mapped[str] = mapped_column(String(200), default="")
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    platform_id: Mapped[int | None] = mapped_column(ForeignKey("platform.id"))

    platform: Mapped[Platform | None] = relationship()


class AuditEntry(Base):
    """One administrative act: who did what to which platform, and how."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index(None, "platform_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(300))
    action: Mapped[str] = mapped_column(String(60))
    detail: Mapped[str] = mapped_column(Text, default="")
    platform_id: Mapped[int | None] = mapped_column(ForeignKey("platform.id"))
    # Of an act about one institution of several that share a registration.
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployment.id"))
