"""Rules: a badge class, what earns it, and how, in one course; in versions, and with exceptions for single people."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base, choice
from lti_tool.domain.criteria import Ask, Criteria, criteria_from_json
from lti_tool.models.badge import BadgeClass
from lti_tool.models.course import Course, Person
from lti_tool.models.result import Activity


class RuleStatus(StrEnum):
    """Whether a rule awards."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class OnFall(StrEnum):
    """What becomes of an award whose results no longer earn it."""

    KEEP = "keep"
    PROPOSE = "propose"
    REVOKE = "revoke"


class Repeat(StrEnum):
    """How often one person may earn the badge by the rule; a course is a term."""

    ONCE = "once"
    PER_TERM = "per_term"
    EACH_TIME = "each_time"


class ExceptionKind(StrEnum):
    """What a teacher grants to one person."""

    EXTENSION = "extension"
    EXCUSED = "excused"
    APPROVED = "approved"


class Rule(Base):
    """A badge class and how it is awarded in one course; what earns it stands in the current version."""

    __tablename__ = "rule"
    __table_args__ = (Index(None, "course_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    badge_class_id: Mapped[int] = mapped_column(ForeignKey("badge_class.id"))
    status: Mapped[RuleStatus] = mapped_column(choice(RuleStatus), default=RuleStatus.DRAFT)
    # The number of the current version.
    version: Mapped[int] = mapped_column(default=1)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    # What is written on each assertion: Markdown with {learner}, {course}, {badge}, {reasons} and {date} in it.
    narrative: Mapped[str] = mapped_column(Text, default="")
    evidence_url: Mapped[str | None] = mapped_column(String(2000))
    # Whether Badgr mails the learner about the award.
    notify: Mapped[bool] = mapped_column(default=False)
    # The rule of another course that this one was copied from; it may be gone.
    copied_from_id: Mapped[int | None]
    # The column of this badge in the LMS's gradebook, where the instructor wants one (AGS 2.0).
    has_column: Mapped[bool] = mapped_column(default=False)
    line_item_url: Mapped[str | None] = mapped_column(String(2000))

    course: Mapped[Course] = relationship()
    badge_class: Mapped[BadgeClass] = relationship()
    current: Mapped["RuleVersion"] = relationship(
        primaryjoin="and_(Rule.id == RuleVersion.rule_id, Rule.version == RuleVersion.number)",
        foreign_keys="[RuleVersion.rule_id, RuleVersion.number]",
        uselist=False,
        viewonly=True,
        lazy="joined",
    )

    @property
    def ask(self) -> Ask:
        """What the current version asks, as a value that `domain.decision` decides on."""
        return self.current.ask

    @property
    def criteria(self) -> Criteria:
        """The criteria of the current version."""
        return self.current.criteria


class RuleVersion(Base):
    """What earns the badge, as it was from one edit to the next; results before `counts_from` do not earn it.

    A version that was ever switched on is never changed: awards name the one that earned them.
    """

    __tablename__ = "rule_version"
    __table_args__ = (UniqueConstraint("rule_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("rule.id"))
    number: Mapped[int]
    criteria_json: Mapped[dict[str, Any]]
    counts_from: Mapped[datetime | None]
    counts_until: Mapped[datetime | None]
    fully_graded: Mapped[bool] = mapped_column(default=True)
    # Whether a teacher looks at each award before it is sent.
    needs_approval: Mapped[bool] = mapped_column(default=False)
    on_fall: Mapped[OnFall] = mapped_column(choice(OnFall), default=OnFall.KEEP)
    repeat: Mapped[Repeat] = mapped_column(choice(Repeat), default=Repeat.ONCE)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[datetime]

    created_by: Mapped[Person] = relationship()

    @property
    def criteria(self) -> Criteria:
        """The stored criteria as a value."""
        return criteria_from_json(self.criteria_json)

    @property
    def ask(self) -> Ask:
        """What is asked of a person, as a value that `domain.decision` decides on."""
        return Ask(self.criteria, self.counts_from, self.counts_until, self.fully_graded)


class RuleException(Base):
    """What a teacher grants to one person in one rule: more time, an activity that need not be done, an approval."""

    __tablename__ = "rule_exception"
    __table_args__ = (Index(None, "rule_id", "person_id"), Index(None, "run_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("rule.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    kind: Mapped[ExceptionKind] = mapped_column(choice(ExceptionKind))
    activity_id: Mapped[int | None] = mapped_column(ForeignKey("activity.id"))
    until: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(String(500), default="")
    created_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[datetime]
    # The run of what it awarded at once, to this person or to others of the same act; with it, it is taken back.
    run_id: Mapped[int | None] = mapped_column(ForeignKey("award_run.id"))

    person: Mapped[Person] = relationship(foreign_keys=[person_id])
    activity: Mapped[Activity | None] = relationship()
