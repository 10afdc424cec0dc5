"""The Canvas Live Events that tell grades and completions (Canvas API documentation, Data Services).

Ids are global (shard x 10^13 + local id) in most events, and local in those about a whole course.
"""

from datetime import datetime
from typing import Any

from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    GradingProgress,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.sources.kind import MalformedError
from lti_tool.sources.reading import Id, Moment, Number, OptionalId, Part, Title, identifiers, read

SHARD = 10**13
COURSE_GRADE = ActivityRef("canvas:course-grade", "", "course_grade")


class Metadata(Part):
    """What every event says of itself; who caused it and from where is not kept."""

    event_name: Id
    event_time: Moment
    root_account_uuid: OptionalId = None
    request_id: OptionalId = None
    context_type: OptionalId = None
    context_id: OptionalId = None
    context_sis_source_id: OptionalId = None


class Event(Part):
    """An event about something else: only that it came is kept."""

    metadata: Metadata

    def grade_events(self) -> list[GradeEvent]:
        """What the event tells, in our words."""
        return []

    def _course(self, course_id: str | None = None, sis_id: str | None = None) -> tuple[Identifier, ...]:
        told = self.metadata
        context = told.context_id if told.context_type == "Course" else None
        found = identifiers(_id(context), _id(course_id), (IdKind.SIS, told.context_sis_source_id or sis_id))
        if not found:
            raise MalformedError("metadata.context_id: an event about a course is expected")
        return found


class _GradeBody(Part):
    assignment_id: Id
    assignment_name: Title = ""
    student_id: OptionalId = None
    user_id: OptionalId = None
    student_sis_id: OptionalId = None
    score: Number | None = None
    points_possible: Number | None = None
    grading_complete: bool | None = None
    muted: bool | None = None


class _GradeChange(Event):
    body: _GradeBody

    def grade_events(self) -> list[GradeEvent]:
        told = self.body
        person = identifiers(_id(told.student_id or told.user_id), (IdKind.SIS, told.student_sis_id))
        if not person:
            raise MalformedError("body.student_id: Field required")
        grade = GradeFact(
            self.metadata.event_time,
            told.score,
            told.points_possible if told.points_possible and told.points_possible > 0 else None,
            _grading(told.score, told.grading_complete is not False),
            released=not told.muted,
        )
        activity = ActivityRef(f"canvas:assignment:{told.assignment_id}", told.assignment_name, "assignment")
        return [GradeEvent(self._course(), person, activity, grade=grade)]


class _SubmissionBody(Part):
    assignment_id: Id
    user_id: Id
    lti_user_id: OptionalId = None
    submitted_at: Moment | None = None
    workflow_state: OptionalId = None


class _Submission(Event):
    body: _SubmissionBody

    def grade_events(self) -> list[GradeEvent]:
        told = self.body
        # Graded without anything handed in, or taken back. The score is left to grade_change: here is no maximum.
        if told.submitted_at is None or told.workflow_state in {"unsubmitted", "deleted"}:
            return []
        person = identifiers(_id(told.user_id), (IdKind.LTI11, told.lti_user_id))
        activity = ActivityRef(f"canvas:assignment:{told.assignment_id}", "", "assignment")
        progress = ProgressFact(self.metadata.event_time, ActivityProgress.SUBMITTED)
        return [GradeEvent(self._course(), person, activity, progress=progress)]


class _OwnMetadata(Metadata):
    """Of an event that its person caused."""

    context_role: OptionalId = None
    user_id: OptionalId = None
    user_sis_id: OptionalId = None


class _QuizBody(Part):
    quiz_id: Id


class _QuizSubmitted(Event):
    metadata: _OwnMetadata
    body: _QuizBody

    def grade_events(self) -> list[GradeEvent]:
        by = self.metadata
        # The body does not say whose it is: who caused the event, but only if that was a learner.
        if by.user_id is None or by.context_role != "StudentEnrollment":
            return []
        person = identifiers(_id(by.user_id), (IdKind.SIS, by.user_sis_id))
        activity = ActivityRef(f"canvas:quiz:{self.body.quiz_id}", "", "quiz")
        progress = ProgressFact(by.event_time, ActivityProgress.SUBMITTED)
        return [GradeEvent(self._course(), person, activity, progress=progress)]


class _CoursePart(Part):
    id: Id
    name: Title = ""
    sis_source_id: OptionalId = None


class _UserPart(Part):
    id: Id
    email: OptionalId = None


class _ProgressPart(Part):
    completed_at: Moment | None = None


class _ProgressBody(Part):
    course: _CoursePart
    user: _UserPart
    progress: _ProgressPart


class _CourseProgress(Event):
    body: _ProgressBody

    def grade_events(self) -> list[GradeEvent]:
        course, user = self.body.course, self.body.user
        is_completed = self.metadata.event_name == "course_completed" or self.body.progress.completed_at is not None
        reached = ActivityProgress.COMPLETED if is_completed else ActivityProgress.IN_PROGRESS
        event = GradeEvent(
            self._course(course.id, course.sis_source_id),
            identifiers(_id(user.id), (IdKind.EMAIL, user.email)),
            ActivityRef("canvas:course", course.name, "course"),
            progress=ProgressFact(self._reached_at(), reached),
        )
        return [event]

    def _reached_at(self) -> datetime:
        at, completed_at = self.metadata.event_time, self.body.progress.completed_at
        # Canvas' own example is completed days after the event that says so.
        return completed_at if completed_at is not None and completed_at <= at else at


class _CourseGradeBody(Part):
    user_id: Id
    course_id: Id
    workflow_state: OptionalId = None
    final_score: Number | None = None
    unposted_final_score: Number | None = None


class _CourseGrade(Event):
    body: _CourseGradeBody

    def grade_events(self) -> list[GradeEvent]:
        told = self.body
        if told.workflow_state == "deleted":
            return []
        # Learners see final_score; the other one counts what is not posted yet.
        released = told.final_score is not None or told.unposted_final_score is None
        given = told.final_score if released else told.unposted_final_score
        grade = GradeFact(self.metadata.event_time, given, 100.0, _grading(given), released)
        return [GradeEvent(self._course(told.course_id), identifiers(_id(told.user_id)), COURSE_GRADE, grade=grade)]


class _OverrideBody(Part):
    user_id: Id
    course_id: Id
    override_score: Number | None = None


class _GradeOverride(Event):
    body: _OverrideBody

    def grade_events(self) -> list[GradeEvent]:
        told = self.body
        grade = GradeFact(self.metadata.event_time, told.override_score, 100.0, _grading(told.override_score))
        return [GradeEvent(self._course(told.course_id), identifiers(_id(told.user_id)), COURSE_GRADE, grade=grade)]


# Progress in single modules is no event of Canvas'.
EVENTS: dict[str, type[Event]] = {
    "grade_change": _GradeChange,
    "submission_created": _Submission,
    "submission_updated": _Submission,
    "quiz_submitted": _QuizSubmitted,
    "course_progress": _CourseProgress,
    "course_completed": _CourseProgress,
    "course_grade_change": _CourseGrade,
    "grade_override": _GradeOverride,
}


def read_event(found: Any) -> Event:
    """An event of the kind that its name says; raises MalformedError naming the first wrong field."""
    name = read(Event, found).metadata.event_name
    body = found.get("body")
    # In Canvas' documentation an override bears the name grade_change.
    if name == "grade_change" and isinstance(body, dict) and "override_score" in body:
        name = "grade_override"
        found = found | {"metadata": found["metadata"] | {"event_name": name}}
    return read(EVENTS.get(name, Event), found)


def _id(value: str | None) -> tuple[IdKind, str | None]:
    is_global = value is not None and value.isdecimal() and int(value) >= SHARD
    return (IdKind.CANVAS if is_global else IdKind.CANVAS_LOCAL), value


def _grading(given: float | None, is_complete: bool = True) -> GradingProgress:
    if given is None:
        return GradingProgress.NOT_READY
    return GradingProgress.FULLY_GRADED if is_complete else GradingProgress.PENDING
