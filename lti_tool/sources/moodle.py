"""Posts of Moodle's webhook plugins: local_webhooks, and a JSON body of the same fields sent by tool_trigger.

A post has no signature and no id: the token in it is the secret, and the same content is the same delivery.
"""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

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
from lti_tool.sources.kind import Access, Delivery, MalformedError, Option, SourceKind, new_token, require_secret
from lti_tool.sources.reading import Id, Number, OptionalId, Part, digest, identifiers, kept, load, read

EVENTS = {
    ("core", "user_graded"),
    ("core", "course_module_completion_updated"),
    ("core", "course_completed"),
    ("mod_assign", "assessable_submitted"),
    ("mod_quiz", "attempt_submitted"),
}
# What each completionstate tells (lib/completionlib.php). 3 is complete, but failed: handed in, and nothing (any
# more) to give a badge for.
COMPLETION = {
    0: (ActivityProgress.IN_PROGRESS,),
    1: (ActivityProgress.COMPLETED,),
    2: (ActivityProgress.COMPLETED,),
    3: (ActivityProgress.IN_PROGRESS, ActivityProgress.SUBMITTED),
}
# The names of options.
ADDRESS, TOKEN = "site_url", "ws_token"
# Who acts when nobody does: Moodle's own calculations, and events without a user.
NOBODY = {None, "0", "-1"}
LAST_SECOND = 253402300799


def _members(value: Any) -> Any:
    """PHP writes an empty array as a list, and the log keeps the whole as a text."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value or {}


class _Other(Part):
    itemid: OptionalId = None
    finalgrade: Annotated[Number | None, BeforeValidator(lambda value: None if value == "" else value)] = None
    completionstate: int | None = None


class _Told(Part):
    """Any post: of one about something else, only that it came is kept."""

    eventname: Id
    host: OptionalId = None
    objectid: OptionalId = None
    timecreated: Annotated[int, Field(ge=0, le=LAST_SECOND)]

    @property
    def name(self) -> tuple[str, str]:
        parts = [part for part in self.eventname.split("\\") if part]
        return parts[0] if parts else "", parts[-1] if parts else ""

    def grade_events(self) -> list[GradeEvent]:
        return []


class _Post(_Told):
    courseid: Id
    userid: OptionalId = None
    relateduserid: OptionalId = None
    contextinstanceid: OptionalId = None
    other: Annotated[_Other, BeforeValidator(_members)] = _Other()

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, found: Any) -> Any:
        # A body that is put together of placeholders has `other_itemid` beside the rest.
        if not isinstance(found, dict) or "other" in found:
            return found
        names = [name for name in found if name.startswith("other_")]
        return found | {"other": {name.removeprefix("other_"): found[name] for name in names}}

    def grade_events(self) -> list[GradeEvent]:
        """What the post tells, in our words."""
        match self.name[1]:
            case "user_graded":
                return [self._event(self._item(), grade=self._grade())]
            case "course_module_completion_updated":
                activity = self._module("activity")
                return [self._event(activity, progress=self._progress(reached)) for reached in self._completion()]
            case "course_completed":
                activity = ActivityRef("moodle:course", "", "course")
                return [self._event(activity, progress=self._progress(ActivityProgress.COMPLETED))]
            case _:
                activity = self._module("quiz" if self.name[0] == "mod_quiz" else "assignment")
                return [self._event(activity, progress=self._progress(ActivityProgress.SUBMITTED))]

    @property
    def _at(self) -> datetime:
        return datetime.fromtimestamp(self.timecreated, UTC)

    def _event(
        self, activity: ActivityRef, grade: GradeFact | None = None, progress: ProgressFact | None = None
    ) -> GradeEvent:
        course = identifiers((IdKind.LTI, self.courseid))
        return GradeEvent(course, self._person(), activity, grade=grade, progress=progress)

    def _person(self) -> tuple[Identifier, ...]:
        # `userid` acted; only who hands something in does so for himself.
        is_own = self.name[0] != "core"
        person = self.relateduserid if self.relateduserid not in NOBODY or not is_own else self.userid
        if person in NOBODY:
            raise MalformedError("relateduserid: it does not name a person")
        return identifiers((IdKind.LTI, person))

    def _item(self) -> ActivityRef:
        if self.other.itemid is None:
            raise MalformedError("other.itemid: Field required")
        # Nobody grades the totals of the course and of its categories: Moodle computes them.
        kind = "grade_total" if self.userid in NOBODY else "grade_item"
        return ActivityRef(f"moodle:item:{self.other.itemid}", "", kind)

    def _grade(self) -> GradeFact:
        given = self.other.finalgrade
        grading = GradingProgress.NOT_READY if given is None else GradingProgress.FULLY_GRADED
        return GradeFact(self._at, given, None, grading)

    def _module(self, kind: str) -> ActivityRef:
        if self.contextinstanceid is None:
            raise MalformedError("contextinstanceid: Field required")
        return ActivityRef(f"moodle:cm:{self.contextinstanceid}", "", kind)

    def _completion(self) -> tuple[ActivityProgress, ...]:
        state = self.other.completionstate
        if state not in COMPLETION:
            raise MalformedError("other.completionstate: 0, 1, 2 or 3 is expected")
        return COMPLETION[state]

    def _progress(self, reached: ActivityProgress) -> ProgressFact:
        return ProgressFact(self._at, reached)


def verify(delivery: Delivery, access: Access) -> bytes:
    """Check the token in the body (or of a header “Authorization: Bearer”), and keep what is read of the post.

    Raises SignatureError and MalformedError.
    """
    found = load(delivery.body)
    token = found.get("token") if isinstance(found, dict) else None
    scheme, _, rest = delivery.headers.get("authorization", "").partition(" ")
    shown = token if isinstance(token, str) else rest.strip() if scheme.lower() == "bearer" else ""
    require_secret(shown, access.secrets, "Enter the secret of this source as the token of the service in Moodle.")
    return kept(_read(found))


def parse(payload: bytes) -> list[GradeEvent]:
    """The grade events of a post; raises MalformedError naming the first wrong field."""
    return _read(load(payload)).grade_events()


def _read(found: object) -> _Told:
    told = read(_Told, found)
    return read(_Post, found) if told.name in EVENTS else told


def _delivery_id(delivery: Delivery, payload: bytes) -> str:
    return digest(payload)


def _example(secret: str, options: Mapping[str, str], now: datetime) -> Delivery:
    post = {
        "eventname": "\\core\\event\\course_completed",
        "objectid": secrets.randbelow(10**9),
        "courseid": "test-course",
        "relateduserid": "test-person",
        "timecreated": int(now.timestamp()),
        "host": "example.org",
        "token": secret,
    }
    return Delivery({"content-type": "application/json"}, {}, json.dumps(post).encode())


KIND = SourceKind(
    "Moodle webhook plugin",
    new_token,
    verify,
    _delivery_id,
    parse,
    (
        Option(
            ADDRESS,
            "Address of the Moodle site",
            "Only to read the gradebook as well, by Moodle's web services, such as https://moodle.school.example. With "
            "it goes the token; leave it empty to read no gradebook.",
            address=True,
            needs=TOKEN,
        ),
        Option(
            TOKEN,
            "Token of the web service",
            "Of an account that may see all grades; docs/lms/moodle.md says what to click. With it, a grade that is "
            "hidden from its learner awards nothing.",
            secret=True,
            needs=ADDRESS,
        ),
    ),
    shown_in="body",
    example=_example,
)
