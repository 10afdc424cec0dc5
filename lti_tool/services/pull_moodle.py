"""The results that Moodle's web services tell: the gradebook, completion of activities and of the course."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

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
from lti_tool.lti.errors import LtiServiceError
from lti_tool.models import Activity, Course, Deployment, Person, Result, Source
from lti_tool.services import awarding, sources
from lti_tool.services.reading import Reading
from lti_tool.services.results import CLOCK_SKEW
from lti_tool.sources.moodle import COMPLETION
from lti_tool.sources.moodle_ws import (
    NO_COURSE_CRITERIA,
    TOO_LONG,
    CourseCompletion,
    MoodleCompletion,
    MoodleGrade,
    MoodleServiceError,
)
from lti_tool.sources.moodle_ws import MoodleWebServices as Moodle
from lti_tool.toolbox import Toolbox
from lti_tool.vault import Vault

KIND = "moodle"
# Completion is told of one person at a time: in a large course so many are asked about in one read, and others in
# the next. The gradebook is told whole, but that of so many learners would be an answer without end.
LEARNERS_AT_ONCE = 200
WHOLE_UP_TO = 1000
# Beside those whose turn it is, so many whose grades count only when the gradebook was read.
WAITING_AT_ONCE = 100


def can_read_moodle(session: Session, vault: Vault, course: Course) -> bool:
    """Whether a token for the web services of this course's Moodle was entered."""
    return _access(session, vault, course) is not None and course.context_id.isdecimal()


def has_the_word(session: Session, vault: Vault, course: Course, source: Source) -> bool:
    """Whether only the gradebook of this course can say if a grade that this source tells may be seen.

    The posts of Moodle's plugins do not say whether a grade is hidden.
    """
    return source.kind == KIND and can_read_moodle(session, vault, course)


def unread(told: GradeEvent) -> GradeEvent:
    """What an event tells, for as long as the gradebook was not read after it: its grade may be a hidden one."""
    return told if told.grade is None else replace(told, grade=replace(told.grade, released=False))


def read_moodle(tools: Toolbox, course: Course, _marks: Mapping[str, str], now: datetime) -> Reading:
    """Grades and completion of everybody; what Moodle refuses of it is the reading's fault."""
    with tools.database.read() as session:
        access = _access(session, tools.vault, course)
        learners, number = _learners(session, course, tools.settings.pull_minutes, now)
    if access is None:
        return Reading()
    reader = _Reader(Moodle(tools.http, *access), course, now)
    reader.grades(learners, is_whole=number <= WHOLE_UP_TO)
    # After "it cannot be reached" nobody waits for that once more for each person.
    if reader.fault is None or not reader.fault.retryable:
        reader.completion(learners)
    fault = reader.fault
    return Reading(tuple(reader.events), fault=_service_error(fault) if fault is not None else None)


class _Reader:
    """Collects what one Moodle tells of one course, and the first fault on the way."""

    def __init__(self, moodle: Moodle, course: Course, now: datetime) -> None:
        self._moodle, self._course, self._now = moodle, course, now
        self._course_id = int(course.context_id)
        self._titles: dict[int, str] = {}
        self.events: list[GradeEvent] = []
        self.fault: MoodleServiceError | None = None

    def grades(self, learners: list[str], *, is_whole: bool) -> None:
        """The gradebook of the whole course in one answer; of these learners where that would be, or is, too long."""
        try:
            try:
                self._grades_of(None if is_whole else learners)
            except MoodleServiceError as error:
                if not is_whole or error.code != TOO_LONG:
                    raise
                self._grades_of(learners)
        except MoodleServiceError as error:
            self.fault = error

    def _grades_of(self, learners: list[str] | None) -> None:
        # 0 is everybody.
        for user_id in [0] if learners is None else map(int, learners):
            report = self._moodle.grades(self._course_id, user_id)
            self._titles.update(report.titles)
            self.events += [self._of_grade(grade) for grade in report.grades]

    def completion(self, learners: list[str]) -> None:
        """What learners have completed: activities, and the course as far as it has a rule for that."""
        try:
            self.events += self._activities(learners)
            self.events += self._course_of(learners)
        except MoodleServiceError as error:
            if error.code not in NO_COURSE_CRITERIA:
                self.fault = self.fault or error

    def _activities(self, learners: list[str]) -> Iterator[GradeEvent]:
        told = [(sub, one) for sub in learners for one in self._moodle.completions(self._course_id, int(sub))]
        if any(one.cmid not in self._titles for _, one in told):
            try:
                self._titles |= self._moodle.titles(self._course_id)
            except MoodleServiceError as error:
                # They are called by their numbers then.
                self.fault = self.fault or error
        for sub, one in told:
            for reached in COMPLETION.get(one.state, ()):
                yield self._of_completion(sub, one, reached)

    def _course_of(self, learners: list[str]) -> Iterator[GradeEvent]:
        for sub in learners:
            told = self._moodle.course_completion(self._course_id, int(sub))
            if told is not None:
                yield self._of_course(sub, told)

    def _of_grade(self, grade: MoodleGrade) -> GradeEvent:
        # A grade that was taken back is still in the report, without points.
        grading = GradingProgress.NOT_READY if grade.given is None else GradingProgress.FULLY_GRADED
        fact = GradeFact(self._at(grade.at), grade.given, grade.maximum, grading, released=not grade.is_hidden)
        return self._event(str(grade.user_id), _activity(grade), grade=fact)

    def _of_completion(self, sub: str, told: MoodleCompletion, reached: ActivityProgress) -> GradeEvent:
        title = self._titles.get(told.cmid, "")
        # The grade of the same activity is another thing, of the same name.
        ref = ActivityRef(
            f"moodle:cm:{told.cmid}", title and f"{title} (completion)"[:500], told.module[:20] or "activity"
        )
        return self._event(sub, ref, progress=ProgressFact(self._at(told.at), reached))

    def _of_course(self, sub: str, told: CourseCompletion) -> GradeEvent:
        progress = ActivityProgress.COMPLETED if told.is_complete else ActivityProgress.IN_PROGRESS
        fact = ProgressFact(self._at(told.at if told.is_complete else None), progress)
        return self._event(sub, ActivityRef("moodle:course", "Course completion", "course"), progress=fact)

    def _at(self, told: datetime | None) -> datetime:
        # Of what has no date, an event of the last minutes knows better than the read.
        return told or self._now - CLOCK_SKEW

    def _event(
        self, sub: str, ref: ActivityRef, *, grade: GradeFact | None = None, progress: ProgressFact | None = None
    ) -> GradeEvent:
        return GradeEvent(
            course=(Identifier(IdKind.LTI, self._course.context_id),),
            # Moodle's `sub` is its user id (LMS.md §4.4).
            person=(Identifier(IdKind.LTI, sub),),
            activity=ref,
            grade=grade,
            progress=progress,
            deployment_id=self._course.deployment.deployment_id,
        )


def _activity(grade: MoodleGrade) -> ActivityRef:
    if grade.item_type == "course":
        # By the id that events about the total use, too.
        return ActivityRef(f"moodle:item:{grade.item_id}", "Course grade", "course_grade")
    return ActivityRef(f"moodle:item:{grade.item_id}", grade.title, grade.module[:20] or "grade_item")


def _access(session: Session, vault: Vault, course: Course) -> tuple[str, str] | None:
    """The address and the token that an administrator entered for this LMS; the newest when there are several."""
    query = (
        select(Source)
        .join(Deployment, Deployment.platform_id == Source.platform_id)
        .where(Deployment.id == course.deployment_id, Source.kind == KIND, Source.enabled)
        .where(Source.deployment_id.is_(None) | (Source.deployment_id == course.deployment_id))
        .where(Source.sealed_options.is_not(None))
        .order_by(Source.id.desc())
    )
    for source in session.scalars(query):
        options = sources.options_of(vault, source)
        if options.get("site_url") and options.get("ws_token"):
            return options["site_url"], options["ws_token"]
    return None


def _learners(session: Session, course: Course, pull_minutes: int, now: datetime) -> tuple[list[str], int]:
    """The learners whose turn it is, by `sub`: everybody, unless the course is a large one; and how many there are."""
    enrolled = awarding.learner_query(course.id).order_by(None).with_only_columns(Person.sub)
    # Who is no number is no user of Moodle's.
    subs = sorted(sub for sub in session.scalars(enrolled) if sub.isdecimal())
    turns = -(-len(subs) // LEARNERS_AT_ONCE) or 1
    turn = int(now.timestamp() // (60 * (pull_minutes or 60))) % turns
    chosen = subs[turn * LEARNERS_AT_ONCE : (turn + 1) * LEARNERS_AT_ONCE]
    if turns > 1:
        others = set(subs) - set(chosen)
        chosen += [sub for sub in _waiting(session, course) if sub in others][:WAITING_AT_ONCE]
    return chosen, len(subs)


def _waiting(session: Session, course: Course) -> Sequence[str]:
    """Who has a grade of which an event told neither the maximum nor whether it may be seen, the longest waiting
    first."""
    query = (
        select(Person.sub)
        .join(Result, Result.person_id == Person.id)
        .join(Activity, Activity.id == Result.activity_id)
        .where(Activity.course_id == course.id, Activity.external_id.startswith("moodle:item:"))
        .where(~Result.grade_released, Result.score_given.is_not(None), Result.score_maximum.is_(None))
    )
    return session.scalars(query.group_by(Person.sub).order_by(func.min(Result.graded_at))).all()


def _service_error(error: MoodleServiceError) -> LtiServiceError:
    return LtiServiceError(error.advice, retryable=error.retryable, retry_after=error.retry_after)
