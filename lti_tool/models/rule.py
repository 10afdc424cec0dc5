"""Rules: a badge class, what earns it, and how, in one course."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base, choice
from lti_tool.domain.criteria import Criteria, criteria_from_json
from lti_tool.models.badge import BadgeClass
from lti_tool.models.course import Course


class RuleStatus(StrEnum):
    """Whether a rule awards."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"


class Rule(Base):
    """A badge class with its criteria in one course; results before `counts_from` do not earn it."""

    __tablename__ = "rule"
    __table_args__ = (Index(None, "course_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    badge_class_id: Mapped[int] = mapped_column(ForeignKey("badge_class.id"))
    criteria_json: Mapped[dict[str, Any]]
    status: Mapped[RuleStatus] = mapped_column(choice(RuleStatus), default=RuleStatus.DRAFT)
    counts_from: Mapped[datetime | None]
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

    @property
    def criteria(self) -> Criteria:
        """The stored criteria as a value that `domain.criteria` decides on."""
        return criteria_from_json(self.criteria_json)
