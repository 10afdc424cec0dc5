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
from lti_tool.models.rule import Rule, RuleVersion


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
    OTHER_SERVER = "other_server"
    ISSUER_NOT_ALLOWED = "issuer_not_allowed"
    # A teacher wants to see each award of the rule first, or the run that it belongs to is larger than usual.
    APPROVAL = "approval"
    BRAKE = "brake"


class RevokedBy(StrEnum):
    """Who took an award back; what a falling grade took back may be earned again."""

    TEACHER = "teacher"
    FALL = "fall"
    BADGR = "badgr"
    UNDO = "undo"


# Why an award was taken back that a teacher did not approve.
REFUSED = "Not approved."
# Why one was taken back whose results fell. Everybody can read it at Badgr: the results themselves stay here.
FELL = "The results do not earn it any more."


class RunStatus(StrEnum):
    """Where a run stands: awards are still being added, it waits for a person, or somebody has decided."""

    OPEN = "open"
    WAITING = "waiting"
    RELEASED = "released"
    UNDONE = "undone"


# What a run brings may still be refused as long as it is one of these.
UNDECIDED = (RunStatus.OPEN, RunStatus.WAITING)


class RunCause(StrEnum):
    """What may award to many people at once."""

    SWITCH_ON = "switch_on"
    EDIT = "edit"
    BY_HAND = "by_hand"
    EXCEPTION = "exception"
    REPLAY = "replay"
    PULL = "pull"


class AwardRun(Base):
    """Awards that one act brought about together: held back as long as it is open, or waits for a person."""

    __tablename__ = "award_run"
    __table_args__ = (UniqueConstraint("course_id", "key"), Index(None, "course_id", "status"), Index(None, "key"))

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    # One act may reach several courses (a replay): its runs share this key.
    key: Mapped[str] = mapped_column(String(40))
    rule_id: Mapped[int | None] = mapped_column(ForeignKey("rule.id"))
    cause: Mapped[RunCause] = mapped_column(choice(RunCause))
    status: Mapped[RunStatus] = mapped_column(choice(RunStatus), default=RunStatus.OPEN)
    started_by: Mapped[str] = mapped_column(String(200))
    started_at: Mapped[datetime]
    decided_by: Mapped[str | None] = mapped_column(String(200))
    decided_at: Mapped[datetime | None]

    course: Mapped[Course] = relationship()
    rule: Mapped[Rule | None] = relationship()


class Award(Base):
    """That a person earned a badge class; `number` counts the times that they did, which is once for most rules."""

    __tablename__ = "award"
    __table_args__ = (
        UniqueConstraint("badge_class_id", "person_id", "number"),
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
        Index(None, "rule_id"),
        Index(None, "run_id"),
        Index(None, "score_due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("rule.id"))
    rule_version_id: Mapped[int] = mapped_column(ForeignKey("rule_version.id"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("award_run.id"))
    number: Mapped[int] = mapped_column(default=1)
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
    # Every address that an attempt was for: while it is in doubt, Badgr may have the badge at any of them.
    tried_addresses: Mapped[list[str]] = mapped_column(default=list)
    assertion_id: Mapped[str | None] = mapped_column(String(255))
    open_badge_id: Mapped[str | None] = mapped_column(String(2000))
    image_url: Mapped[str | None] = mapped_column(String(2000))
    issued_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    # Why it is to be revoked, or was; here or at Badgr.
    revocation_reason: Mapped[str | None] = mapped_column(String(255))
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[RevokedBy | None] = mapped_column(choice(RevokedBy))
    # A teacher has to look at it before it is sent.
    awaits_approval: Mapped[bool] = mapped_column(default=False)
    # Given by a teacher's hand: results have no say in it.
    by_hand: Mapped[bool] = mapped_column(default=False)
    # When the results stopped to earn it, and why; and when a teacher said to keep it all the same.
    fell_at: Mapped[datetime | None]
    fall_detail: Mapped[str | None] = mapped_column(String(1000))
    fall_kept_at: Mapped[datetime | None]
    # When Badgr last confirmed that the assertion is as we think.
    checked_at: Mapped[datetime | None]
    # The score in the badge's column of the gradebook: when it was sent, else when it is next tried and what failed.
    score_sent_at: Mapped[datetime | None]
    score_due_at: Mapped[datetime | None]
    score_advice: Mapped[str | None] = mapped_column(String(1000))

    rule: Mapped[Rule] = relationship()
    rule_version: Mapped[RuleVersion] = relationship()
    run: Mapped[AwardRun | None] = relationship()
    course: Mapped[Course] = relationship()
    badge_class: Mapped[BadgeClass] = relationship()
    person: Mapped[Person] = relationship()
    steps: Mapped[list["AwardStep"]] = relationship(order_by="AwardStep.id")

    @property
    def is_decided(self) -> bool:
        """Whether nobody's word is needed for it, or it was given: only then it may earn another badge."""
        return not self.awaits_approval and (self.run is None or self.run.status not in UNDECIDED)

    @property
    def may_be_revoked(self) -> bool:
        """Whether the account of its course may revoke it, as far as is known."""
        return self.course.may_revoke(self.badge_class.issuer_entity_id)

    @property
    def was_refused(self) -> bool:
        """Whether a teacher did not approve it, so that it never went out."""
        return self.status is AwardStatus.REVOKED and self.revocation_reason == REFUSED and self.issued_at is None


class AwardStep(Base):
    """One line of an award's time line: what happened, when, in words that a teacher understands."""

    __tablename__ = "award_step"
    __table_args__ = (Index(None, "award_id"), Index(None, "event_id"), Index(None, "kind", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    award_id: Mapped[int] = mapped_column(ForeignKey("award.id"))
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(30))
    text: Mapped[str] = mapped_column(String(1000))
    event_id: Mapped[int | None] = mapped_column(ForeignKey("event.id"))
