"""Activities of a course and the newest known result of each person in each of them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base
from lti_tool.domain.events import ActivityProgress, GradeFact, GradingProgress, ProgressFact, ResultState
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
    """The newest known grade, progress and hand-in of a person in an activity (the words are those of AGS 2.0).

    Each is a fact of its own: a source may tell only one of them, and each has its time and the event that told it.
    """

    __tablename__ = "result"
    __table_args__ = (UniqueConstraint("activity_id", "person_id"), Index(None, "person_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    activity_id: Mapped[int] = mapped_column(ForeignKey("activity.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    graded_at: Mapped[datetime | None]
    score_given: Mapped[float | None]
    score_maximum: Mapped[float | None]
    grading_progress: Mapped[str | None] = mapped_column(String(20))
    grade_released: Mapped[bool] = mapped_column(default=True)
    grade_event_id: Mapped[int | None] = mapped_column(ForeignKey("event.id"))
    progressed_at: Mapped[datetime | None]
    activity_progress: Mapped[str | None] = mapped_column(String(20))
    progress_released: Mapped[bool] = mapped_column(default=True)
    progress_event_id: Mapped[int | None] = mapped_column(ForeignKey("event.id"))
    handed_in_at: Mapped[datetime | None]
    hand_in_released: Mapped[bool] = mapped_column(default=True)
    hand_in_event_id: Mapped[int | None] = mapped_column(ForeignKey("event.id"))

    activity: Mapped[Activity] = relationship()
    person: Mapped[Person] = relationship()

    @property
    def state(self) -> ResultState:
        """This result as a value that `domain.decision` decides on."""
        return state_of(
            self.graded_at,
            self.score_given,
            self.score_maximum,
            self.grading_progress,
            self.grade_released,
            self.grade_event_id,
            self.progressed_at,
            self.activity_progress,
            self.progress_released,
            self.progress_event_id,
            self.handed_in_at,
            self.hand_in_released,
            self.hand_in_event_id,
        )

    @state.setter
    def state(self, state: ResultState) -> None:
        if grade := state.grade:
            self.graded_at, self.score_given, self.score_maximum = grade.at, grade.given, grade.maximum
            self.grading_progress, self.grade_released = grade.grading.value, grade.released
            self.grade_event_id = grade.event_id
        if progress := state.progress:
            self.progressed_at, self.activity_progress = progress.at, progress.progress.value
            self.progress_released, self.progress_event_id = progress.released, progress.event_id
        if hand_in := state.hand_in:
            self.handed_in_at, self.hand_in_released = hand_in.at, hand_in.released
            self.hand_in_event_id = hand_in.event_id


# The columns that `state_of` takes, in its order: a whole course is read without an object for each row.
STATE_COLUMNS = (
    Result.graded_at,
    Result.score_given,
    Result.score_maximum,
    Result.grading_progress,
    Result.grade_released,
    Result.grade_event_id,
    Result.progressed_at,
    Result.activity_progress,
    Result.progress_released,
    Result.progress_event_id,
    Result.handed_in_at,
    Result.hand_in_released,
    Result.hand_in_event_id,
)
_GRADING = {member.value: member for member in GradingProgress}
_PROGRESS = {member.value: member for member in ActivityProgress}


def state_of(
    graded_at: datetime | None,
    given: float | None,
    maximum: float | None,
    grading: str | None,
    grade_released: bool,
    grade_event_id: int | None,
    progressed_at: datetime | None,
    progress: str | None,
    progress_released: bool,
    progress_event_id: int | None,
    handed_in_at: datetime | None,
    hand_in_released: bool,
    hand_in_event_id: int | None,
) -> ResultState:
    """The value of a row of `STATE_COLUMNS`."""
    return ResultState(
        GradeFact(graded_at, given, maximum, _GRADING[grading], grade_released, grade_event_id)
        if graded_at is not None and grading is not None
        else None,
        ProgressFact(progressed_at, _PROGRESS[progress], progress_released, progress_event_id)
        if progressed_at is not None and progress is not None
        else None,
        ProgressFact(handed_in_at, ActivityProgress.SUBMITTED, hand_in_released, hand_in_event_id)
        if handed_in_at is not None
        else None,
    )
