"""Who and what an event means: ids of every kind, known in whatever order; and what becomes of each part."""

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.event import listen
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.domain.events import ActivityRef, GradeEvent, GradeFact, Identifier, IdKind
from lti_tool.models import Course, Deployment, Event, EventStatus, MissingId, Person, Source
from lti_tool.services import events, intake, matching, upkeep
from tests.scene import START, Scene


@pytest.fixture
def scene(scene: Scene) -> Scene:
    scene.rule(ScoreAtLeast(scene.activity("quiz"), 80))
    return scene


def told(scene: Scene, *person: Identifier, course: tuple[Identifier, ...] | None = None) -> GradeEvent:
    where = course or (Identifier(IdKind.LTI, "101"),)
    return GradeEvent(where, person, ActivityRef("quiz", "quiz", "quiz"), GradeFact(scene.now, 9, 10))


def event_of(scene: Scene, event_id: int) -> Event:
    with scene.tools.database.read() as session:
        return session.get_one(Event, event_id)


def learn(scene: Scene, sub: str, *ids: Identifier) -> None:
    with scene.tools.database.write() as session:
        person = session.scalars(select(Person).where(Person.sub == sub)).one()
        matching.learn_people(session, scene.platform_id, {person: ids})
        session.commit()


def again(scene: Scene, event_id: int) -> None:
    intake.process(scene.tools, event_id, scene.now)
    scene.settle()


def believe_addresses(scene: Scene) -> None:
    with scene.tools.database.write() as session:
        session.execute(update(Source).values(match_by_email=True))
        session.commit()


def learn_course(scene: Scene, *ids: Identifier) -> None:
    with scene.tools.database.write() as session:
        matching.learn_course(session, session.get_one(Course, scene.course_id), scene.platform_id, ids)
        session.commit()


def another_deployment(scene: Scene, host: str | None = None) -> int:
    """One more institution of the same registration, whose LMS is at `host`; our key of it."""
    with scene.tools.database.write() as session:
        found = Deployment(platform_id=scene.platform_id, deployment_id="2", host=host, created_at=START)
        session.add(found)
        session.commit()
        return found.id


def course_of(scene: Scene, deployment_id: int, context_id: str) -> int:
    own, scene.deployment_id = scene.deployment_id, deployment_id
    key = scene.add_course(context_id)
    scene.deployment_id = own
    return key


def woken_by(scene: Scene) -> list[tuple[str, int]]:
    """What is woken from now on, as kind and key."""
    woken: list[tuple[str, int]] = []
    scene.tools.database.waker = lambda kind, key, at: woken.append((kind, key))
    return woken


def arrive(scene: Scene, sub: str, course_id: int | None = None) -> None:
    """The person is in the course from now on, and what waits for them is woken."""
    scene.enrol(sub, course_id=course_id)
    with scene.tools.database.write() as session:
        person = session.scalars(select(Person).where(Person.sub == sub)).one()
        matching.note_arrivals(session, scene.platform_id, [person])
        session.commit()


CANVAS = Identifier(IdKind.CANVAS, "21070000000000048")
SIS = Identifier(IdKind.SIS, "1001")
ADDRESS = Identifier(IdKind.EMAIL, "Lea@Example.org")


def test_a_person_is_found_by_any_id_that_a_launch_has_told(scene: Scene) -> None:
    learn(scene, "lea", CANVAS)
    event_id = scene.send(told(scene, Identifier(IdKind.SIS, "unknown"), CANVAS))
    assert event_of(scene, event_id).status is EventStatus.PROCESSED
    assert scene.statuses("lea") == ["pending"]


def test_an_event_waits_for_its_person_and_is_worked_on_when_they_become_known(scene: Scene) -> None:
    event_id = scene.send(told(scene, CANVAS))
    event = event_of(scene, event_id)
    assert event.status is EventStatus.UNMATCHED
    assert event.reason == (
        "Nobody with the id 21070000000000048 is known yet; the event waits until the LMS tells who it is."
    )
    assert event.outcome == {"unmatched": 1}
    woken = woken_by(scene)
    learn(scene, "ola", Identifier(IdKind.CANVAS, "1"))
    assert woken == []
    learn(scene, "lea", CANVAS)
    assert woken == [("event", event_id)]
    again(scene, event_id)
    assert scene.statuses("lea") == ["pending"]
    with scene.tools.database.read() as session:
        assert session.scalars(select(MissingId)).all() == []


def test_an_event_waits_for_its_course(scene: Scene) -> None:
    event_id = scene.send(scene.tell("lea", "quiz", 9, context="102"))
    assert "Nobody has opened Badges in course 102 yet" in (event_of(scene, event_id).reason or "")
    scene.add_course("102")
    again(scene, event_id)
    assert event_of(scene, event_id).status is EventStatus.PROCESSED


def test_a_course_is_found_by_another_id(scene: Scene) -> None:
    ids = (Identifier(IdKind.CANVAS, "565"),)
    event_id = scene.send(told(scene, Identifier(IdKind.LTI, "lea"), course=ids))
    assert event_of(scene, event_id).status is EventStatus.UNMATCHED
    learn_course(scene, *ids)
    again(scene, event_id)
    assert scene.statuses("lea") == ["pending"]


def test_an_address_names_nobody_unless_an_administrator_allows_it(scene: Scene) -> None:
    event_id = scene.send(told(scene, ADDRESS))
    assert event_of(scene, event_id).reason == (
        "The event names the person only by e-mail address, and this source may not match by address."
    )
    believe_addresses(scene)
    again(scene, event_id)
    assert scene.statuses("lea") == ["pending"]


def test_an_address_names_only_somebody_who_is_in_the_course(scene: Scene) -> None:
    believe_addresses(scene)
    with scene.tools.database.write() as session:
        session.add(Person(platform_id=scene.platform_id, sub="out", email="out@example.org", created_at=START))
        session.commit()
    event_id = scene.send(told(scene, Identifier(IdKind.EMAIL, "out@example.org")))
    assert event_of(scene, event_id).status is EventStatus.UNMATCHED


def test_two_people_with_one_id_are_nobody(scene: Scene) -> None:
    for sub in ("lea", "ola"):
        learn(scene, sub, Identifier(IdKind.CANVAS_LOCAL, "48"))
    event_id = scene.send(told(scene, Identifier(IdKind.CANVAS_LOCAL, "48")))
    assert event_of(scene, event_id).reason == "Several people of this course have the id 48."
    assert scene.awards() == []


def test_of_two_people_with_one_id_the_one_in_the_course_is_meant(scene: Scene) -> None:
    other = scene.add_course("102")
    scene.enrol("uma", course_id=other)
    for sub in ("lea", "uma"):
        learn(scene, sub, Identifier(IdKind.CANVAS_LOCAL, "48"))
    scene.send(told(scene, Identifier(IdKind.CANVAS_LOCAL, "48")))
    assert scene.statuses("lea") == ["pending"]


def test_a_source_of_one_deployment_means_only_its_courses(scene: Scene) -> None:
    with scene.tools.database.write() as session:
        other = Deployment(platform_id=scene.platform_id, deployment_id="2", created_at=START)
        session.add(other)
        session.flush()
        session.execute(update(Source).values(deployment_id=other.id))
        session.commit()
    event_id = scene.send(scene.tell("lea", "quiz", 9))
    assert event_of(scene, event_id).status is EventStatus.UNMATCHED
    with scene.tools.database.write() as session:
        session.execute(update(Source).values(deployment_id=scene.deployment_id))
        session.commit()
    again(scene, event_id)
    assert scene.statuses("lea") == ["pending"]


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ((5, 0), (9, 60), {"new": 1}),
        ((5, 60), (9, 0), {"late": 1}),
        ((5, 0), (5, 0), {"same": 1}),
        ((5, 0), (9, 3600), {"new": 1, "from_the_future": 1}),
    ],
)
def test_what_became_of_an_event_is_told(
    scene: Scene, first: tuple[float, int], second: tuple[float, int], outcome: dict[str, int]
) -> None:
    for score, seconds in (first, second):
        at = scene.now + timedelta(seconds=seconds - 60)
        event_id = scene.send(scene.tell("lea", "quiz", score, at=at))
    assert event_of(scene, event_id).outcome == outcome


def test_a_clock_that_runs_ahead_does_not_keep_later_results_out(scene: Scene) -> None:
    scene.send(scene.tell("lea", "quiz", 2, at=scene.now + timedelta(days=30)))
    scene.now += timedelta(minutes=10)
    scene.send(scene.tell("lea", "quiz", 9))
    assert scene.statuses("lea") == ["pending"]


def test_an_activity_that_nobody_knew_is_made_and_named_later(scene: Scene) -> None:
    unnamed = GradeEvent(
        (Identifier(IdKind.LTI, "101"),),
        (Identifier(IdKind.LTI, "lea"),),
        ActivityRef("moodle:item:12", "", "grade_item"),
        GradeFact(scene.now, 9, 10),
    )
    scene.send(unnamed)
    assert "Grade item 12" in scene.titles()
    scene.send(
        GradeEvent(unnamed.course, unnamed.person, ActivityRef("moodle:item:12", "Essay", "assign"), unnamed.grade)
    )
    scene.send(unnamed)
    assert "Essay" in scene.titles()


def test_part_of_a_delivery_waits_and_the_rest_is_worked_on(scene: Scene) -> None:
    event_id = scene.send(scene.tell("lea", "quiz", 9), told(scene, CANVAS))
    assert event_of(scene, event_id).outcome == {"new": 1, "unmatched": 1}
    assert scene.statuses("lea") == ["pending"]
    learn(scene, "ola", CANVAS)
    again(scene, event_id)
    assert event_of(scene, event_id).outcome == {"same": 1, "new": 1}
    assert scene.statuses("ola") == ["pending"]


def test_contents_of_old_events_are_removed_also_of_those_that_never_fitted(scene: Scene) -> None:
    done = scene.send(scene.tell("lea", "quiz", 9))
    waiting = scene.send(told(scene, CANVAS))
    later = scene.now + timedelta(days=scene.tools.settings.event_retention_days + 1)
    with scene.tools.database.write() as session:
        events.remove_old_bodies(session, scene.tools.settings, later - timedelta(days=2))
        session.commit()
    assert event_of(scene, done).body != ""
    with scene.tools.database.write() as session:
        events.remove_old_bodies(session, scene.tools.settings, later)
        session.commit()
    for event_id in (done, waiting):
        assert event_of(scene, event_id).body == ""
        assert event_of(scene, event_id).body_removed_at == later
    # What was earned stays earned.
    assert scene.statuses("lea") == ["pending"]


def test_an_event_by_address_waits_until_the_person_is_in_the_course(scene: Scene) -> None:
    believe_addresses(scene)
    scene.enrol("uma", course_id=scene.add_course("102"))
    event_id = scene.send(told(scene, Identifier(IdKind.EMAIL, "uma@example.org")))
    assert event_of(scene, event_id).status is EventStatus.UNMATCHED
    woken = woken_by(scene)
    arrive(scene, "uma")
    assert woken == [("event", event_id)]
    again(scene, event_id)
    assert scene.statuses("uma") == ["pending"]


def test_a_less_certain_id_does_not_name_somebody_whose_certain_id_is_another(scene: Scene) -> None:
    """Institutions that share a registration give the same SIS ids to different people."""
    learn(scene, "lea", CANVAS, SIS)
    stranger = Identifier(IdKind.CANVAS, "99000000000000007")
    event_id = scene.send(told(scene, stranger, SIS))
    assert event_of(scene, event_id).status is EventStatus.UNMATCHED
    assert scene.statuses("lea") == []
    # Nor by an address that two share.
    believe_addresses(scene)
    again(scene, scene.send(told(scene, stranger, ADDRESS)))
    assert scene.statuses("lea") == []
    # It does where the certain id is only not known yet.
    learn(scene, "ola", Identifier(IdKind.SIS, "1002"))
    scene.send(told(scene, stranger, Identifier(IdKind.SIS, "1002")))
    assert scene.statuses("ola") == ["pending"]


def test_a_local_id_names_only_people_of_the_same_institution(scene: Scene) -> None:
    theirs = course_of(scene, another_deployment(scene), "202")
    learn(scene, "lea", SIS)
    elsewhere = (Identifier(IdKind.LTI, "202"),)
    event_id = scene.send(told(scene, SIS, course=elsewhere))
    assert event_of(scene, event_id).status is EventStatus.UNMATCHED
    # A teacher of both knows her: as soon as she is in the course, the event is looked at again.
    woken = woken_by(scene)
    arrive(scene, "lea", theirs)
    assert woken == [("event", event_id)]
    again(scene, event_id)
    assert event_of(scene, event_id).status is EventStatus.PROCESSED


def test_a_less_certain_id_does_not_name_a_course_whose_certain_id_is_another(scene: Scene) -> None:
    number = Identifier(IdKind.SIS, "MATH101")
    learn_course(scene, Identifier(IdKind.CANVAS, "21070000000000565"), number)
    stranger = (Identifier(IdKind.CANVAS, "99000000000000565"), number)
    lea = Identifier(IdKind.LTI, "lea")
    event_id = scene.send(told(scene, lea, course=stranger))
    assert event_of(scene, event_id).status is EventStatus.UNMATCHED
    event_id = scene.send(told(scene, lea, course=(Identifier(IdKind.LTI, "other"), number)))
    assert event_of(scene, event_id).status is EventStatus.UNMATCHED
    scene.send(told(scene, lea, course=(number,)))
    assert scene.statuses("lea") == ["pending"]


def test_where_several_lmss_share_a_registration_a_local_id_of_a_course_needs_to_say_whose(scene: Scene) -> None:
    course = (Identifier(IdKind.CANVAS_LOCAL, "565"),)
    learn_course(scene, *course)
    with scene.tools.database.write() as session:
        session.execute(update(Deployment).values(host="first.example"))
        session.commit()
    another_deployment(scene, "second.example")
    lea = Identifier(IdKind.LTI, "lea")
    event_id = scene.send(told(scene, lea, course=course))
    event = event_of(scene, event_id)
    assert event.status is EventStatus.UNMATCHED
    assert event.reason == (
        "Several LMSs share this registration, and each may have a course 565. Choose at the source the deployment "
        "that it is for, and replay the event."
    )
    with scene.tools.database.write() as session:
        session.execute(update(Source).values(deployment_id=scene.deployment_id))
        session.commit()
    again(scene, event_id)
    assert scene.statuses("lea") == ["pending"]


def test_a_guessed_id_finds_somebody_and_makes_nobody(scene: Scene) -> None:
    here = (Identifier(IdKind.GUESS, "101"),)
    scene.send(told(scene, Identifier(IdKind.GUESS, "lea"), course=here))
    assert scene.statuses("lea") == ["pending"]
    event_id = scene.send(told(scene, Identifier(IdKind.GUESS, "profile.php"), course=here))
    assert event_of(scene, event_id).status is EventStatus.UNMATCHED
    with scene.tools.database.read() as session:
        assert session.scalar(select(Person.id).where(Person.sub == "profile.php")) is None


def test_an_event_waits_for_who_or_what_was_guessed(scene: Scene) -> None:
    uma, there = Identifier(IdKind.GUESS, "uma"), Identifier(IdKind.GUESS, "102")
    event_id = scene.send(told(scene, uma, course=(there,)))
    woken = woken_by(scene)
    key = scene.add_course("102")
    with scene.tools.database.write() as session:
        matching.note_course(session, session.get_one(Course, key), scene.platform_id)
        session.commit()
    assert woken == [("event", event_id)]
    again(scene, event_id)
    assert "Nobody with the id uma is known yet" in (event_of(scene, event_id).reason or "")
    woken.clear()
    arrive(scene, "uma", key)
    assert woken == [("event", event_id)]
    again(scene, event_id)
    assert event_of(scene, event_id).status is EventStatus.PROCESSED


def due(scene: Scene) -> list[int]:
    """The events that a sweep finds on the next full hour."""
    at = (scene.now + timedelta(hours=1)).replace(minute=0)
    return [key for kind, key in upkeep.sweep(scene.tools, at) if kind == "event"]


@pytest.mark.parametrize(
    "ids",
    [
        (CANVAS,),
        (Identifier(IdKind.GUESS, "uma"),),
        (Identifier(IdKind.EMAIL, "Uma@Example.org"),),
    ],
    ids=["another id", "a guess", "an address"],
)
def test_an_event_is_looked_at_again_though_nobody_was_woken(scene: Scene, ids: tuple[Identifier, ...]) -> None:
    """Whoever learned the id was stopped before the message was out, or learned it just while the event was matched."""
    believe_addresses(scene)
    event_id = scene.send(told(scene, *ids))
    assert due(scene) == []
    scene.enrol("uma")
    learn(scene, "uma", CANVAS)
    assert due(scene) == [event_id]
    again(scene, event_id)
    assert scene.statuses("uma") == ["pending"]
    assert due(scene) == []


@pytest.mark.parametrize("kind", [IdKind.LTI, IdKind.GUESS, IdKind.CANVAS])
def test_an_event_about_a_course_is_looked_at_again_though_nobody_was_woken(scene: Scene, kind: IdKind) -> None:
    event_id = scene.send(told(scene, Identifier(IdKind.LTI, "lea"), course=(Identifier(kind, "102"),)))
    assert due(scene) == []
    key = scene.add_course("102")
    if kind is IdKind.CANVAS:
        with scene.tools.database.write() as session:
            ids = (Identifier(kind, "102"),)
            matching.learn_course(session, session.get_one(Course, key), scene.platform_id, ids)
            session.commit()
    assert due(scene) == [event_id]


def test_an_event_that_is_looked_at_often_is_still_tried_again_after_a_fault(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = scene.send(told(scene, CANVAS))
    for _ in range(70):
        again(scene, event_id)
    learn(scene, "lea", CANVAS)
    with monkeypatch.context() as broken:
        broken.setattr(intake, "_apply", lambda *_: 1 / 0)
        again(scene, event_id)
    event = event_of(scene, event_id)
    assert (event.status, event.failures) == (EventStatus.RECEIVED, 1)
    # The sweep finds it, whatever became of the message.
    scene.now = event.due_at
    with scene.tools.database.read() as session:
        assert intake.due_events(session, scene.now) == [event_id]
    again(scene, event_id)
    assert scene.statuses("lea") == ["pending"]
    assert event_of(scene, event_id).failures == 0


def many_waiting(scene: Scene, number: int, course: str) -> None:
    """So many events wait until somebody opens this course."""
    told = {"source_id": scene.source_id, "body": "[]", "due_at": scene.now, "received_at": scene.now}
    told |= {"status": EventStatus.UNMATCHED, "processed_at": scene.now, "attempts": 1}
    with scene.tools.database.write() as session:
        session.execute(insert(Event), [told | {"delivery_id": f"many-{n}"} for n in range(number)])
        missing = {"platform_id": scene.platform_id, "kind": IdKind.LTI, "value": course}
        session.execute(insert(MissingId), [missing | {"event_id": key} for key in session.scalars(select(Event.id))])
        session.commit()


def statements_of(session: Session) -> list[str]:
    """What the session sends to the database from now on."""
    sent: list[str] = []
    listen(session.connection(), "before_cursor_execute", lambda *told: sent.append(told[2]))
    return sent


def test_whoever_opens_a_course_does_not_wait_for_all_that_waited_for_it(scene: Scene) -> None:
    many_waiting(scene, 1500, "102")
    woken = woken_by(scene)
    key = scene.add_course("102")
    with scene.tools.database.write() as session:
        sent = statements_of(session)
        matching.note_course(session, session.get_one(Course, key), scene.platform_id)
        session.commit()
    assert len(woken) == matching.AT_ONCE
    assert len(sent) < 10
    # The sweeps of the next minutes find all of them.
    scene.now += timedelta(minutes=1)
    with scene.tools.database.read() as session:
        assert len(intake.due_events(session, scene.now)) == 1000
        assert len(intake.due_events(session, scene.now, limit=2000)) == 1500


def test_what_was_missed_is_looked_at_again_in_parts_the_longest_waiting_first(scene: Scene) -> None:
    many_waiting(scene, 1200, "102")
    scene.add_course("102")
    with scene.tools.database.write() as session:
        last = session.scalars(select(func.max(Event.id))).one()
        session.execute(update(Event).where(Event.id == last).values(processed_at=scene.now - timedelta(days=1)))
        session.commit()
        found = matching.missed(session, scene.now + timedelta(hours=1))
    assert len(found) == 1000
    assert found[0] == last


def test_an_event_that_is_being_worked_on_does_not_keep_a_launch_waiting(scene: Scene) -> None:
    """It holds its own row and may wait for the course, which the launch holds."""
    event_id = scene.send(told(scene, CANVAS))
    woken = woken_by(scene)
    # Not by `write`: there, SQLite lets nobody else in.
    with scene.tools.database.read() as worker:
        worker.scalar(select(Event).where(Event.id == event_id).with_for_update())
        learn(scene, "lea", CANVAS)
    assert woken == [("event", event_id)]
