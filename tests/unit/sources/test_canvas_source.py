"""Canvas Live Events: the facts of every documented event, whose ids they bear, and what is kept of them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

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
from lti_tool.sources import KINDS
from lti_tool.sources.kind import MalformedError, SignatureError
from tests.unit.sources.sources_testing import SECRET, access, canvas_example, delivery, told

KIND = KINDS["canvas"]
COURSE = (Identifier(IdKind.CANVAS, "21070000000000565"), Identifier(IdKind.SIS, "2017.100.101.101-1"))
COURSE_GRADE = ActivityRef("canvas:course-grade", "", "course_grade")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def changed(name: str, metadata: Mapping[str, Any] | None = None, **body: Any) -> dict[str, Any]:
    """A documented event with other members; a member of `...` is left out."""
    event = canvas_example(name)
    found = {
        "metadata": event["metadata"] | (metadata or {}),
        "body": event["body"] | body,
    }
    return {part: {k: v for k, v in members.items() if v is not ...} for part, members in found.items()}


def read(event: object) -> list[GradeEvent]:
    return told(KIND, delivery(event, key=SECRET))


EXPECTED = {
    "grade_change": GradeEvent(
        COURSE,
        (Identifier(IdKind.CANVAS, "21070000000000048"), Identifier(IdKind.SIS, "ABC.123")),
        ActivityRef("canvas:assignment:21070000000000355", "", "assignment"),
        grade=GradeFact(at("2019-11-01T19:11:05.222"), 5, 1),
    ),
    "submission_updated": GradeEvent(
        COURSE,
        (Identifier(IdKind.CANVAS, "21070000000000047"),),
        ActivityRef("canvas:assignment:21070000000000396", "", "assignment"),
        progress=ProgressFact(at("2019-11-01T19:11:11.325"), ActivityProgress.SUBMITTED),
    ),
    "course_completed": GradeEvent(
        (COURSE[0], Identifier(IdKind.CANVAS_LOCAL, "565"), COURSE[1]),
        (Identifier(IdKind.CANVAS_LOCAL, "123"), Identifier(IdKind.EMAIL, "inewton@example.com")),
        ActivityRef("canvas:course", "Computer Science I", "course"),
        # It says that the course was completed four days later; nobody completes anything in the future.
        progress=ProgressFact(at("2019-11-01T19:11:26.615"), ActivityProgress.COMPLETED),
    ),
    "course_progress": GradeEvent(
        (Identifier(IdKind.CANVAS_LOCAL, "1234567"), Identifier(IdKind.SIS, "2017.102.102.102-2")),
        (Identifier(IdKind.CANVAS_LOCAL, "1122"), Identifier(IdKind.EMAIL, "user@domain.tld")),
        ActivityRef("canvas:course", "Diff Equations", "course"),
        progress=ProgressFact(at("2019-11-01T19:11:13.590"), ActivityProgress.IN_PROGRESS),
    ),
    "course_grade_change": GradeEvent(
        (
            Identifier(IdKind.CANVAS, "21070000000000002"),
            Identifier(IdKind.CANVAS_LOCAL, "2"),
            Identifier(IdKind.SIS, "2017.100.101.101-1"),
        ),
        (Identifier(IdKind.CANVAS_LOCAL, "2"),),
        COURSE_GRADE,
        grade=GradeFact(at("2019-12-11T16:26:34.552"), 12.5, 100),
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_documented_event_is_read(name: str) -> None:
    assert read(canvas_example(name)) == [EXPECTED[name]]


def grade_of(event: object) -> GradeFact:
    (found,) = read(event)
    assert found.grade is not None
    assert found.progress is None
    return found.grade


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"muted": True}, (5, 1, GradingProgress.FULLY_GRADED, False)),
        ({"grading_complete": False}, (5, 1, GradingProgress.PENDING, True)),
        ({"score": None}, (None, 1, GradingProgress.NOT_READY, True)),
        ({"points_possible": None}, (5, None, GradingProgress.FULLY_GRADED, True)),
        ({"points_possible": 0}, (5, None, GradingProgress.FULLY_GRADED, True)),
        ({"score": "4.5", "points_possible": "6"}, (4.5, 6, GradingProgress.FULLY_GRADED, True)),
    ],
)
def test_a_grade_says_whether_it_is_final_and_may_be_seen(members: dict[str, Any], expected: tuple[Any, ...]) -> None:
    grade = grade_of(changed("grade_change", **members))
    assert (grade.given, grade.maximum, grade.grading, grade.released) == expected


def test_an_assignment_has_its_name_where_it_is_told() -> None:
    (event,) = read(changed("grade_change", assignment_name="Essay"))
    assert event.activity.title == "Essay"


def test_ids_are_texts_whatever_they_come_as() -> None:
    event = changed("grade_change", {"context_id": 21070000000000565}, student_id=21070000000000048, assignment_id=7)
    (found,) = read(event)
    assert found.course[0] == Identifier(IdKind.CANVAS, "21070000000000565")
    assert found.person[0] == Identifier(IdKind.CANVAS, "21070000000000048")
    assert found.activity.external_id == "canvas:assignment:7"


@pytest.mark.parametrize(
    "members",
    [{"submitted_at": None}, {"submitted_at": ...}, {"workflow_state": "unsubmitted"}, {"workflow_state": "deleted"}],
)
def test_a_submission_that_is_none_tells_nothing(members: dict[str, Any]) -> None:
    assert read(changed("submission_updated", **members)) == []


def test_a_submission_names_the_old_lti_id_too() -> None:
    (event,) = read(changed("submission_updated", {"event_name": "submission_created"}, lti_user_id="abc123"))
    assert event.person == (Identifier(IdKind.CANVAS, "21070000000000047"), Identifier(IdKind.LTI11, "abc123"))


def test_a_completion_counts_from_the_day_it_happened() -> None:
    progress = {"completed_at": "2019-10-31T08:00:00Z", "requirement_count": 6}
    (event,) = read(changed("course_completed", progress=progress))
    assert event.progress == ProgressFact(at("2019-10-31T08:00:00"), ActivityProgress.COMPLETED)


@pytest.mark.parametrize(
    ("members", "given", "released"),
    [
        ({"final_score": 81.5, "unposted_final_score": 90}, 81.5, True),
        ({"final_score": None, "unposted_final_score": 90}, 90, False),
        ({"final_score": None, "unposted_final_score": None}, None, True),
    ],
)
def test_a_course_grade_that_is_not_posted_is_not_released(
    members: dict[str, Any], given: float | None, released: bool
) -> None:
    grade = grade_of(changed("course_grade_change", **members))
    assert (grade.given, grade.maximum, grade.released) == (given, 100, released)


def test_the_score_of_somebody_who_was_removed_tells_nothing() -> None:
    assert read(changed("course_grade_change", workflow_state="deleted")) == []


def override(**body: Any) -> dict[str, Any]:
    # As documented: ids local, and the name that of another event.
    metadata = canvas_example("grade_change")["metadata"]
    told = {"score_id": "43", "user_id": "45", "course_id": "46", "grading_period_id": "47", "override_score": 90}
    return {"metadata": metadata, "body": told | body}


@pytest.mark.parametrize("given", [90, None])
@pytest.mark.parametrize("name", ["grade_change", "grade_override"])
def test_an_override_is_the_course_grade_under_both_its_names(name: str, given: float | None) -> None:
    event = override(override_score=given)
    event["metadata"]["event_name"] = name
    (found,) = read(event)
    assert found.activity == COURSE_GRADE
    assert found.person == (Identifier(IdKind.CANVAS_LOCAL, "45"),)
    assert found.course[:2] == (COURSE[0], Identifier(IdKind.CANVAS_LOCAL, "46"))
    assert found.grade is not None
    assert (found.grade.given, found.grade.maximum) == (given, 100)
    assert (found.grade.grading is GradingProgress.FULLY_GRADED) == (given is not None)


def quiz(role: str, **metadata: Any) -> dict[str, Any]:
    # Documented: the body names the quiz and the submission, the metadata who handed it in.
    told = canvas_example("submission_updated")["metadata"] | {
        "event_name": "quiz_submitted",
        "context_role": role,
        "user_id": "21070000000987123",
        "user_sis_id": "1243245",
    }
    body = {"quiz_id": "11210000002223333", "submission_id": "11210000013995723"}
    return {"metadata": told | metadata, "body": body}


def test_a_quiz_is_handed_in_by_who_caused_the_event() -> None:
    expected = GradeEvent(
        COURSE,
        (Identifier(IdKind.CANVAS, "21070000000987123"), Identifier(IdKind.SIS, "1243245")),
        ActivityRef("canvas:quiz:11210000002223333", "", "quiz"),
        progress=ProgressFact(at("2019-11-01T19:11:11.325"), ActivityProgress.SUBMITTED),
    )
    assert read(quiz("StudentEnrollment")) == [expected]


@pytest.mark.parametrize(
    "event", [quiz("TeacherEnrollment"), quiz("StudentViewEnrollment"), quiz("StudentEnrollment", user_id=None)]
)
def test_a_quiz_handed_in_by_a_teacher_or_by_canvas_itself_tells_nothing(event: dict[str, Any]) -> None:
    assert read(event) == []


@pytest.mark.parametrize(
    "name", ["assignment_updated", "submission_deleted", "attachment_deleted", "logged_in", "module_item_updated"]
)
def test_an_event_about_something_else_tells_nothing_and_nothing_is_kept_of_it(name: str) -> None:
    sent = delivery(changed("grade_change", {"event_name": name}), key=SECRET)
    payload = KIND.verify(sent, access())
    assert KIND.parse(payload) == []
    assert "body" not in json.loads(payload)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_personal_and_not_needed_is_not_kept(name: str) -> None:
    example = canvas_example(name)
    payload = KIND.verify(delivery(example, key=SECRET), access())
    metadata = example["metadata"]
    told = {metadata[member] for member in ("client_ip", "session_id", "hostname") if member in metadata}
    for text in told | {"user_login", "Isaac Newton", "Gottfried Leibniz", "21070000000000987", "quiz: 78"}:
        assert text not in payload.decode()


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ([], "body"),
        ({"metadata": {}}, "metadata.event_name"),
        ({"metadata": {"event_name": "grade_change"}}, "metadata.event_time"),
        (changed("grade_change", {"event_time": "yesterday"}), "metadata.event_time"),
        (changed("grade_change", {"event_time": "2019-11-01T19:11:05"}), "metadata.event_time"),
        (changed("grade_change", {"event_time": "0001-01-01T00:00:00+23:00"}), "metadata.event_time"),
        (changed("grade_change", score="five"), "body.score"),
        (changed("grade_change", score=True), "body.score"),
        (changed("grade_change", score=float("nan")), "body.score"),
        (changed("grade_change", score=float("inf")), "body.score"),
        (changed("grade_change", score=10**400), "body.score"),
        (changed("grade_change", assignment_id=10**400), "body.assignment_id"),
        (changed("grade_change", score=[]), "body.score"),
        (changed("grade_change", assignment_id=...), "body.assignment_id"),
        (changed("grade_change", assignment_id={}), "body.assignment_id"),
        (changed("grade_change", assignment_id="x" * 256), "body.assignment_id"),
        (changed("grade_change", student_id=None, user_id=None, student_sis_id=""), "body.student_id"),
        (changed("grade_change", {"context_type": "Account", "context_sis_source_id": None}), "metadata.context_id"),
        (changed("course_completed", user=None), "body.user"),
    ],
)
def test_a_wrong_field_is_refused_and_named(event: object, field: str) -> None:
    with pytest.raises(MalformedError) as refused:
        read(event)
    assert refused.value.advice.startswith(f"{field}: ")


@pytest.mark.parametrize("body", [b"", b"{", b'"text"', b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1e999}'])
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(body)


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "\\udfff x"])
def test_characters_that_a_database_cannot_keep_are_refused(text: str) -> None:
    body = json.dumps(changed("grade_change", assignment_name="HERE")).replace("HERE", text)
    with pytest.raises(MalformedError, match="NUL"):
        read(body.encode())


def test_the_secret_in_the_address_is_asked_for() -> None:
    event = canvas_example("grade_change")
    for key in ("", "another", "\ud800"):
        with pytest.raises(SignatureError):
            KIND.verify(delivery(event, key=key), access())
    with pytest.raises(SignatureError):
        KIND.verify(delivery(event), access())
    assert KIND.verify(delivery(event, key="former"), access([SECRET, "former"]))


def test_an_event_of_another_root_account_is_refused_where_one_is_entered() -> None:
    event = canvas_example("grade_change")
    own = event["metadata"]["root_account_uuid"]
    assert told(KIND, delivery(event, key=SECRET), {"root_account_uuid": own})
    with pytest.raises(SignatureError):
        told(KIND, delivery(event, key=SECRET), {"root_account_uuid": "another"})


def test_the_same_event_is_the_same_delivery_and_another_one_is_not() -> None:
    def name(event: object) -> str:
        sent = delivery(event, key=SECRET)
        return KIND.delivery_id(sent, KIND.verify(sent, access()))

    assert name(changed("grade_change")) == name(changed("grade_change", {"client_ip": "1.2.3.4"}))
    assert name(changed("grade_change")) != name(changed("grade_change", score=4))
