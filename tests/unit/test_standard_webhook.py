"""Our own webhook: signature, age, and the fields of the body."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from lti_tool.domain.events import ActivityProgress, GradingProgress
from lti_tool.sources import KINDS
from lti_tool.sources.kind import MalformedError, SignatureError

KIND = KINDS["standard"]
SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"b" * 32).decode()


def grade(**changes: Any) -> dict[str, Any]:
    return {
        "deployment_id": "1",
        "course": {"id": "2", "title": "Biology 101"},
        "person": {"id": "4"},
        "activity": {"id": "quiz-1", "title": "Quiz 1", "type": "quiz"},
        "score": {
            "userId": "4",
            "timestamp": "2026-11-23T18:00:00.123Z",
            "scoreGiven": 8,
            "scoreMaximum": 10,
            "activityProgress": "Completed",
            "gradingProgress": "FullyGraded",
        },
        "released": True,
    } | changes


def body(data: object, kind: str = "grade.updated") -> bytes:
    return json.dumps({"type": kind, "timestamp": "2026-11-23T18:00:00Z", "data": data}).encode()


def signed(content: bytes, secret: str = SECRET, age: timedelta = timedelta()) -> dict[str, str]:
    moment = datetime.now(UTC) - age
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", moment, content.decode()),
    }


def test_a_signed_delivery_is_taken() -> None:
    content = body(grade())
    KIND.verify(signed(content), content, [SECRET])


def test_header_names_are_taken_in_any_case() -> None:
    content = body(grade())
    headers = {name.title(): value for name, value in signed(content).items()}
    KIND.verify(headers, content, [SECRET])
    assert KIND.delivery_id(headers, content) == "msg_1"


def test_the_former_secret_is_taken_beside_the_new_one() -> None:
    content = body(grade())
    KIND.verify(signed(content, OTHER), content, [SECRET, OTHER])


GOOD = body(grade())
Forge = Callable[[], tuple[dict[str, str], bytes]]


@pytest.mark.parametrize(
    "forge",
    # Made when the test runs: a signature has a time in it.
    [
        pytest.param(lambda: ({}, GOOD), id="no headers"),
        pytest.param(lambda: (signed(GOOD, OTHER), GOOD), id="other secret"),
        pytest.param(lambda: (signed(GOOD), body(grade(released=False))), id="changed body"),
        pytest.param(lambda: (signed(GOOD, age=timedelta(minutes=6)), GOOD), id="too old"),
        pytest.param(lambda: (signed(GOOD, age=timedelta(minutes=-6)), GOOD), id="too new"),
        pytest.param(lambda: (signed(GOOD) | {"webhook-signature": "nonsense"}, GOOD), id="no version"),
        pytest.param(lambda: (signed(GOOD) | {"webhook-signature": "v1,nonsense="}, GOOD), id="no base64"),
        pytest.param(lambda: (signed(GOOD) | {"webhook-timestamp": "yesterday"}, GOOD), id="no time"),
        pytest.param(lambda: (signed(GOOD), b"\xff\xfe"), id="no text"),
    ],
)
def test_a_delivery_that_is_not_rightly_signed_is_refused(forge: Forge) -> None:
    headers, content = forge()
    with pytest.raises(SignatureError) as refused:
        KIND.verify(headers, content, [SECRET])
    assert refused.value.status == 401


def test_a_grade_is_read() -> None:
    (event,) = KIND.parse(body(grade()))
    assert (event.deployment_id, event.context_id, event.sub) == ("1", "2", "4")
    assert (event.activity.external_id, event.activity.title, event.activity.kind) == (
        "quiz-1",
        "Quiz 1",
        "quiz",
    )
    assert event.score.percent == 80
    assert event.score.occurred_at == datetime(2026, 11, 23, 18, 0, 0, 123000, UTC)
    assert event.score.grading_progress is GradingProgress.FULLY_GRADED
    assert event.score.released


def test_a_completion_without_a_score_is_read() -> None:
    score = {
        "userId": "4",
        "timestamp": "2026-11-23T18:00:00Z",
        "activityProgress": "Completed",
        "gradingProgress": "NotReady",
    }
    (event,) = KIND.parse(body(grade(score=score)))
    assert event.score.percent is None
    assert event.score.activity_progress is ActivityProgress.COMPLETED
    assert event.score.is_completed


def test_a_batch_is_read_in_order() -> None:
    data = [grade(course={"id": name}) for name in ("a", "b", "c")]
    assert [event.context_id for event in KIND.parse(body(data))] == ["a", "b", "c"]


def test_unknown_members_are_ignored() -> None:
    assert KIND.parse(body(grade(weather="fine")))


def _without(path: str) -> dict[str, Any]:
    data = grade()
    *parents, last = path.split(".")
    place = data
    for parent in parents:
        place = place[parent]
    del place[last]
    return data


def _with_score(**changes: Any) -> dict[str, Any]:
    return grade(score=grade()["score"] | changes)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (_without("course"), "course"),
        (_without("course.id"), "course.id"),
        (_without("activity.id"), "activity.id"),
        (_without("activity.title"), "activity.title"),
        (_without("score.userId"), "score.userId"),
        (_without("score.timestamp"), "score.timestamp"),
        (_without("score.activityProgress"), "score.activityProgress"),
        (_without("score.gradingProgress"), "score.gradingProgress"),
        (_without("score.scoreMaximum"), "scoreMaximum"),
        (_with_score(scoreGiven="8"), "score.scoreGiven"),
        (_with_score(scoreGiven=-1), "score.scoreGiven"),
        (_with_score(scoreMaximum=0), "score.scoreMaximum"),
        (_with_score(timestamp="2026-11-23T18:00:00"), "score.timestamp"),
        (_with_score(activityProgress="Sleeping"), "score.activityProgress"),
        (grade(person={"id": "5"}), "two different people"),
        (grade(released="yes"), "released"),
        (grade(course={"id": ""}), "course.id"),
        ([], "data"),
        ([grade(), _without("course")], "1.course"),
        (None, "data"),
        ("text", "data"),
    ],
)
def test_a_body_with_a_wrong_field_is_refused_and_the_field_named(data: object, field: str) -> None:
    with pytest.raises(MalformedError) as refused:
        KIND.parse(body(data))
    assert field in refused.value.advice
    assert refused.value.status == 400


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", body(grade(), kind="grade.deleted")])
def test_what_is_no_delivery_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedError):
        KIND.parse(content)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_score_that_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(MalformedError):
        KIND.parse(body(grade()).replace(b'"scoreGiven": 8', f'"scoreGiven": {number}'.encode()))


def test_new_secrets_differ_and_sign() -> None:
    first, second = KIND.new_secret(), KIND.new_secret()
    assert first != second
    content = body(grade())
    KIND.verify(signed(content, first), content, [first])
