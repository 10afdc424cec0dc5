"""Awards (our record that a person earned a badge by a rule) and the steps of each on its way to Badgr."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base, choice
from lti_tool.models.badge import BadgeClass
from lti_tool.models.course import Course, Person
from lti_tool.models.rule import Rule


class AwardStatus(StrEnum):
    """Where an award stands; `sending` carries a lease that ends by itself when its worker dies."""

    HELD = "held"
    PENDING = "pending"
    SENDING = "sending"
    ISSUED = "issued"
    FAILED = "failed"
    REVOKING = "revoking"
    REVOKED = "revoked"


class HoldReason(StrEnum):
    """Why an award waits for somebody rather than for a retry."""

    NO_EMAIL = "no_email"
    NOT_ON_ROSTER = "not_on_roster"
    NOT_A_LEARNER = "not_a_learner"
    NO_CONNECTION = "no_connection"


class Award(Base):
    """That a person earned a badge class; at most one per person and badge class, whatever is repeated."""

    __tablename__ = "award"
    __table_args__ = (
        UniqueConstraint("badge_class_id", "person_id"),
        # Two persons with one address (two platforms, two accounts) are never sent side by side: Badgr's own
        # duplicate check lets parallel requests pass (BADGR.md §6.2).
        Index(
            "uq_award_sending",
            "badge_class_id",
            "recipient",
            unique=True,
            sqlite_where=sql("status = 'sending'"),
            postgresql_where=sql("status = 'sending'"),
        ),
        Index(None, "status", "due_at"),
        Index(None, "course_id", "status"),
        Index(None, "person_id"),
        Index(None, "score_due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("rule.id"))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    badge_class_id: Mapped[int] = mapped_column(ForeignKey("badge_class.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    status: Mapped[AwardStatus] = mapped_column(choice(AwardStatus))
    hold_reason: Mapped[HoldReason | None] = mapped_column(choice(HoldReason))
    advice: Mapped[str | None] = mapped_column(String(1000))
    reasons: Mapped[list[dict[str, Any]]]
    achieved_at: Mapped[datetime]
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    lease: Mapped[str | None] = mapped_column(String(32))
    recipient: Mapped[str | None] = mapped_column(String(320))
    assertion_id: Mapped[str | None] = mapped_column(String(255))
    open_badge_id: Mapped[str | None] = mapped_column(String(2000))
    image_url: Mapped[str | None] = mapped_column(String(2000))
    issued_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    # Why it is to be revoked, or was; here or at Badgr.
    revocation_reason: Mapped[str | None] = mapped_column(String(255))
    revoked_at: Mapped[datetime | None]
    # When Badgr last confirmed that the assertion is as we think.
    checked_at: Mapped[datetime | None]
    # The score in the badge's column of the gradebook: when it was sent, else when it is next tried and what failed.
    score_sent_at: Mapped[datetime | None]
    score_due_at: Mapped[datetime | None]
    score_advice: Mapped[str | None] = mapped_column(String(1000))

    rule: Mapped[Rule] = relationship()
    course: Mapped[Course] = relationship()
    badge_class: Mapped[BadgeClass] = relationship()
    person: Mapped[Person] = relationship()
    steps: Mapped[list["AwardStep"]] = relationship(order_by="AwardStep.id")


class AwardStep(Base):
    """One line of an award's time line: what happened, when, in words that a teacher understands."""

    __tablename__ = "award_step"
    __table_args__ = (Index(None, "award_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    award_id: Mapped[int] = mapped_column(ForeignKey("award.id"))
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(30))
    text: Mapped[str] = mapped_column(String(1000))
    event_id: Mapped[int | None] = mapped_column(ForeignKey("event.id"))
