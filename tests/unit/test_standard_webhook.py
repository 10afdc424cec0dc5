"""Our own webhook: signature, age, and the fields of the body."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

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
from lti_tool.sources.kind import Delivery, MalformedError, SignatureError
from tests.unit.sources.sources_testing import access

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


def signed(
    content: bytes, secret: str = SECRET, age: timedelta = timedelta(), sent: bytes | None = None, **headers: str
) -> Delivery:
    """A delivery signed at this age; `sent` is what is sent in the place of what was signed."""
    moment = datetime.now(UTC) - age
    made = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", moment, content.decode()),
    }
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return Delivery(made | changed, {}, content if sent is None else sent)


def test_what_is_read_of_a_signed_delivery_is_kept_and_nothing_else() -> None:
    sent = grade(grader={"name": "Terry Teacher", "email": "terry@example.org"})
    sent["person"] |= {"name": "Lea Learner"}
    sent["score"] |= {"comment": "Well done, says Terry", "scoringUserId": "terry"}
    payload = KIND.verify(signed(body(sent)), access([SECRET]))
    assert KIND.parse(payload) == KIND.parse(body(grade()))
    assert not any(word in payload for word in (b"Terry", b"terry", b"Lea", b"Well done", b"Biology"))
    # Kept and read again, it stays as it is.
    assert KIND.verify(signed(payload), access([SECRET])) == payload


def test_a_signed_delivery_that_a_database_cannot_keep_is_refused() -> None:
    with pytest.raises(MalformedError):
        KIND.verify(signed(b"\0"), access([SECRET]))


def test_the_header_names_the_delivery() -> None:
    sent = signed(body(grade()))
    assert KIND.delivery_id(sent, sent.body) == "msg_1"


@pytest.mark.parametrize("name", ["", "x" * 256, "msg\0", "msg\ud800", "msg\n"])
def test_a_delivery_without_a_fit_name_is_refused(name: str) -> None:
    sent = signed(body(grade()), webhook_id=name)
    with pytest.raises(MalformedError, match="webhook-id"):
        KIND.delivery_id(sent, sent.body)


def test_the_former_secret_is_taken_beside_the_new_one() -> None:
    assert KIND.verify(signed(body(grade()), OTHER), access([SECRET, OTHER]))


GOOD = body(grade())


@pytest.mark.parametrize(
    "forge",
    # Made when the test runs: a signature has a time in it.
    [
        pytest.param(lambda: Delivery({}, {}, GOOD), id="no headers"),
        pytest.param(lambda: signed(GOOD, OTHER), id="other secret"),
        pytest.param(lambda: signed(GOOD, sent=body(grade(released=False))), id="changed body"),
        pytest.param(lambda: signed(GOOD, age=timedelta(minutes=6)), id="too old"),
        pytest.param(lambda: signed(GOOD, age=timedelta(minutes=-6)), id="too new"),
        pytest.param(lambda: signed(GOOD, webhook_signature="nonsense"), id="no version"),
        pytest.param(lambda: signed(GOOD, webhook_signature="v1,nonsense="), id="no base64"),
        pytest.param(lambda: signed(GOOD, webhook_timestamp="yesterday"), id="no time"),
        pytest.param(lambda: signed(GOOD, sent=b"\xff\xfe"), id="no text"),
    ],
)
def test_a_delivery_that_is_not_rightly_signed_is_refused(forge: Callable[[], Delivery]) -> None:
    with pytest.raises(SignatureError) as refused:
        KIND.verify(forge(), access([SECRET]))
    assert refused.value.status == 401


AT = datetime(2026, 11, 23, 18, 0, 0, 123000, UTC)


def test_a_grade_is_read() -> None:
    expected = GradeEvent(
        (Identifier(IdKind.LTI, "2"),),
        (Identifier(IdKind.LTI, "4"),),
        ActivityRef("quiz-1", "Quiz 1", "quiz"),
        GradeFact(AT, 8, 10),
        ProgressFact(AT, ActivityProgress.COMPLETED),
        deployment_id="1",
    )
    assert KIND.parse(body(grade())) == [expected]


def test_what_is_not_released_is_neither_as_a_grade_nor_as_progress() -> None:
    (event,) = KIND.parse(body(grade(released=False)))
    assert event.grade is not None
    assert event.progress is not None
    assert (event.grade.released, event.progress.released) == (False, False)


def test_a_completion_without_a_score_is_read() -> None:
    score = {
        "userId": 4,
        "timestamp": "2026-11-23T19:00:00.123+01:00",
        "activityProgress": "Completed",
        "gradingProgress": "NotReady",
    }
    (event,) = KIND.parse(body(grade(score=score)))
    assert event.grade == GradeFact(AT, None, None, GradingProgress.NOT_READY)
    assert event.progress == ProgressFact(AT, ActivityProgress.COMPLETED)


def test_a_batch_is_read_in_order() -> None:
    data = [grade(course={"id": name}) for name in ("a", "b", "c")]
    assert [event.course[0].value for event in KIND.parse(body(data))] == ["a", "b", "c"]


def test_a_batch_has_an_end() -> None:
    assert len(KIND.parse(body([grade()] * 1000))) == 1000
    with pytest.raises(MalformedError, match="data"):
        KIND.parse(body([grade()] * 1001))


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
    assert KIND.verify(signed(body(grade()), first), access([first]))
