"""Results are read from the LMS too: on a schedule, after launches, by a button; what no event told is found."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from lti_tool.lti.claims import NRPS_SCOPE
from lti_tool.models import (
    Activity,
    Course,
    Deployment,
    Enrolment,
    Event,
    Person,
    PlatformToken,
    PullMark,
    Result,
    Source,
    SourceHour,
)
from lti_tool.sandbox.faults import Fault
from lti_tool.sandbox.lms import LmsConfig, lineitems
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import health, pulls, sources, trials
from lti_tool.services.pulls import Pulled
from lti_tool.services.reading import Reading
from tests.functional.test_webhooks import grade_body, post
from tests.world import BIOLOGY, CLOSE, EARLY, LEARNER, TEACHER, World, running_world

LINK_ITEM = "1"  # The column of the tool's own link in Biology.
BUTTON = "Read the results now"


def in_gradebook(world: World, sub: str, score: float | None, at: datetime | None = None) -> None:
    """Put a result into the column of the tool's own link, of which the LMS tells nobody."""
    item = world.lms.line_items[LINK_ITEM]
    item.results[sub] = lineitems.Result(sub, at or datetime.now(UTC), score, "")


def course(world: World) -> Course:
    with world.tools.database.read() as session:
        return session.scalars(select(Course).order_by(Course.id)).first() or pytest.fail("no course")


def change_course(world: World, **values: Any) -> None:
    with world.tools.database.write() as session:
        session.execute(update(Course).values(**values))
        session.commit()


def results(world: World) -> dict[str, tuple[float | None, bool]]:
    """What is known in the column of the link: score and whether it is released, by `sub`."""
    query = (
        select(Person.sub, Result.score_given, Result.grade_released)
        .join(Result, Result.person_id == Person.id)
        .join(Activity, Activity.id == Result.activity_id)
        .where(Activity.kind == "line_item")
    )
    with world.tools.database.read() as session:
        return {sub: (score, released) for sub, score, released in session.execute(query)}


def pull(world: World, **options: Any) -> Pulled | None:
    found = pulls.pull(world.tools, 1, datetime.now(UTC), **options)
    world.work()
    return found


def lost(world: World) -> int:
    with world.tools.database.read() as session:
        return session.scalar(select(func.coalesce(func.sum(SourceHour.lost), 0))) or 0


def asked(world: World, part: str) -> int:
    return sum(part in line for line in world.lms.requests)


def test_the_first_launch_of_a_teacher_reads_and_starts_the_schedule(world: World) -> None:
    in_gradebook(world, LEARNER, 83)
    before = datetime.now(UTC)
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, True)}
    found = course(world)
    assert found.pulled_at is not None
    assert found.pull_due_at is not None
    assert timedelta(minutes=50) < found.pull_due_at - before < timedelta(minutes=70)
    # Within ten minutes nobody asks again.
    calls = asked(world, "/results")
    world.launch(TEACHER)
    assert asked(world, "/results") == calls
    change_course(world, pulled_at=before - timedelta(minutes=11))
    world.launch(TEACHER)
    assert asked(world, "/results") > calls


def test_a_learners_launch_starts_the_schedule_too(world: World) -> None:
    world.launch(LEARNER)
    assert course(world).pull_due_at is not None
    assert course(world).pulled_at is None


def test_the_sweep_reads_courses_with_an_active_rule(world: World) -> None:
    teacher = world.launch(TEACHER)
    in_gradebook(world, LEARNER, 83)
    change_course(world, pull_due_at=datetime.now(UTC) - timedelta(seconds=1))
    world.sweep()
    assert results(world) == {}
    world.connect(teacher)
    world.make_rule(teacher, activity="Badges").submit("/activate", {"scope": "all"})
    world.sweep()
    assert results(world) == {LEARNER: (83.0, True)}
    assert world.award_of(LEARNER).rule_id == 1


def test_nothing_is_scheduled_where_the_schedule_is_off_or_nothing_can_be_read(
    database_url: str, tmp_path: Path
) -> None:
    with running_world(database_url, tmp_path, pull_minutes=0) as world:
        world.launch(TEACHER)
        assert course(world).pulled_at is not None
        assert course(world).pull_due_at is None
        change_course(world, service_scopes=[NRPS_SCOPE], pulled_at=None)
        assert pull(world, force=True) is None


def test_the_button_reads_at_once(world: World) -> None:
    teacher = world.launch(TEACHER)
    assert "Not read from the LMS yet" in teacher.text
    in_gradebook(world, LEARNER, 83)
    rosters = asked(world, "/lti/nrps/")
    teacher.submit("/refresh")
    assert "The results are being read from the LMS" in teacher.text
    # The page did not wait for it.
    assert results(world) == {}
    world.work()
    assert results(world) == {LEARNER: (83.0, True)}
    assert asked(world, "/lti/nrps/") > rosters
    assert "Last read from the LMS" in teacher.open(world.course_url(teacher)).text


def test_where_nothing_can_be_read_there_is_no_button(world: World) -> None:
    teacher = world.launch(TEACHER)
    assert BUTTON in teacher.text
    change_course(world, service_scopes=[NRPS_SCOPE])
    stale = Visitor()
    stale.browser.session.cookies = teacher.browser.session.cookies
    stale.open(world.course_url(teacher))
    assert BUTTON not in stale.text
    teacher.submit("/refresh")
    assert teacher.status == 409
    assert "switch on the grade services" in teacher.text


def test_a_failure_is_shown_and_waited_for_longer_and_longer(world: World) -> None:
    teacher = world.launch(TEACHER)
    pulled_at = course(world).pulled_at
    pauses = []
    for _ in range(6):
        world.lms.faults.add(Fault("/lti/ags/", status=503, times=3))
        assert pull(world, force=True) is None
        found = course(world)
        assert found.pull_due_at is not None
        pauses.append((found.pull_due_at - datetime.now(UTC)) / timedelta(hours=1))
    for number, pause in enumerate(pauses[:4]):
        assert 0.85 * 2 ** (number + 1) < pause < 1.15 * 2 ** (number + 1)
    assert all(23.9 < pause <= 24 for pause in pauses[4:])
    assert course(world).pulled_at == pulled_at
    assert course(world).pull_failures == 6
    text = teacher.open(world.course_url(teacher)).text
    assert "The results could not be read from the LMS" in text
    assert "status 503" in text
    assert "ask the administrator of the LMS" in text
    # Nor does a launch try before its time, though what is known is old.
    change_course(world, pulled_at=datetime.now(UTC) - timedelta(days=1))
    calls = asked(world, "/lineitems")
    world.launch(TEACHER)
    assert asked(world, "/lineitems") == calls
    assert pull(world, force=True) == Pulled(0, 0)
    assert (course(world).pull_failures, course(world).pull_error) == (0, None)
    assert "could not be read" not in teacher.open(world.course_url(teacher)).text


@pytest.mark.parametrize("path", ["/lti/ags/", "/lti/token"])
def test_the_lms_says_when_to_come_again(world: World, path: str) -> None:
    world.launch(TEACHER)
    with world.tools.database.write() as session:
        session.execute(delete(PlatformToken))
        session.commit()
    world.lms.faults.add(Fault(path, status=429, headers={"Retry-After": "36000"}))
    assert pull(world, force=True) is None
    due = course(world).pull_due_at
    assert due is not None
    assert timedelta(hours=9.9) < due - datetime.now(UTC) < timedelta(hours=10.1)


def test_only_one_reads_a_course_at_a_time(world: World) -> None:
    world.launch(TEACHER)
    change_course(world, pull_due_at=datetime.now(UTC) - timedelta(minutes=1))
    world.lms.faults.add(Fault("/lineitems", kind="delay", delay=1.0))
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: pulls.pull(world.tools, 1, datetime.now(UTC)), range(2)))
    assert sorted(found, key=bool) == [None, Pulled(0, 0)]


def event_about_the_column(world: World) -> None:
    """A source names the column of the link, as the address that AGS has for it."""
    body, item = grade_body(50, EARLY), world.lms.line_items[LINK_ITEM]
    body["data"]["activity"] = {"id": lineitems.item_url(item, world.lms_url), "title": "Badges"}
    body["data"]["score"]["scoreMaximum"] = item.maximum
    assert post(world, json.dumps(body).encode()).status_code == 202
    world.work()


def test_what_no_event_told_is_counted(world: World) -> None:
    now = datetime.now(UTC)
    in_gradebook(world, EARLY, 50, now - timedelta(days=3))
    world.announce()
    event_about_the_column(world)
    world.launch(TEACHER)
    # The first read counts nothing: nobody knows since when events should have come.
    assert EARLY in results(world)
    assert lost(world) == 0
    change_course(world, pulled_at=now - timedelta(hours=1))
    in_gradebook(world, LEARNER, 83, now - timedelta(minutes=30))
    # Its event may still be on its way.
    in_gradebook(world, CLOSE, 60, now - timedelta(minutes=1))
    assert pull(world, force=True) == Pulled(3, 2)
    assert lost(world) == 1
    assert pull(world, force=True) == Pulled(3, 0)
    assert lost(world) == 1


def test_a_first_read_that_failed_is_still_the_first(world: World) -> None:
    world.announce()
    world.lms.faults.add(Fault("/lti/ags/", times=3))
    in_gradebook(world, LEARNER, 83, datetime.now(UTC) - timedelta(days=3))
    world.launch(TEACHER)
    assert (course(world).pull_failures, course(world).pulled_at) == (1, None)
    assert pull(world, force=True) == Pulled(1, 1)
    assert lost(world) == 0


def test_the_own_column_is_not_lost_where_events_call_it_otherwise(world: World) -> None:
    """Moodle's events name it by the number of the grade item, those of Canvas by the assignment."""
    world.launch(TEACHER)
    world.announce()
    change_course(world, pulled_at=datetime.now(UTC) - timedelta(hours=1))
    in_gradebook(world, LEARNER, 83, datetime.now(UTC) - timedelta(minutes=30))
    assert pull(world, force=True) == Pulled(1, 1)
    assert lost(world) == 0


def test_a_source_that_was_only_tried_has_lost_nothing(world: World) -> None:
    world.launch(TEACHER)
    now = datetime.now(UTC)
    trials.send(world.tools, 1, "test", now)
    with world.tools.database.write() as session:
        health.note_lost(session, session.get_one(Deployment, 1), 3, now)
        session.commit()
    assert lost(world) == 0
    # Nor has it spoken.
    assert sources.list_all(world.tools)[0]["last_event"] is None


def test_a_source_that_never_spoke_has_lost_nothing(world: World) -> None:
    world.launch(TEACHER)
    now = datetime.now(UTC)
    change_course(world, pulled_at=now - timedelta(hours=1))
    in_gradebook(world, LEARNER, 83, now - timedelta(minutes=30))
    assert pull(world, force=True) == Pulled(1, 1)
    assert lost(world) == 0


def test_a_grade_of_a_column_that_learners_do_not_see_is_not_released(world: World) -> None:
    item = world.lms.line_items[LINK_ITEM]
    item.is_released = False
    in_gradebook(world, LEARNER, 83)
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, False)}
    item.is_released = True
    assert pull(world, force=True) == Pulled(1, 1)
    assert results(world) == {LEARNER: (83.0, True)}


def test_what_was_read_with_nothing_new_leaves_no_event(world: World) -> None:
    in_gradebook(world, LEARNER, 83)
    in_gradebook(world, EARLY, None)
    world.launch(TEACHER)
    for _ in range(2):
        assert pull(world, force=True) == Pulled(1, 0)
    with world.tools.database.read() as session:
        kinds = session.scalars(select(Source.kind).join(Event, Event.source_id == Source.id)).all()
    assert kinds == ["pull"]


@pytest.fixture
def small_pages(database_url: str, tmp_path: Path) -> Iterator[World]:
    """An LMS that pages early, tells versions and does not date its results, as AGS allows."""
    config = LmsConfig(webhook_tries=1, ags_page_size=2, ags_etags=True, ags_dates=False)
    with running_world(database_url, tmp_path, lms=config) as world:
        yield world


def test_results_that_have_not_changed_are_not_read_again(small_pages: World) -> None:
    world = small_pages
    in_gradebook(world, LEARNER, 83)
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, True)}
    due = datetime.now(UTC)
    change_course(world, pull_due_at=due)
    assert pull(world) == Pulled(0, 0)
    # A change, of a result or of the column, is seen; asked for by hand, everything is read.
    in_gradebook(world, LEARNER, 90)
    change_course(world, pull_due_at=due)
    assert pull(world) == Pulled(1, 1)
    assert results(world) == {LEARNER: (90.0, True)}
    world.lms.line_items[LINK_ITEM].is_released = False
    change_course(world, pull_due_at=due)
    assert pull(world) == Pulled(1, 1)
    assert results(world) == {LEARNER: (90.0, False)}
    assert pull(world, force=True) == Pulled(1, 0)


def test_the_version_of_one_of_several_pages_says_nothing(small_pages: World) -> None:
    world = small_pages
    for number, sub in enumerate((LEARNER, EARLY, CLOSE)):
        in_gradebook(world, sub, 80 + number)
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (80.0, True), EARLY: (81.0, True), CLOSE: (82.0, True)}
    with world.tools.database.read() as session:
        assert session.scalars(select(PullMark)).all() == []
    in_gradebook(world, CLOSE, 99)
    change_course(world, pull_due_at=datetime.now(UTC))
    assert pull(world) == Pulled(3, 1)
    assert results(world)[CLOSE] == (99.0, True)


def test_a_grade_that_was_taken_back_is_noticed(world: World) -> None:
    in_gradebook(world, LEARNER, 83, datetime.now(UTC) - timedelta(hours=1))
    in_gradebook(world, EARLY, None)
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, True)}
    in_gradebook(world, LEARNER, None)
    assert pull(world, force=True) == Pulled(0, 1)
    assert results(world) == {LEARNER: (None, True)}
    assert pull(world, force=True) == Pulled(0, 0)


def another_column(world: World, key: str) -> None:
    """One more column of the tool in Biology, before that of its link."""
    added = lineitems.LineItem(key, BIOLOGY, "Essay", 10)
    world.lms.line_items = {key: added, **world.lms.line_items}


def test_a_column_that_cannot_be_read_does_not_hide_the_others(world: World) -> None:
    another_column(world, "9")
    in_gradebook(world, LEARNER, 83)
    for _ in range(2):
        world.lms.faults.add(Fault("/9/lineitem/results", status=404))
    teacher = world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, True)}
    found = course(world)
    assert found.pull_failures == 0
    # But it is said.
    assert "404" in (found.pull_error or "")
    assert "could not be read from the LMS" in teacher.open(world.course_url(teacher)).text


def test_what_was_read_before_the_lms_broke_down_is_kept(world: World) -> None:
    world.lms.line_items["9"] = lineitems.LineItem("9", BIOLOGY, "Essay", 10)
    world.lms.line_items["99"] = lineitems.LineItem("99", BIOLOGY, "Oral", 10)
    in_gradebook(world, LEARNER, 83)
    world.lms.faults.add(Fault("/9/lineitem/results", status=503, times=9))
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, True)}
    assert "503" in (course(world).pull_error or "")
    # Nobody waits for the rest meanwhile.
    assert asked(world, "/99/lineitem/results") == 0


@pytest.mark.parametrize("minutes", [60, 0])
def test_a_read_that_was_asked_for_during_another_is_not_forgotten(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """What the event told of may have happened after this read had passed it."""
    with running_world(database_url, tmp_path, pull_minutes=minutes) as world:
        world.launch(TEACHER)
        now = datetime.now(UTC)
        ags = pulls.READERS[0]

        def read(*args: Any) -> Reading:
            reading = ags.read(*args)
            pulls.request_for_event(world.tools, 1, now)
            return reading

        monkeypatch.setattr(pulls, "READERS", (replace(ags, read=read),))
        assert pull(world, force=True) == Pulled(0, 0)
        assert course(world).pull_due_at == now + pulls.FLOCK
        # One that fails waits as long as after any failure.
        world.lms.faults.add(Fault("/lti/ags/", status=503, times=3))
        assert pull(world, force=True) is None
        assert course(world).pull_due_at != now + pulls.FLOCK


def test_a_result_that_is_not_listed_any_more_was_taken_back(world: World) -> None:
    in_gradebook(world, LEARNER, 83, datetime.now(UTC) - timedelta(hours=1))
    in_gradebook(world, EARLY, 50, datetime.now(UTC) - timedelta(hours=1))
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, True), EARLY: (50.0, True)}
    item = world.lms.line_items[LINK_ITEM]
    listed = dict(item.results)
    # Whoever has left the course is not listed because of that.
    with world.tools.database.write() as session:
        early = select(Person.id).where(Person.sub == EARLY).scalar_subquery()
        session.execute(update(Enrolment).where(Enrolment.person_id == early).values(active=False))
        session.commit()
    item.results.clear()
    assert pull(world, force=True) == Pulled(0, 1)
    assert results(world) == {LEARNER: (None, True), EARLY: (50.0, True)}
    assert pull(world, force=True) == Pulled(0, 0)
    assert lost(world) == 0
    item.results |= listed
    in_gradebook(world, LEARNER, 84)
    assert pull(world, force=True) == Pulled(2, 1)
    assert results(world)[LEARNER] == (84.0, True)


def test_a_list_that_may_not_know_of_the_newest_result_is_read_again(small_pages: World) -> None:
    """An event came while the LMS was making its list; the version of that list is not the last word on it."""
    in_gradebook(small_pages, LEARNER, 83)
    small_pages.launch(TEACHER)
    small_pages.lms.line_items[LINK_ITEM].results.clear()

    def pull_after(age: timedelta) -> Pulled | None:
        now = datetime.now(UTC)
        with small_pages.tools.database.write() as session:
            session.execute(update(Result).values(graded_at=now - age))
            session.commit()
        change_course(small_pages, pull_due_at=now)
        return pull(small_pages)

    assert pull_after(timedelta(minutes=1)) == Pulled(0, 0)
    assert pull_after(timedelta(hours=1)) == Pulled(0, 1)
    assert results(small_pages) == {LEARNER: (None, True)}


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 10**400, "83", True])
def test_a_score_that_nobody_can_have_stops_nothing_and_takes_nothing_back(world: World, score: Any) -> None:
    in_gradebook(world, CLOSE, 83, datetime.now(UTC) - timedelta(hours=1))
    world.launch(TEACHER)
    in_gradebook(world, CLOSE, 84)
    in_gradebook(world, LEARNER, 50)
    body = json.dumps(
        [
            {"userId": sub, "resultScore": given, "resultMaximum": 100}
            for sub, given in ((CLOSE, score), (LEARNER, 50), ("x" * 300, 50), ("\ud800", 50), (10**30, 50), (None, 50))
        ]
    )
    world.lms.faults.add(Fault("/results", status=200, body=body, content_type="application/json", times=2))
    assert pull(world, force=True) == Pulled(1, 1)
    assert results(world) == {CLOSE: (83.0, True), LEARNER: (50.0, True)}
    assert course(world).pull_error is None


@pytest.mark.parametrize(("label", "title"), [("x" * 600, "x" * 500), ("a\x00b", "ab"), ("a\ud800b", "ab")])
def test_a_label_that_no_database_keeps_stops_nothing(world: World, label: str, title: str) -> None:
    world.lms.line_items[LINK_ITEM].label = label
    in_gradebook(world, LEARNER, 83)
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, True)}
    with world.tools.database.read() as session:
        assert session.scalars(select(Activity.title)).one() == title


def test_a_line_item_without_an_address_does_not_hide_the_others(world: World) -> None:
    in_gradebook(world, LEARNER, 83)
    address = lineitems.item_url(world.lms.line_items[LINK_ITEM], world.lms_url)
    body = json.dumps(
        [{"label": "broken"}, "nothing", {"id": 5}, {"id": address, "label": "Badges", "scoreMaximum": 100}]
    )
    world.lms.faults.add(Fault(r"/lineitems(\?|$)", status=200, body=body, content_type="application/json"))
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, True)}


def test_a_column_that_the_tool_may_not_read_does_not_hide_the_others(world: World) -> None:
    another_column(world, "9")
    in_gradebook(world, LEARNER, 83)
    world.lms.faults.add(Fault("/9/lineitem/results", status=403, times=99))
    world.launch(TEACHER)
    assert results(world) == {LEARNER: (83.0, True)}
    assert "403" in (course(world).pull_error or "")


def test_where_the_tool_may_read_no_column_not_all_are_asked_for(world: World) -> None:
    for number in range(10, 20):
        another_column(world, str(number))
    world.lms.faults.add(Fault("/results", status=403, times=99))
    world.launch(TEACHER)
    assert asked(world, "/results") == 3


def test_what_nobody_has_thought_of_is_noted_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> Reading:
        raise KeyError("odd")

    world.launch(TEACHER)
    monkeypatch.setattr(pulls, "READERS", (replace(pulls.READERS[0], read=stumble),))
    assert pull(world, force=True) is None
    found = course(world)
    assert found.pull_error == pulls.NOT_UNDERSTOOD
    assert found.pull_failures == 1
