"""The roster in its less common shapes: told by changes only, and with addresses only for the tool's own link."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from lti_tool.models import Course, Enrolment, Person
from lti_tool.sandbox.faults import Fault
from lti_tool.sandbox.lms.people import LEARNER as LEARNER_ROLE
from lti_tool.sandbox.lms.people import Member
from lti_tool.sandbox.lms.people import Person as LmsPerson
from lti_tool.services import roster
from tests.world import BIOLOGY, LEARNER, TEACHER, World

NEW = LmsPerson("77", "Nia", "New", "nia", "nia@example.org")


def later(minutes: int = 20) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def active(world: World) -> dict[str, str | None]:
    """The addresses of everybody active in Biology, by sub."""
    query = select(Person.sub, Person.email).join(Enrolment, Enrolment.person_id == Person.id)
    with world.tools.database.read() as session:
        return dict(session.execute(query.where(Enrolment.course_id == 1, Enrolment.active)).all())


def roster_requests(world: World) -> list[str]:
    return [request for request in world.lms.requests if "/lti/nrps/" in request]


def leave_and_join(world: World) -> None:
    course = world.lms.courses[BIOLOGY]
    world.lms.courses[BIOLOGY] = replace(course, members=tuple(m for m in course.members if m.person.sub != LEARNER))
    world.lms.enrol(BIOLOGY, Member(NEW, (LEARNER_ROLE,)))


@pytest.fixture
def telling(world: World) -> World:
    """An LMS that tells differences, whose roster was read once."""
    world.lms.config = replace(world.lms.config, nrps_differences=True)
    world.launch(TEACHER)
    assert LEARNER in active(world)
    return world


def test_only_what_changed_is_asked_for(telling: World) -> None:
    leave_and_join(telling)
    telling.lms.requests.clear()
    assert roster.sync(telling.tools, 1, later())
    assert len(roster_requests(telling)) == 1
    now_active = active(telling)
    assert LEARNER not in now_active
    assert now_active["77"] == "nia@example.org"
    # Whoever did not change is not in the answer, and stays.
    assert TEACHER in now_active
    # And so on from there.
    telling.lms.requests.clear()
    assert roster.sync(telling.tools, 1, later(31))
    assert active(telling) == now_active
    assert "since=" in roster_requests(telling)[0]


def test_a_mark_that_the_lms_forgot_leads_to_a_whole_read(telling: World) -> None:
    leave_and_join(telling)
    telling.lms.roster_marks.clear()
    assert roster.sync(telling.tools, 1, later())
    assert LEARNER not in active(telling)
    assert "77" in active(telling)


def test_the_button_reads_everybody(telling: World) -> None:
    telling.lms.requests.clear()
    assert roster.sync(telling.tools, 1, later(), force=True)
    assert not any("since=" in request for request in roster_requests(telling))


def test_addresses_that_are_told_only_for_a_link_are_read_there(world: World) -> None:
    world.lms.config = replace(world.lms.config, nrps_private=True)
    world.launch(TEACHER)
    assert active(world)[LEARNER] == "learner@example.org"


def test_a_link_that_is_gone_leaves_the_roster_as_it_is(world: World) -> None:
    world.lms.config = replace(world.lms.config, nrps_private=True)
    world.launch(TEACHER)
    world.lms.courses[BIOLOGY] = replace(world.lms.courses[BIOLOGY], resource_link_id="another")
    assert roster.sync(world.tools, 1, later())
    assert LEARNER in active(world)
    with world.tools.database.read() as session:
        assert session.get_one(Course, 1).roster_error is None


def test_a_teacher_reads_the_course_list_again_by_a_button(telling: World) -> None:
    teacher = telling.launch(TEACHER)
    leave_and_join(telling)
    teacher.open(telling.course_url(teacher) + "learners").submit("/roster")
    assert "It is being read from the LMS." in teacher.text
    telling.lms.requests.clear()
    telling.work()
    # Whole, not by differences, though it was read a moment ago.
    assert not any("since=" in request for request in roster_requests(telling))
    assert "Nia New" in teacher.open(teacher.url).text
    assert "Lea Learner" not in teacher.text
    assert "Last read" in teacher.text


def test_a_course_list_that_cannot_be_read_is_said_and_read_again_by_a_click(world: World) -> None:
    world.lms.faults.add(Fault("/lti/nrps/", status=403, times=1))
    teacher = world.launch(TEACHER)
    assert "The course list could not be read from the LMS" in teacher.open(teacher.url).text
    teacher.submit("/roster")
    world.work()
    assert "could not be read" not in teacher.open(world.course_url(teacher)).text
    assert LEARNER in active(world)


def change_course(world: World, **values: object) -> None:
    with world.tools.database.write() as session:
        session.execute(update(Course).values(**values))
        session.commit()


def due(world: World, now: datetime) -> list[int]:
    """What a sweep at a moment reads, of rosters that are older than an hour."""
    with world.tools.database.read() as session:
        return roster.due_courses(session, timedelta(hours=1), now)


def test_an_lms_that_wants_to_be_left_alone_is(world: World) -> None:
    world.ready_course()
    change_course(world, roster_synced_at=datetime.now(UTC) - timedelta(hours=2))
    world.lms.faults.add(Fault("/lti/nrps/", status=429, headers={"Retry-After": "43200"}, times=1))
    world.lms.requests.clear()
    world.sweep()
    assert len(roster_requests(world)) == 1
    assert due(world, later(719)) == []
    assert due(world, later(721)) == [1]
    # Nor does a launch ask for it.
    world.launch(TEACHER)
    assert len(roster_requests(world)) == 1
    # When it works again, all is as it was.
    assert roster.sync(world.tools, 1, datetime.now(UTC), force=True)
    with world.tools.database.read() as session:
        found = session.get_one(Course, 1)
        assert (found.roster_failures, found.roster_due_at, found.roster_error) == (0, None, None)


def test_a_roster_that_cannot_be_read_is_asked_for_more_and_more_rarely(world: World) -> None:
    world.ready_course()
    world.lms.faults.add(Fault("/lti/nrps/", status=403, times=99))
    now, pauses = later(120), []
    for _ in range(10):
        assert not roster.sync(world.tools, 1, now)
        with world.tools.database.read() as session:
            next_at = session.get_one(Course, 1).roster_due_at
        assert next_at is not None
        pauses.append((next_at - now).total_seconds() / 60)
        assert due(world, next_at - timedelta(seconds=1)) == []
        now = next_at
        assert due(world, now) == [1]
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]


def test_a_roster_that_is_being_read_is_not_read_twice(world: World) -> None:
    world.ready_course()
    change_course(world, roster_due_at=later(10), roster_synced_at=None)
    world.lms.requests.clear()
    world.sweep()
    assert roster_requests(world) == []


def test_a_lost_message_costs_no_roster(world: World) -> None:
    world.ready_course()
    roster.ask(world.tools, 1)
    while world.queue.huey.dequeue():
        # The queue is lost.
        pass
    world.lms.requests.clear()
    world.sweep()
    assert roster_requests(world)


def test_a_roster_of_many_pages_is_read_whole(world: World) -> None:
    world.lms.config = replace(world.lms.config, nrps_page_size=5)
    world.launch(TEACHER)
    assert len(roster_requests(world)) >= 4
    everybody = {member.person.sub for member in world.lms.courses[BIOLOGY].members if member.active}
    assert set(active(world)) == everybody
    assert len(everybody) > 10
