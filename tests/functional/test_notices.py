"""An LMS tells when a course was copied: its rules are offered though the launch says nothing of it (PNS 1.0)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import func, select, update

from lti_tool.models import Course, Event, EventStatus, Source, SourceHour
from lti_tool.sandbox.faults import Fault
from lti_tool.sandbox.lms import LmsConfig
from lti_tool.sandbox.lms.keys import new_key
from lti_tool.sandbox.lms.notices import copy_notice, send
from lti_tool.sandbox.lms.scopes import LTI
from tests.world import BIOLOGY, CHEMISTRY, LEARNER, TEACHER, World, running_world

COPY, SECOND_COPY = "52", "53"
OFFER = "This course was copied from Biology 101"


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """An LMS that tells of copies by notices, and of nothing in its launches."""
    with running_world(database_url, tmp_path, lms=LmsConfig(webhook_tries=1, notices=True)) as world:
        yield world


def copy(world: World, new_id: str = COPY, of: str = BIOLOGY) -> None:
    made = world.lms.copy_course(of, new_id)
    world.lms.courses[new_id] = replace(made, history=(), link_history=())


def sources(world: World) -> list[Source]:
    with world.tools.database.read() as session:
        return list(session.scalars(select(Source).where(Source.kind == "notices")))


def courses(world: World) -> dict[str, Course]:
    with world.tools.database.read() as session:
        return {course.context_id: course for course in session.scalars(select(Course))}


def waiting(world: World) -> int:
    with world.tools.database.read() as session:
        return session.scalar(select(func.count()).where(Event.status == EventStatus.UNMATCHED)) or 0


def puts(world: World) -> int:
    return sum(line.startswith("PUT /lti/notice-handlers") for line in world.lms.requests)


def notice(world: World, new_id: str, origin: str = BIOLOGY, **changes: Any) -> dict[str, Any]:
    assert world.lms.tool is not None
    made = replace(world.lms.courses[BIOLOGY], id=new_id, title=f"Course {new_id}")
    return copy_notice(world.lms.base_url, world.lms.tool, made, origin) | changes


def tell(world: World, claims: dict[str, Any]) -> int:
    return send(world.lms.notice_handler, {k: v for k, v in claims.items() if v is not None}, world.lms.key)


def test_the_first_launch_of_anybody_registers_the_handler(world: World) -> None:
    world.launch(LEARNER)
    (source,) = sources(world)
    assert world.lms.notice_handler == f"{world.tool_url}/webhooks/{source.public_id}/notices"
    world.launch(TEACHER)
    world.launch(TEACHER, CHEMISTRY)
    assert puts(world) == 1
    assert len(sources(world)) == 1


def test_an_lms_without_the_service_gets_no_source(database_url: str, tmp_path: Path) -> None:
    with running_world(database_url, tmp_path) as world:
        world.launch(TEACHER)
        assert sources(world) == []


def test_a_handler_that_was_refused_is_asked_for_another_day(world: World) -> None:
    world.lms.faults.add(Fault("/lti/notice-handlers", status=403))
    world.launch(TEACHER)
    (source,) = sources(world)
    assert "status 403" in (source.last_fault or "")
    world.launch(TEACHER)
    assert (puts(world), world.lms.notice_handler) == (1, "")
    options = world.tools.vault.open(source.sealed_options or "")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    asked_at = options.split('\\"at\\": \\"')[1].split("\\")[0]
    with world.tools.database.write() as session:
        changed = world.tools.vault.seal(options.replace(asked_at, yesterday))
        session.execute(update(Source).where(Source.id == source.id).values(sealed_options=changed))
        session.commit()
    world.launch(TEACHER)
    assert world.lms.notice_handler


def test_a_copied_course_is_offered_the_rules_of_the_former_one(world: World) -> None:
    world.ready_course()
    copy(world)
    # It is remembered though nobody has opened Badges in it.
    assert courses(world)[COPY].context_history == [BIOLOGY]
    assert courses(world)[COPY].title == "Biology 101 (copy)"
    teacher = world.launch(TEACHER, COPY)
    assert OFFER in teacher.text
    teacher.submit("/copy", button=("decision", "take"))
    assert "Taken over: 1" in teacher.text


def test_the_copy_of_a_copy_is_offered_the_rules_of_the_first(world: World) -> None:
    world.ready_course()
    copy(world)
    copy(world, SECOND_COPY, COPY)
    assert courses(world)[SECOND_COPY].context_history == [COPY, BIOLOGY]
    assert OFFER in world.launch(TEACHER, SECOND_COPY).text


def test_a_course_is_not_remembered_for_nothing(world: World) -> None:
    world.launch(TEACHER)
    copy(world)
    copy(world, SECOND_COPY, CHEMISTRY)
    assert set(courses(world)) == {BIOLOGY}


def test_content_that_comes_later_from_another_course_is_offered_too(world: World) -> None:
    world.ready_course()
    world.launch(TEACHER, CHEMISTRY)
    with world.tools.database.write() as session:
        answered = {"context_history": ["9"], "copy_answered_at": datetime.now(UTC)}
        session.execute(update(Course).where(Course.context_id == CHEMISTRY).values(**answered))
        session.commit()
    assert tell(world, notice(world, CHEMISTRY)) == 202
    assert courses(world)[CHEMISTRY].context_history == [BIOLOGY, "9"]
    teacher = world.launch(TEACHER, CHEMISTRY)
    assert OFFER in teacher.text
    teacher.submit("/copy", button=("decision", "leave"))
    # What was answered stays answered when the same is told again.
    assert tell(world, notice(world, CHEMISTRY)) == 202
    assert OFFER not in world.launch(TEACHER, CHEMISTRY).text


def test_a_notice_that_comes_again_is_known(world: World) -> None:
    world.ready_course()
    told = notice(world, COPY)
    assert [tell(world, told), tell(world, told)] == [202, 202]
    with world.tools.database.read() as session:
        query = select(func.count()).select_from(Event).join(Source).where(Source.kind == "notices")
        assert session.scalar(query) == 1


def test_an_event_that_waited_for_the_course_is_worked_on(world: World) -> None:
    world.ready_course()
    told = replace(world.lms.courses[BIOLOGY], id=COPY)
    world.lms.courses[COPY] = told
    world.grade(LEARNER, "quiz-1", COPY, score=9)
    world.work()
    assert waiting(world) == 1
    assert tell(world, notice(world, COPY)) == 202
    world.work()
    assert waiting(world) == 0


def test_other_notices_are_taken_and_let_be(world: World) -> None:
    world.ready_course()
    hello: Any = {"id": "1", "timestamp": "2026-11-24T12:00:00Z", "type": "LtiHelloWorldNotice"}
    assert tell(world, notice(world, COPY, **{f"{LTI}notice": hello})) == 202
    assert COPY not in courses(world)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://other.example"}, "wrong_issuer"),
        ({"aud": "another-tool"}, "wrong_audience"),
        ({"azp": "another-tool"}, "wrong_authorized_party"),
        ({"exp": 1}, "token_expired"),
        ({"iat": None}, "issued_at_missing"),
        ({f"{LTI}deployment_id": None}, "deployment_missing"),
        ({f"{LTI}notice": {"type": "LtiContextCopyNotice"}}, "incomplete"),
        ({f"{LTI}context": {}}, "incomplete"),
    ],
)
def test_a_wrong_notice_is_refused_and_counted(world: World, changes: dict[str, Any], code: str) -> None:
    world.ready_course()
    assert tell(world, notice(world, COPY, **changes)) in (400, 401)
    assert COPY not in courses(world)
    (source,) = sources(world)
    assert f"({code})" in (source.last_fault or "")
    with world.tools.database.read() as session:
        assert session.scalars(select(SourceHour.failures)).all() == [1]


def test_a_notice_that_somebody_else_has_signed_is_refused(world: World) -> None:
    world.ready_course()
    forged = replace(new_key(), kid=world.lms.key.kid)
    assert send(world.lms.notice_handler, notice(world, COPY), forged) == 401
    assert COPY not in courses(world)


def test_a_deployment_that_nobody_approved_changes_nothing(world: World) -> None:
    world.ready_course()
    assert tell(world, notice(world, COPY, **{f"{LTI}deployment_id": "unknown"})) == 202
    assert COPY not in courses(world)


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"notices": []}', '{"notices": [{}]}', '{"notices": [{"jwt": 1}]}'])
def test_what_is_no_notice_is_malformed(world: World, body: str) -> None:
    world.launch(TEACHER)
    assert requests.post(world.lms.notice_handler, data=body, timeout=10).status_code == 400


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIiwia2lkIjoiMSJ9.e30."])
def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    world.launch(TEACHER)
    answer = requests.post(world.lms.notice_handler, json={"notices": [{"jwt": token}]}, timeout=10)
    assert answer.status_code == 401


def test_nothing_is_taken_elsewhere(world: World) -> None:
    world.launch(TEACHER)
    (source,) = sources(world)
    base = f"{world.tool_url}/webhooks"
    gradebook = world.webhook.url
    assert requests.post(f"{base}/nobody/notices", json={}, timeout=10).status_code == 404
    assert requests.post(f"{gradebook}/notices", json={}, timeout=10).status_code == 404
    assert requests.post(f"{base}/{source.public_id}", json={}, timeout=10).status_code == 401
    with world.tools.database.write() as session:
        session.execute(update(Source).values(enabled=False))
        session.commit()
    assert requests.post(world.lms.notice_handler, json={}, timeout=10).status_code == 404
