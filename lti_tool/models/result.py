"""Activities of a course and the newest known result of each person in each of them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base
from lti_tool.domain.events import ActivityProgress, GradingProgress, Score
from lti_tool.models.course import Person


class Activity(Base):
    """Anything in a course with a score or completion; `external_id` is None until a source first names it."""

    __tablename__ = "activity"
    __table_args__ = (UniqueConstraint("course_id", "external_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    external_id: Mapped[str | None] = mapped_column(String(500))
    kind: Mapped[str] = mapped_column(String(20), default="activity")
    title: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[datetime]


class Result(Base):
    """The newest known score or completion of a person in an activity (the words are those of AGS 2.0)."""

    __tablename__ = "result"
    __table_args__ = (UniqueConstraint("activity_id", "person_id"), Index(None, "person_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    activity_id: Mapped[int] = mapped_column(ForeignKey("activity.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    event_id: Mapped[int | None] = mapped_column(ForeignKey("event.id"))
    score_given: Mapped[float | None]
    score_maximum: Mapped[float | None]
    activity_progress: Mapped[str] = mapped_column(String(20))
    grading_progress: Mapped[str] = mapped_column(String(20))
    released: Mapped[bool] = mapped_column(default=True)
    occurred_at: Mapped[datetime]

    activity: Mapped[Activity] = relationship()
    person: Mapped[Person] = relationship()

    @property
    def score(self) -> Score:
        """This result as a value that `domain.criteria` decides on."""
        return Score(
            self.occurred_at,
            self.score_given,
            self.score_maximum,
            ActivityProgress(self.activity_progress),
            GradingProgress(self.grading_progress),
            self.released,
        )
