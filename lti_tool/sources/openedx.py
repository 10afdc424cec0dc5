"""Open edX signals as the plugin openedx-webhooks posts them: passing status, course grade, certificates.

A post is not signed and cannot carry a header: the secret stands in the address. The plugin writes the members in
their objects, or joined to one name each (“user_pii_email”); here they are read in the second form.
"""

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BeforeValidator, Field

from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.sources.kind import Access, Delivery, MalformedError, SourceKind, new_token, require_secret
from lti_tool.sources.reading import Id, Number, OptionalId, Part, Title, identifiers, kept, load, read

DEEPEST = 8
# A certificate counts while a learner can have it (edx-platform, CertificateStatuses).
HELD = {"downloadable", "generating"}


def _told_nothing(value: object) -> object:
    return None if value in ("", "None") else value


def _utc(value: datetime) -> datetime:
    # The plugin leaves the zone out; Open edX means UTC.
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None


Optional = Annotated[OptionalId, BeforeValidator(_told_nothing)]


class _Metadata(Part):
    id: Id
    event_type: Id
    time: Annotated[datetime, AfterValidator(_utc)]


class _Data(Part):
    """What every signal about a learner in a course says; the name is not kept."""

    user_id: Id
    username: Optional = Field(default=None, alias="user_pii_username")
    email: Optional = Field(default=None, alias="user_pii_email")
    course_key: Id = Field(alias="course_course_key")
    course_title: Title = Field(default="", alias="course_display_name")

    def facts(self, told: _Metadata) -> tuple[ActivityRef, GradeFact | None, ProgressFact | None]:
        raise NotImplementedError

    def grade_event(self, told: _Metadata) -> GradeEvent:
        activity, grade, progress = self.facts(told)
        course = identifiers((IdKind.LTI, self.course_key))
        return GradeEvent(course, self._person(), activity, grade=grade, progress=progress)

    def _person(self) -> tuple[Identifier, ...]:
        # The number is not the `sub` of LTI, which Open edX makes up for outsiders; the user name leads to it.
        return identifiers((IdKind.NUMBER, self.user_id), (IdKind.USERNAME, self.username), (IdKind.EMAIL, self.email))


class _PassingStatus(_Data):
    is_passing: bool

    def facts(self, told: _Metadata) -> tuple[ActivityRef, GradeFact | None, ProgressFact | None]:
        reached = ActivityProgress.COMPLETED if self.is_passing else ActivityProgress.IN_PROGRESS
        return ActivityRef("openedx:course", self.course_title, "course"), None, ProgressFact(told.time, reached)


class _CourseGrade(_Data):
    percent_grade: Number

    def facts(self, told: _Metadata) -> tuple[ActivityRef, GradeFact | None, ProgressFact | None]:
        activity = ActivityRef("openedx:course-grade", self.course_title, "course_grade")
        return activity, GradeFact(told.time, self.percent_grade, 1.0), None


class _Certificate(_Data):
    current_status: Optional = None

    def facts(self, told: _Metadata) -> tuple[ActivityRef, GradeFact | None, ProgressFact | None]:
        is_held = ".revoked." not in told.event_type and self.current_status in HELD | {None}
        reached = ActivityProgress.COMPLETED if is_held else ActivityProgress.IN_PROGRESS
        activity = ActivityRef("openedx:certificate", self.course_title, "certificate")
        return activity, None, ProgressFact(told.time, reached)


# By the class of their data (openedx-events, learning/data.py).
SIGNALS: dict[str, type[_Data]] = {
    "CoursePassingStatusData": _PassingStatus,
    "PersistentCourseGradeData": _CourseGrade,
    "CertificateData": _Certificate,
}
_DATA = re.compile(rf"(?:openedx_events\.learning\.data\.)?({'|'.join(SIGNALS)})_(\w+)")


class _Kept(Part):
    """A post in the form that it is stored in."""

    event_metadata: _Metadata
    passing: _PassingStatus | None = Field(default=None, alias="CoursePassingStatusData")
    grade: _CourseGrade | None = Field(default=None, alias="PersistentCourseGradeData")
    certificate: _Certificate | None = Field(default=None, alias="CertificateData")


def verify(delivery: Delivery, access: Access) -> bytes:
    """Check the secret in the address, and keep what is read of the post; raises SignatureError and MalformedError."""
    require_secret(
        delivery.query.get("key", ""),
        access.secrets,
        "Enter the address with its secret (“?key=…”) as the webhook's URL in Open edX.",
    )
    is_form = delivery.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    # Some releases of the plugin call it a form and send JSON all the same.
    is_json = delivery.body.lstrip().startswith(b"{")
    return kept(_read(_form(delivery.body) if is_form and not is_json else load(delivery.body)))


def parse(payload: bytes) -> list[GradeEvent]:
    """The grade events of a post; raises MalformedError naming the first wrong field."""
    told = _read(load(payload))
    data = told.passing or told.grade or told.certificate
    return [data.grade_event(told.event_metadata)] if data else []


def _form(body: bytes) -> Any:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1000, errors="strict")
    except ValueError:
        raise MalformedError("body: it is not a form in UTF-8") from None
    # By way of JSON, so that the same characters are refused.
    return load(json.dumps(dict(pairs)).encode())


def _read(found: Any) -> _Kept:
    if not isinstance(found, dict):
        raise MalformedError("body: an object is expected")
    gathered: dict[str, dict[str, Any]] = {"event_metadata": {}}
    for name, value in _joined(found, DEEPEST):
        if name.startswith("event_metadata_"):
            gathered["event_metadata"][name.removeprefix("event_metadata_")] = value
        elif match := _DATA.fullmatch(name):
            gathered.setdefault(match[1], {})[match[2]] = value
    return read(_Kept, gathered)


def _joined(found: dict[str, Any], depth: int) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in found.items():
        if isinstance(value, dict) and depth:
            pairs += [(f"{name}_{inner}", each) for inner, each in _joined(value, depth - 1)]
        else:
            pairs.append((name, value))
    return pairs


def _delivery_id(delivery: Delivery, payload: bytes) -> str:
    return _read(load(payload)).event_metadata.id


def _example(secret: str, options: Mapping[str, str], now: datetime) -> Delivery:
    post = {
        "openedx_events.learning.data.CoursePassingStatusData": {
            "is_passing": True,
            "course": {"course_key": "course-v1:test+test+test", "display_name": "Test event"},
            "user": {"id": "test-person", "is_active": True, "pii": {"username": "", "email": "", "name": ""}},
        },
        "event_metadata": {
            "id": str(uuid.uuid4()),
            "event_type": "org.openedx.learning.course.passing.status.updated.v1",
            "time": now.isoformat(),
        },
    }
    return Delivery({"content-type": "application/json"}, {"key": secret}, json.dumps(post).encode())


KIND = SourceKind("Open edX webhooks", new_token, verify, _delivery_id, parse, shown_in="query", example=_example)
