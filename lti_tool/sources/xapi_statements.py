"""The xAPI statements that tell grades and completions, those of Moodle's logstore_xapi among them."""

import re
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field

from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.sources.reading import ExternalId, Id, Moment, Number, OptionalId, Part, Title, identifiers, read

# The ends of the verbs' IRIs: vocabularies differ, these words do not.
VERBS = {"completed", "uncompleted", "passed", "failed", "scored", "answered", "submit", "submitted"}
# What logstore_xapi says of itself: which event of Moodle's a statement was made of.
INFO = "http://lrs.learninglocker.net/define/extensions/info"
_MOODLE_COURSE = re.compile(r"/course/view\.php\?id=(\d{1,20})$")
_MOODLE_ACTIVITY = re.compile(r"/mod/([a-z0-9_]{1,20})/view\.php\?id=(\d{1,20})$")


def _ending(iri: str) -> str:
    return iri.rstrip("/").rpartition("/")[2]


def _listed(value: object) -> object:
    return [value] if isinstance(value, dict) else value


class _Account(Part):
    home_page: ExternalId = Field(alias="homePage")
    name: Id


class _Actor(Part):
    kind: str = Field(default="Agent", alias="objectType")
    account: _Account | None = None
    mbox: OptionalId = None


class _Verb(Part):
    id: ExternalId


class _Definition(Part):
    kind: ExternalId | None = Field(default=None, alias="type")
    names: dict[str, Title] | None = Field(default=None, alias="name")


class _Object(Part):
    """An activity; a statement may also be about a person or another statement, then it is not read."""

    id: ExternalId | None = None
    kind: str = Field(default="Activity", alias="objectType")
    definition: _Definition | None = None

    @property
    def type(self) -> str:
        return (self.definition and self.definition.kind) or ""

    @property
    def title(self) -> str:
        names = (self.definition and self.definition.names) or {}
        return next((names[language] for language in ("en", "en-US", *names) if names.get(language)), "")

    @property
    def is_course(self) -> bool:
        return _ending(self.type) == "course" or _MOODLE_COURSE.search(self.id or "") is not None


class _Score(Part):
    scaled: Number | None = None
    raw: Number | None = None
    max: Number | None = None


class _Result(Part):
    score: _Score | None = None
    success: bool | None = None
    completion: bool | None = None


class _Activities(Part):
    parent: Annotated[list[_Object] | None, BeforeValidator(_listed)] = None
    grouping: Annotated[list[_Object] | None, BeforeValidator(_listed)] = None


class _Info(Part):
    event_name: str = ""


class _Extensions(Part):
    info: _Info | None = Field(default=None, alias=INFO)


class _Context(Part):
    activities: _Activities | None = Field(default=None, alias="contextActivities")
    extensions: _Extensions | None = None


class Told(Part):
    """Any statement: of one about something else, only that it came is kept."""

    id: UUID
    verb: _Verb
    timestamp: Moment


class Statement(Told):
    """A statement with one of the verbs that are read."""

    actor: _Actor
    object: _Object
    result: _Result | None = None
    context: _Context | None = None

    def forget_accounts_except(self, home_page: str) -> None:
        """Of another system, an account of the same name would be somebody else."""
        account = self.actor.account
        if home_page and account is not None and account.home_page.rstrip("/") != home_page.rstrip("/"):
            self.actor.account = None

    def grade_event(self) -> GradeEvent | None:
        """What the statement tells, in our words; None when it is not about a person, an activity and a course."""
        person, course, activity = self._person(), self._course(), self._activity()
        grade, progress = self._grade(), self._progress()
        if not person or not course or activity is None or (grade is None and progress is None):
            return None
        return GradeEvent(course, person, activity, grade=grade, progress=progress)

    @property
    def _word(self) -> str:
        return _ending(self.verb.id)

    def _person(self) -> tuple[Identifier, ...]:
        actor = self.actor
        if actor.kind != "Agent":
            return ()
        name = actor.account.name if actor.account else None
        address = actor.mbox.removeprefix("mailto:") if actor.mbox else None
        return identifiers((IdKind.LTI, name), (IdKind.EMAIL, address))

    def _course(self) -> tuple[Identifier, ...]:
        around = (self.context and self.context.activities) or _Activities()
        others = [*(around.parent or []), *(around.grouping or [])]
        courses = [place for place in (self.object, *others) if place.is_course]
        # Without a type, one single place around an activity can only be its course.
        found = courses or (others if len(others) == 1 else [])
        if not found or found[0].id is None:
            return ()
        iri = found[0].id
        if in_moodle := _MOODLE_COURSE.search(iri):
            return identifiers((IdKind.LTI, in_moodle[1]))
        return identifiers(*((IdKind.LTI, value) for value in (iri, _ending(iri)) if len(value) <= 255))

    def _activity(self) -> ActivityRef | None:
        told = self.object
        if told.id is None or told.kind != "Activity":
            return None
        # The same names as in what Moodle's plugins post.
        if _MOODLE_COURSE.search(told.id):
            return ActivityRef("moodle:course", told.title, "course")
        if found := _MOODLE_ACTIVITY.search(told.id):
            return ActivityRef(f"moodle:cm:{found[2]}", told.title, "assignment" if found[1] == "assign" else found[1])
        kind = "course" if told.is_course else "quiz" if _ending(told.type) == "assessment" else "activity"
        return ActivityRef(told.id, told.title, kind)

    def _grade(self) -> GradeFact | None:
        score = self.result and self.result.score
        is_question = self._word == "answered" and _ending(self.object.type).startswith("cmi.interaction")
        if not score or is_question:
            return None
        if score.raw is not None and score.max is not None and score.max > 0:
            return GradeFact(self.timestamp, score.raw, score.max)
        if score.scaled is not None:
            return GradeFact(self.timestamp, score.scaled, 1.0)
        return GradeFact(self.timestamp, score.raw, None) if score.raw is not None else None

    def _progress(self) -> ProgressFact | None:
        result = self.result or _Result()
        reached = None
        match self._word:
            case "completed" if self._is_attempt() or result.success is False:
                # To hand in an attempt, or to end without passing, is not to complete the activity.
                reached = ActivityProgress.SUBMITTED
            case "passed" if result.completion is False:
                # This attempt is still open; of a former one that says nothing.
                reached = ActivityProgress.STARTED
            case "completed" | "passed":
                is_open = result.completion is False
                reached = ActivityProgress.IN_PROGRESS if is_open else ActivityProgress.COMPLETED
            case "submit" | "submitted":
                reached = ActivityProgress.SUBMITTED
            case "uncompleted":
                reached = ActivityProgress.IN_PROGRESS
        return ProgressFact(self.timestamp, reached) if reached else None

    def _is_attempt(self) -> bool:
        info = self.context and self.context.extensions and self.context.extensions.info
        return bool(info and info.event_name.endswith("attempt_submitted"))


def read_statement(found: object) -> Told:
    """A statement, checked as far as it is read; raises MalformedError naming the first wrong field."""
    told = read(Told, found)
    return read(Statement, found) if _ending(told.verb.id) in VERBS else told
