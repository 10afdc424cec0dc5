"""The Caliper 1.1 and 1.2 events that tell grades and progress (1EdTech Caliper Analytics, information model).

Whose ids: a Canvas URN is a global Canvas id; `otherIdentifiers` say themselves what they are; the parameters of the
LTI message in `federatedSession` name the course, and the actor who launched. Of another IRI the last segment may be
the LTI id, as Blackboard's is: it finds somebody who is known, and nobody is made of it. A number is not taken for one:
every system counts its people from 1.

An event without a person, an activity and a course (Caliper asks for none of them) is none of ours, and is left out.
"""

from typing import Annotated
from urllib.parse import urlsplit

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
from lti_tool.sources.reading import ExternalId, Moment, Number, OptionalId, Part, Title, identifiers, read

CANVAS = "urn:instructure:canvas:"
LTI_CONTEXT = "https://purl.imsglobal.org/spec/lti/claim/context"
ID_KINDS = {
    "LtiUserId": IdKind.LTI,
    "LtiContextId": IdKind.LTI,
    "SisSourcedId": IdKind.SIS,
    "LisSourcedId": IdKind.SIS,
    "AccountUserName": IdKind.USERNAME,
    "UserName": IdKind.USERNAME,
    "EmailAddress": IdKind.EMAIL,
}
GRADED = ("GradeEvent", "Graded")
# Who pauses or goes on is at it: what they completed before stays completed.
PROGRESS = {
    ("AssessmentEvent", "Started"): ActivityProgress.STARTED,
    ("AssessmentEvent", "Restarted"): ActivityProgress.STARTED,
    ("AssessmentEvent", "Paused"): ActivityProgress.STARTED,
    ("AssessmentEvent", "Resumed"): ActivityProgress.STARTED,
    ("AssessmentEvent", "Submitted"): ActivityProgress.SUBMITTED,
    ("AssignableEvent", "Started"): ActivityProgress.STARTED,
    ("AssignableEvent", "Submitted"): ActivityProgress.SUBMITTED,
    ("AssignableEvent", "Completed"): ActivityProgress.COMPLETED,
}
ACTIVITY_KINDS = {"Assessment": "quiz", "AssignableDigitalResource": "assignment"}


def _term(value: object) -> object:
    # Written in full, it is the end of an IRI: http://purl.imsglobal.org/vocab/caliper/v1/action#Graded.
    return value.rpartition("#")[2].rpartition("/")[2] if isinstance(value, str) else value


def _object(value: object) -> object:
    return {"id": value} if isinstance(value, str) else value


Term = Annotated[str, BeforeValidator(_term), Field(max_length=255)]
# An entity is given whole, or by its IRI alone (Caliper 1.2 §2.2).
OrIri = BeforeValidator(_object)


class _CanvasExtension(Part):
    sis_id: OptionalId = None
    user_sis_id: OptionalId = None


class _Extensions(Part):
    canvas: _CanvasExtension | None = Field(default=None, alias="com.instructure.canvas")
    blackboard_id: OptionalId = Field(default=None, alias="bb:user.externalId")


class _OtherIdentifier(Part):
    identifier: OptionalId = None
    kind: Term = Field(default="", alias="identifierType")


class _Agent(Part):
    """A person or a group, without a name."""

    id: ExternalId
    extensions: _Extensions | None = None
    others: list[_OtherIdentifier] | None = Field(default=None, alias="otherIdentifiers")
    course_number: OptionalId = Field(default=None, alias="courseNumber")


class _Assignable(Part):
    id: ExternalId
    kind: Term = Field(default="", alias="type")
    name: Title = ""


class _Attempt(Part):
    assignee: Annotated[_Agent | None, OrIri] = None
    assignable: Annotated[_Assignable | None, OrIri] = None


class _Object(_Assignable, _Attempt):
    """An assignable, or an attempt at one."""


class _Generated(Part):
    given: Number | None = Field(default=None, alias="scoreGiven")
    maximum: Number | None = Field(default=None, alias="maxScore")
    attempt: Annotated[_Attempt | None, OrIri] = None


class _Context(Part):
    id: OptionalId = None


class _Message(Part):
    """The parameters of the LTI launch, of 1.3 or of 1.1."""

    sub: OptionalId = None
    user_id: OptionalId = None
    context: _Context | None = Field(default=None, alias=LTI_CONTEXT)
    context_id: OptionalId = None


class _LtiSession(Part):
    message: _Message | None = Field(default=None, alias="messageParameters")


class _Membership(Part):
    organization: Annotated[_Agent | None, OrIri] = None


class Told(Part):
    """Any event, or an entity that an envelope describes: only that it came is kept."""

    id: OptionalId = None
    kind: Term = Field(default="", alias="type")
    action: Term = ""


class Event(Told):
    """An event about a grade or about progress."""

    at: Moment = Field(alias="eventTime")
    actor: Annotated[_Agent, OrIri]
    object: Annotated[_Object, OrIri]
    generated: Annotated[_Generated | None, OrIri] = None
    group: Annotated[_Agent | None, OrIri] = None
    membership: Annotated[_Membership | None, OrIri] = None
    session: Annotated[_LtiSession | None, OrIri] = Field(default=None, alias="federatedSession")

    def grade_event(self) -> GradeEvent | None:
        """What the event tells, in our words; None for a grade without a score, and where whose it is is not told."""
        return self._graded() if (self.kind, self.action) == GRADED else self._reached()

    def _graded(self) -> GradeEvent | None:
        score = self.generated
        if score is None or score.given is None:
            return None
        attempt = self.object if self.object.assignee else score.attempt or _Attempt()
        person = _ids(attempt.assignee) if attempt.assignee else ()
        maximum = score.maximum if score.maximum and score.maximum > 0 else None
        return self._told(person, attempt.assignable, grade=GradeFact(self.at, score.given, maximum))

    def _reached(self) -> GradeEvent | None:
        attempt = self.object
        learner = attempt.assignee or self.actor
        # The launch was the actor's, who may have acted for somebody else.
        own = self._message if learner.id == self.actor.id else _Message()
        person = _unique(identifiers((IdKind.LTI, own.sub or own.user_id)) + _ids(learner))
        assignable = attempt.assignable or (None if attempt.kind == "Attempt" else attempt)
        return self._told(person, assignable, progress=ProgressFact(self.at, PROGRESS[self.kind, self.action]))

    def _told(
        self,
        person: tuple[Identifier, ...],
        assignable: _Assignable | None,
        *,
        grade: GradeFact | None = None,
        progress: ProgressFact | None = None,
    ) -> GradeEvent | None:
        course = self._course()
        if not course or not person or assignable is None:
            return None
        return GradeEvent(course, person, _activity(assignable), grade=grade, progress=progress)

    @property
    def _message(self) -> _Message:
        return (self.session and self.session.message) or _Message()

    def _course(self) -> tuple[Identifier, ...]:
        launch = self._message
        group = self.group or (self.membership and self.membership.organization)
        named = launch.context.id if launch.context else launch.context_id
        return _unique(identifiers((IdKind.LTI, named)) + (_ids(group) if group else ()))


def read_event(found: object) -> Told:
    """An event, checked as far as it is read; raises MalformedError naming the first wrong field."""
    told = read(Told, found)
    is_read = (told.kind, told.action) == GRADED or (told.kind, told.action) in PROGRESS
    return read(Event, found) if is_read else told


def _ids(agent: _Agent) -> tuple[Identifier, ...]:
    more = agent.extensions or _Extensions()
    canvas = more.canvas or _CanvasExtension()
    others = [(ID_KINDS[other.kind], other.identifier) for other in agent.others or [] if other.kind in ID_KINDS]
    sis = (IdKind.SIS, canvas.sis_id or canvas.user_sis_id or more.blackboard_id or agent.course_number)
    # The more certain first, e-mail addresses last.
    return identifiers(*sorted([*others, _own(agent.id), sis], key=lambda pair: list(IdKind).index(pair[0])))


def _own(iri: str) -> tuple[IdKind, str | None]:
    if iri.startswith(CANVAS):
        return IdKind.CANVAS, iri.rpartition(":")[2][:255]
    if iri.startswith("mailto:"):
        return IdKind.EMAIL, iri.removeprefix("mailto:")[:255]
    try:
        parts = urlsplit(iri)
    except ValueError:
        return IdKind.GUESS, None
    last = parts.path.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    # Before a query stands the name of a program.
    is_id = not parts.query and not last.isdecimal() and len(last) <= 255
    return IdKind.GUESS, last if is_id else None


def _activity(assignable: _Assignable) -> ActivityRef:
    # As in Canvas Live Events, so that both name the same activity.
    external_id = assignable.id.removeprefix("urn:instructure:") if assignable.id.startswith(CANVAS) else assignable.id
    return ActivityRef(external_id, assignable.name, ACTIVITY_KINDS.get(assignable.kind, "activity"))


def _unique(found: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
    return tuple(dict.fromkeys(found))
