"""What the webhook takes and what it refuses; nothing that is refused changes anything."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import func, select
from standardwebhooks import Webhook as Signer

from lti_tool.models import Award, Event, EventStatus, Result
from tests.world import BIOLOGY, LEARNER, LEARNER_ADDRESS, TEACHER, World

Change = Callable[[dict[str, Any]], None]


def grade_body(score: float = 9.0, sub: str = LEARNER, course: str = BIOLOGY) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "type": "grade.updated",
        "timestamp": now,
        "data": {
            "deployment_id": "1",
            "course": {"id": course},
            "activity": {"id": "quiz-1", "title": "Quiz 1", "type": "quiz"},
            "score": {
                "userId": sub,
                "timestamp": now,
                "scoreGiven": score,
                "scoreMaximum": 10,
                "activityProgress": "Completed",
                "gradingProgress": "FullyGraded",
            },
        },
    }


def post(
    world: World,
    body: bytes,
    *,
    secret: str | None = None,
    at: datetime | None = None,
    url: str | None = None,
    **headers: str,
) -> requests.Response:
    at = at or datetime.now(UTC)
    signed = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Signer(secret or world.webhook.secret).sign("msg_1", at, body.decode("latin-1")),
        "Content-Type": "application/json",
    }
    return requests.post(url or world.webhook.url, data=body, headers=signed | headers, timeout=10)


def stored(world: World) -> tuple[int, int, int]:
    with world.tools.database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(model)) for model in (Event, Result, Award)]
    return counts[0] or 0, counts[1] or 0, counts[2] or 0


def test_a_good_delivery_is_stored_before_it_is_answered(world: World) -> None:
    response = post(world, json.dumps(grade_body()).encode())
    assert response.status_code == 202
    assert stored(world) == (1, 0, 0)
    assert response.json() == {"id": 1, "repeat": False}


def test_a_delivery_that_calls_itself_a_form_is_read_as_it_was_signed(world: World) -> None:
    # As curl sends it when nobody names the content type.
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = post(world, json.dumps(grade_body()).encode(), **headers)  # type: ignore[arg-type]
    assert response.status_code == 202
    assert stored(world) == (1, 0, 0)


def test_the_same_delivery_again_is_one_event(world: World) -> None:
    world.ready_course()
    before = stored(world)
    answers = [post(world, json.dumps(grade_body()).encode()) for _ in range(3)]
    assert [a.status_code for a in answers] == [202, 202, 202]
    assert [a.json()["repeat"] for a in answers] == [False, True, True]
    assert len({a.json()["id"] for a in answers}) == 1
    world.work()
    assert stored(world) == tuple(number + 1 for number in before)
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_another_secret_is_refused(world: World) -> None:
    response = post(world, json.dumps(grade_body()).encode(), secret="whsec_" + "AAAA" * 8)
    assert response.status_code == 401
    assert "Sign" in response.json()["advice"]
    assert stored(world) == (0, 0, 0)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(world: World, missing: str) -> None:
    at, body = datetime.now(UTC), json.dumps(grade_body())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Signer(world.webhook.secret).sign("msg_1", at, body),
    }
    del headers[missing]
    response = requests.post(world.webhook.url, data=body, headers=headers, timeout=10)
    assert response.status_code == 401
    assert stored(world) == (0, 0, 0)


@pytest.mark.parametrize("age", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_stale_or_future_timestamp_is_refused(world: World, age: timedelta) -> None:
    response = post(world, json.dumps(grade_body()).encode(), at=datetime.now(UTC) - age)
    assert response.status_code == 401
    assert stored(world) == (0, 0, 0)


def test_an_unknown_source_is_not_found(world: World) -> None:
    response = post(world, b"{}", url=f"{world.tool_url}/webhooks/nobody")
    assert response.status_code == 404
    assert "list of sources" in response.json()["advice"]


def test_a_changed_body_is_refused(world: World) -> None:
    at = datetime.now(UTC)
    signature = Signer(world.webhook.secret).sign("msg_1", at, json.dumps(grade_body(5.0)))
    response = post(world, json.dumps(grade_body(10.0)).encode(), at=at, **{"webhook-signature": signature})
    assert response.status_code == 401
    assert stored(world) == (0, 0, 0)


def _without(*path: str) -> Change:
    def change(body: dict[str, Any]) -> None:
        inner = body
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]

    return change


def _with(value: Any, *path: str) -> Change:
    def change(body: dict[str, Any]) -> None:
        inner = body
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_without("type"), "type"),
        (_with("course.deleted", "type"), "type"),
        (_without("data"), "data"),
        (_with([], "data"), "data"),
        (_without("data", "course"), "course"),
        (_without("data", "activity", "id"), "activity.id"),
        (_without("data", "score", "userId"), "userId"),
        (_with("", "data", "score", "userId"), "userId"),
        (_with("yesterday", "data", "score", "timestamp"), "timestamp"),
        (_with("2026-01-01T10:00:00", "data", "score", "timestamp"), "timestamp"),
        (_with("9", "data", "score", "scoreGiven"), "scoreGiven"),
        (_with(-1, "data", "score", "scoreGiven"), "scoreGiven"),
        (_with(0, "data", "score", "scoreMaximum"), "scoreMaximum"),
        (_without("data", "score", "scoreMaximum"), "scoreMaximum"),
        (_with("Done", "data", "score", "activityProgress"), "activityProgress"),
        (_with(float("nan"), "data", "score", "scoreGiven"), "scoreGiven"),
    ],
)  # fmt: skip
def test_a_malformed_body_names_the_field(world: World, change: Change, field: str) -> None:
    body = grade_body()
    change(body)
    response = post(world, json.dumps(body).encode())
    assert response.status_code == 400
    assert field in response.json()["advice"]
    assert stored(world) == (0, 0, 0)


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[1]", b"\xff\xfe", b'{"type": "grade.updated"}'])
def test_nonsense_is_refused(world: World, body: bytes) -> None:
    response = post(world, body)
    assert response.status_code in (400, 401)
    assert response.json()["advice"]
    assert stored(world) == (0, 0, 0)


def test_a_body_that_is_too_large_is_refused(world: World) -> None:
    response = post(world, b" " * (world.tools.settings.webhook_max_bytes + 1))
    assert response.status_code == 413
    assert stored(world) == (0, 0, 0)


def test_an_unknown_course_waits_until_somebody_opens_it(world: World) -> None:
    assert world.grade(LEARNER, score=9).status == 202
    world.work()
    with world.tools.database.read() as session:
        event = session.scalars(select(Event)).one()
    assert event.status is EventStatus.UNMATCHED
    assert "Nobody has opened Badges in course" in (event.reason or "")
    world.launch(TEACHER)
    with world.tools.database.read() as session:
        assert session.scalars(select(Event.status)).one() is EventStatus.PROCESSED
        assert session.scalars(select(Result.score_given)).one() == 9


def test_an_older_result_does_not_replace_a_newer_one(world: World) -> None:
    world.ready_course()
    newer, older = grade_body(5.0), grade_body(10.0)
    older["data"]["score"]["timestamp"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    post(world, json.dumps(newer).encode())
    world.work()
    at = datetime.now(UTC)
    signature = Signer(world.webhook.secret).sign("msg_2", at, json.dumps(older))
    response = post(world, json.dumps(older).encode(), at=at, **{"webhook-id": "msg_2", "webhook-signature": signature})
    assert response.status_code == 202
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == []


def test_a_get_is_told_off(world: World) -> None:
    response = requests.get(world.webhook.url, timeout=10)
    assert response.status_code == 405


def test_the_example_in_the_guide_works(world: World) -> None:
    world.ready_course()
    guide = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    example = guide.split("```python\n")[1].split("```")[0]
    placeholders = '"https://badges.example.org/webhooks/…", "whsec_…"'
    assert placeholders in example
    exec(example.replace(placeholders, repr((world.webhook.url, world.webhook.secret))), {})
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
