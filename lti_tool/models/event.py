"""Sources (ways by which events arrive) and the inbox: every event as it came, kept until it is dealt with."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base, choice
from lti_tool.domain.events import IdKind
from lti_tool.models.platform import Deployment, Platform


class EventStatus(StrEnum):
    """Where an event stands."""

    RECEIVED = "received"
    PROCESSED = "processed"
    UNMATCHED = "unmatched"
    FAILED = "failed"


class Source(Base):
    """One configured way by which events of one platform arrive; `public_id` stands in its address."""

    __tablename__ = "source"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(64), unique=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    kind: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    sealed_secret: Mapped[str] = mapped_column(Text)
    sealed_former_secret: Mapped[str | None] = mapped_column(Text)
    former_secret_until: Mapped[datetime | None]
    enabled: Mapped[bool] = mapped_column(default=True)
    # What the kind of source asks for beside its secret, as sealed JSON.
    sealed_options: Mapped[str | None] = mapped_column(Text)
    # Only courses of this deployment are meant; None is all of the platform's.
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployment.id"))
    # An address is believed to name a person only where an administrator says so.
    match_by_email: Mapped[bool] = mapped_column(default=False)
    # After so many hours without an event somebody is told; 0 is never.
    alarm_after_hours: Mapped[int] = mapped_column(default=0)
    alarmed_at: Mapped[datetime | None]
    last_fault_at: Mapped[datetime | None]
    last_fault: Mapped[str | None] = mapped_column(String(500))
    # When something came that was right but about nothing that is kept; to the minute.
    last_heard_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    platform: Mapped[Platform] = relationship()
    deployment: Mapped[Deployment | None] = relationship()


class SourceHour(Base):
    """What went wrong at a source in one hour (UTC): refused deliveries, and results that only the pull found."""

    __tablename__ = "source_hour"

    source_id: Mapped[int] = mapped_column(ForeignKey("source.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0)


class Event(Base):
    """One delivery of a source, stored before it is answered; `delivery_id` makes repeats harmless."""

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("source_id", "delivery_id"),
        Index(None, "status", "due_at"),
        Index(None, "run_key"),
        # How a source is, and its events, the newest first; of one status too.
        Index(None, "source_id", "received_at", "id"),
        Index(None, "source_id", "status", "received_at", "id"),
        # Whose content is to be taken out.
        Index(
            "ix_event_with_body",
            "status",
            "received_at",
            sqlite_where=sql("body_removed_at IS NULL"),
            postgresql_where=sql("body_removed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("source.id"))
    delivery_id: Mapped[str] = mapped_column(String(255))
    body: Mapped[str] = mapped_column(Text)
    # The content is written in the tool's own form: what is left of it after somebody in it was erased.
    is_rewritten: Mapped[bool] = mapped_column(default=False)
    status: Mapped[EventStatus] = mapped_column(choice(EventStatus), default=EventStatus.RECEIVED)
    reason: Mapped[str | None] = mapped_column(String(1000))
    attempts: Mapped[int] = mapped_column(default=0)
    # Of the last attempts, how many in a row failed.
    failures: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    received_at: Mapped[datetime]
    # The time of the newest thing in it, as the sender dates it.
    occurred_at: Mapped[datetime | None]
    processed_at: Mapped[datetime | None]
    # How often the same delivery came again.
    repeats: Mapped[int] = mapped_column(default=0)
    # What became of its parts, by outcome: new, same, late, from the future, unmatched.
    outcome: Mapped[dict[str, Any] | None]
    # The key of the runs of a replay or a pull: awards that it brings wait for its end.
    run_key: Mapped[str | None] = mapped_column(String(40))
    # Taken out after a while, or with the person whom it was about.
    body_removed_at: Mapped[datetime | None]

    source: Mapped[Source] = relationship()


class MissingId(Base):
    """An id in an event that nobody knew; when it becomes known, the event is looked at again."""

    __tablename__ = "missing_id"
    __table_args__ = (Index(None, "platform_id", "kind", "value"),)

    event_id: Mapped[int] = mapped_column(ForeignKey("event.id"), primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    kind: Mapped[IdKind] = mapped_column(choice(IdKind), primary_key=True)
    value: Mapped[str] = mapped_column(String(255), primary_key=True)
