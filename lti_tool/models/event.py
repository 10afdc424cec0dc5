"""Sources (ways by which events arrive) and the inbox: every event as it came, kept until it is dealt with."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base, choice
from lti_tool.models.platform import Platform


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
    created_at: Mapped[datetime]

    platform: Mapped[Platform] = relationship()


class Event(Base):
    """One delivery of a source, stored before it is answered; `delivery_id` makes repeats harmless."""

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("source_id", "delivery_id"), Index(None, "status", "due_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("source.id"))
    delivery_id: Mapped[str] = mapped_column(String(255))
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[EventStatus] = mapped_column(choice(EventStatus), default=EventStatus.RECEIVED)
    reason: Mapped[str | None] = mapped_column(String(1000))
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]

    source: Mapped[Source] = relationship()
