"""Open edX: the three signals, in both forms that the plugin openedx-webhooks sends."""

import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.sources import KINDS
from lti_tool.sources.kind import Delivery, MalformedError, SignatureError
from tests.unit.sources.sources_testing import SECRET, access, delivery, told

KIND = KINDS["openedx"]
KEY = "course-v1:edX+DemoX+Demo_Course"
TYPE = "org.openedx.learning."
AT = datetime(2026, 1, 31, 20, 24, 32, 598387, UTC)
COURSE = (Identifier(IdKind.LTI, KEY),)
PERSON = (
    Identifier(IdKind.NUMBER, "4"),
    Identifier(IdKind.USERNAME, "paula"),
    Identifier(IdKind.EMAIL, "paula@example.org"),
)


def post(name: str, event_type: str, data: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """A post as utils.send of openedx-webhooks makes it, with the data classes of openedx-events."""
    told = {
        "id": "457f0c26-a1a5-11ed-afe6-0242ac140007",
        "event_type": TYPE + event_type,
        "minorversion": 0,
        "source": "openedx/lms/web",
        "sourcehost": "8616aa50f067",
        "time": "2026-01-31 20:24:32.598387",
        "sourcelib": [9, 0, 0],
    }
    return {f"openedx_events.learning.data.{name}": data, "event_metadata": told | metadata}


COURSE_DATA = {"course_key": KEY, "display_name": "Demonstration", "start": None, "end": None}
USER = {"id": 4, "is_active": True, "pii": {"username": "paula", "email": "paula@example.org", "name": "Paula P."}}


def passing(is_passing: object = True, **metadata: Any) -> dict[str, Any]:
    data = {"is_passing": is_passing, "course": COURSE_DATA, "user": USER}
    return post("CoursePassingStatusData", "course.passing.status.updated.v1", data, **metadata)


def grade(percent: object = 0.83) -> dict[str, Any]:
    data = {
        "user_id": 4,
        "course": COURSE_DATA,
        "course_version": "1",
        "percent_grade": percent,
        "letter_grade": "Pass",
        "passed_timestamp": "2026-01-30 10:00:00+00:00",
    }
    return post("PersistentCourseGradeData", "course.persistent_grade_summary.changed.v1", data)


def certificate(event: str = "created", status: object = "downloadable") -> dict[str, Any]:
    data = {"user": USER, "course": COURSE_DATA, "mode": "verified", "grade": "0.9", "current_status": status}
    return post("CertificateData", f"certificate.{event}.v1", data)


def joined(found: dict[str, Any], parent: str = "") -> dict[str, str]:
    """What the plugin makes of a post for “Use WWW form encoding”."""
    pairs: dict[str, str] = {}
    for name, value in found.items():
        whole = f"{parent}_{name}" if parent else name
        pairs |= joined(value, whole) if isinstance(value, dict) else {whole: str(value)}
    return pairs


def sent(body: object, content_type: str = "application/json") -> Delivery:
    return delivery(body, {"content-type": content_type}, key=SECRET)


def only(body: object) -> GradeEvent:
    (found,) = told(KIND, sent(body))
    return found


@pytest.mark.parametrize(
    ("is_passing", "progress"), [(True, ActivityProgress.COMPLETED), (False, ActivityProgress.IN_PROGRESS)]
)
def test_who_passes_a_course_has_completed_it(is_passing: bool, progress: ActivityProgress) -> None:
    activity = ActivityRef("openedx:course", "Demonstration", "course")
    expected = GradeEvent(COURSE, PERSON, activity, progress=ProgressFact(AT, progress))
    assert only(passing(is_passing)) == expected


def test_a_course_grade_is_read() -> None:
    activity = ActivityRef("openedx:course-grade", "Demonstration", "course_grade")
    assert only(grade()) == GradeEvent(COURSE, PERSON[:1], activity, grade=GradeFact(AT, 0.83, 1))


@pytest.mark.parametrize(
    ("event", "status", "progress"),
    [
        ("created", "downloadable", ActivityProgress.COMPLETED),
        ("created", None, ActivityProgress.COMPLETED),
        ("created", "notpassing", ActivityProgress.IN_PROGRESS),
        ("changed", "downloadable", ActivityProgress.COMPLETED),
        ("changed", "unavailable", ActivityProgress.IN_PROGRESS),
        ("revoked", "downloadable", ActivityProgress.IN_PROGRESS),
    ],
)
def test_a_certificate_counts_while_it_is_held(event: str, status: str | None, progress: ActivityProgress) -> None:
    activity = ActivityRef("openedx:certificate", "Demonstration", "certificate")
    expected = GradeEvent(COURSE, PERSON, activity, progress=ProgressFact(AT, progress))
    assert only(certificate(event, status)) == expected


@pytest.mark.parametrize("body", [passing(), passing(False), grade(), certificate(), certificate("created", None)])
def test_both_forms_say_the_same(body: dict[str, Any]) -> None:
    form = "application/x-www-form-urlencoded"
    expected = told(KIND, sent(body))
    assert expected
    assert told(KIND, sent(joined(body))) == expected
    assert told(KIND, sent(urlencode(joined(body)).encode(), form)) == expected
    # Some releases name the form in the header and send JSON.
    assert told(KIND, sent(joined(body), form)) == expected


def test_a_time_without_a_zone_is_in_utc_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert only(passing()).occurred_at == AT
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["2026-01-31T20:24:32.598387+00:00", "2026-01-31 22:24:32.598387+02:00"])
def test_a_time_with_a_zone_is_taken_too(text: str) -> None:
    assert only(passing(time=text)).occurred_at == AT


@pytest.mark.parametrize(
    "body",
    [
        post("CcxCoursePassingStatusData", "ccx.course.passing.status.updated.v1", {"is_passing": True, "user": USER}),
        post("UserData", "auth.session.login.completed.v1", USER),
        post("CourseEnrollmentData", "course.enrollment.created.v1", {"user": USER, "course": COURSE_DATA}),
    ],
)
def test_other_signals_tell_nothing_and_are_not_kept(body: dict[str, Any]) -> None:
    payload = KIND.verify(sent(body), access())
    assert KIND.parse(payload) == []
    assert list(json.loads(payload)) == ["event_metadata"]


def test_the_name_of_a_person_is_not_kept() -> None:
    assert b"Paula P." not in KIND.verify(sent(passing()), access())


def test_the_id_of_the_event_names_the_delivery() -> None:
    payload = KIND.verify(sent(passing()), access())
    assert KIND.delivery_id(sent(passing()), payload) == "457f0c26-a1a5-11ed-afe6-0242ac140007"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "event_metadata.id"),
        (passing(id=None), "event_metadata.id"),
        (passing(time="soon"), "event_metadata.time"),
        (passing("perhaps"), "CoursePassingStatusData.is_passing"),
        (grade("much"), "PersistentCourseGradeData.percent_grade"),
        (grade(None), "PersistentCourseGradeData.percent_grade"),
        (post("CertificateData", "certificate.created.v1", {"user": USER}), "CertificateData.course_course_key"),
    ],
)
def test_a_wrong_field_is_refused_and_named(body: object, field: str) -> None:
    with pytest.raises(MalformedError) as refused:
        told(KIND, sent(body))
    assert refused.value.advice.startswith(f"{field}: ")


@pytest.mark.parametrize("body", [b"a=%ff", b"a=%00", b"a=%ed%a0%80", b"\xff=1", b"&".join([b"a=1"] * 1001)])
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        KIND.verify(sent(body, "application/x-www-form-urlencoded"), access())


@pytest.mark.parametrize("key", ["", "wrong"])
def test_the_secret_in_the_address_is_asked_for(key: str) -> None:
    with pytest.raises(SignatureError):
        KIND.verify(delivery(passing(), key=key), access())
