"""Grades and completion are read from Moodle's web services, beside what its events and AGS tell."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.models import Activity, Course, Event, Person, Result, Source
from lti_tool.sandbox.faults import Fault
from lti_tool.sandbox.lms import LmsConfig, lineitems
from lti_tool.sandbox.lms.grades import Grade
from lti_tool.services import pull_moodle, pulls
from lti_tool.services.pulls import Pulled
from lti_tool.sources import moodle_ws
from lti_tool.sources import pull as pull_form
from tests.world import BIOLOGY, CLOSE, EARLY, LEARNER, TEACHER, World, running_world

TOKEN = "cafe0123456789abcdef0123456789ab"
QUIZ, TOTAL, COURSE_ITEM = 200, 203, "course"


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A Moodle whose administrator has entered a token for its web services."""
    with running_world(database_url, tmp_path, lms=LmsConfig(webhook_tries=1, ws_token=TOKEN)) as world:
        enter(world, site_url=world.lms_url, ws_token=TOKEN)
        yield world


def enter(world: World, **options: str) -> None:
    with world.tools.database.write() as session:
        session.execute(delete(Source).where(Source.kind == pull_moodle.KIND))
        session.add(
            Source(
                public_id="moodle",
                platform_id=1,
                kind=pull_moodle.KIND,
                name="Moodle",
                sealed_secret=world.tools.vault.seal("secret"),
                sealed_options=world.tools.vault.seal(json.dumps(options)),
                created_at=datetime.now(UTC),
            )
        )
        session.commit()


def set_grade(world: World, sub: str, activity: str, **grade: object) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    world.lms.grades[BIOLOGY, sub, activity] = Grade(**{"at": at} | grade)  # type: ignore[arg-type]


def pull(world: World) -> Pulled | None:
    found = pulls.pull(world.tools, 1, datetime.now(UTC), force=True)
    world.work()
    return found


def known(world: World, sub: str) -> dict[str, tuple[str, str, object]]:
    """What is known of a person: title, kind, and the grade or progress, by the activity's id in the LMS."""
    query = select(Activity, Result).join(Result).join(Person, Person.id == Result.person_id).where(Person.sub == sub)
    with world.tools.database.read() as session:
        return {
            activity.external_id or "": (
                activity.title,
                activity.kind,
                result.state.grade or (result.state.progress and result.state.progress.progress),
            )
            for activity, result in session.execute(query)
        }


def course(world: World) -> Course:
    with world.tools.database.read() as session:
        return session.get_one(Course, 1)


def test_grades_and_completion_are_found(world: World) -> None:
    set_grade(world, EARLY, COURSE_ITEM, score=88.5)
    set_grade(world, EARLY, "essay", score=60, released=False)
    world.launch(TEACHER)
    pull(world)
    at = world.lms.grades[BIOLOGY, EARLY, "quiz-1"].at
    hour_ago, total_at = (
        world.lms.grades[BIOLOGY, EARLY, item].at.replace(microsecond=0) for item in ("essay", COURSE_ITEM)
    )
    assert known(world, EARLY) == {
        "moodle:item:200": ("Quiz 1", "quiz", GradeFact(at, 9, 10)),
        "moodle:item:202": ("Essay", "assign", GradeFact(hour_ago, 60, 100, released=False)),
        f"moodle:item:{TOTAL}": ("Course grade", "course_grade", GradeFact(total_at, 88.5, 100)),
        "moodle:cm:1200": ("Quiz 1 (completion)", "quiz", ActivityProgress.COMPLETED),
        "moodle:cm:1201": ("Lab 2 (completion)", "lesson", ActivityProgress.COMPLETED),
        "moodle:cm:1202": ("Essay (completion)", "assign", ActivityProgress.COMPLETED),
        "moodle:course": ("Course completion", "course", ActivityProgress.COMPLETED),
    }
    # Nothing is known of whoever has done nothing.
    assert known(world, LEARNER) == {}
    found = pull(world)
    assert found is not None
    assert found.changed == 0


def test_what_is_not_complete_any_more_is_noticed(world: World) -> None:
    world.launch(TEACHER)
    pull(world)
    assert known(world, EARLY)["moodle:cm:1201"][2] is ActivityProgress.COMPLETED
    set_grade(world, EARLY, "lab-2", completed=False)
    pull(world)
    assert known(world, EARLY)["moodle:cm:1201"][2] is ActivityProgress.IN_PROGRESS
    assert known(world, EARLY)["moodle:course"][2] is ActivityProgress.IN_PROGRESS


def test_what_is_failed_is_handed_in_and_not_completed_any_more(world: World) -> None:
    world.launch(TEACHER)
    pull(world)
    for sub in (EARLY, CLOSE):
        set_grade(world, sub, "lab-2", completed=True, failed=True)
    pull(world)
    lab = select(Person.sub, Result).join(Person).join(Activity).where(Activity.external_id == "moodle:cm:1201")
    with world.tools.database.read() as session:
        found = {sub: result.state for sub, result in session.execute(lab)}
    assert {sub for sub, state in found.items() if state.hand_in} == {EARLY, CLOSE}
    former = found[EARLY].progress
    assert former is not None
    assert former.progress is ActivityProgress.IN_PROGRESS
    assert found[CLOSE].progress is None
    again = pull(world)
    assert again is not None
    assert again.changed == 0


def test_a_rule_on_a_grade_of_moodle_awards(world: World) -> None:
    world.launch(TEACHER)
    pull(world)
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    world.make_rule(teacher, activity="Essay", percent="70").submit("/activate", {"scope": "all"})
    world.work()
    assert world.award_of(EARLY).rule_id == 1
    set_grade(world, LEARNER, "essay", score=90)
    pull(world)
    assert world.award_of(LEARNER).rule_id == 1


def test_without_a_token_moodle_is_not_asked(world: World) -> None:
    enter(world, site_url=world.lms_url)
    world.launch(TEACHER)
    pull(world)
    assert not [line for line in world.lms.requests if moodle_ws.PATH in line]


def test_a_broken_moodle_does_not_stop_the_grade_service(world: World) -> None:
    teacher = world.launch(TEACHER)
    world.lms.line_items["1"].results[LEARNER] = lineitems.Result(LEARNER, datetime.now(UTC), 83, "")
    enter(world, site_url=world.lms_url, ws_token="another")
    assert pull(world) == Pulled(1, 1)
    assert len(known(world, LEARNER)) == 1
    found = course(world)
    assert (found.pull_failures, found.pulled_at is not None) == (0, True)
    assert found.pull_due_at is not None
    assert found.pull_due_at < datetime.now(UTC) + timedelta(minutes=70)
    text = teacher.open(world.course_url(teacher)).text
    assert "Some results could not be read from the LMS" in text
    assert "Make a new one in Moodle" in text
    assert "another" not in text


def test_a_broken_grade_service_does_not_stop_moodle(world: World) -> None:
    world.launch(TEACHER)
    set_grade(world, LEARNER, "quiz-1", score=7)
    world.lms.faults.add(Fault("/lti/ags/", times=10))
    pull(world)
    assert "moodle:item:200" in known(world, LEARNER)
    assert "status 500" in (course(world).pull_error or "")


@pytest.mark.parametrize(
    ("function", "missing", "there"),
    [
        (moodle_ws.GRADES, "moodle:item:200", "moodle:cm:1200"),
        (moodle_ws.COMPLETION, "moodle:cm:1200", "moodle:item:200"),
        (moodle_ws.COURSE_COMPLETION, "moodle:course", "moodle:cm:1200"),
    ],
)
def test_a_function_that_is_not_allowed_leaves_the_others(
    world: World, function: str, missing: str, there: str
) -> None:
    world.lms.config = replace(world.lms.config, ws_refused=(function,))
    world.launch(TEACHER)
    pull(world)
    found = known(world, EARLY)
    assert missing not in found
    assert there in found
    assert f"does not have the function {function}" in (course(world).pull_error or "")


def test_somebody_who_has_left_does_not_stop_the_others(world: World) -> None:
    world.launch(TEACHER)
    there = world.lms.courses[BIOLOGY]
    world.lms.courses[BIOLOGY] = replace(there, members=tuple(m for m in there.members if m.person.sub != LEARNER))
    set_grade(world, CLOSE, "lab-2", completed=True)
    pull(world)
    assert {"moodle:cm:1201", "moodle:course"} <= known(world, CLOSE).keys()
    assert course(world).pull_error is None


def test_a_course_without_a_rule_of_completion_is_no_fault(world: World) -> None:
    there = world.lms.courses[BIOLOGY]
    graded = tuple(activity for activity in there.activities if activity.maximum is not None)
    world.lms.courses[BIOLOGY] = replace(there, activities=graded)
    world.lms.requests.clear()
    world.launch(TEACHER)
    pull(world)
    assert "moodle:course" not in known(world, EARLY)
    assert "moodle:cm:1200" in known(world, EARLY)
    assert course(world).pull_error is None


def test_without_titles_activities_are_called_by_their_numbers(world: World) -> None:
    world.lms.config = replace(world.lms.config, ws_refused=(moodle_ws.CONTENTS,))
    world.launch(TEACHER)
    pull(world)
    assert known(world, EARLY)["moodle:cm:1201"][0] == "Lesson 1201"
    world.lms.config = replace(world.lms.config, ws_refused=())
    pull(world)
    assert known(world, EARLY)["moodle:cm:1201"][0] == "Lab 2 (completion)"


def test_a_moodle_that_is_down_is_not_asked_once_for_each_person(world: World) -> None:
    world.launch(TEACHER)
    world.lms.requests.clear()
    world.lms.faults.add(Fault(moodle_ws.PATH, status=503, times=3))
    pull(world)
    assert sum(moodle_ws.PATH in line for line in world.lms.requests) == 1


def test_in_a_large_course_each_learner_has_a_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_moodle, "LEARNERS_AT_ONCE", 5)
    world.launch(TEACHER)
    found = course(world)
    now = datetime.now(UTC)
    with world.tools.database.read() as session:
        turns = [pull_moodle._learners(session, found, 60, now + timedelta(hours=n))[0] for n in range(3)]
    assert [len(turn) for turn in sorted(turns, key=len)] == [2, 5, 5]
    assert len({sub for turn in turns for sub in turn}) == 12


def grade_reads(world: World) -> list[str]:
    return [line for line in world.lms.requests if moodle_ws.GRADES in line]


@pytest.mark.parametrize("why", ["it has many learners", "its answer is too long"])
def test_the_gradebook_of_a_large_course_is_read_by_learners(
    world: World, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    asked: list[int] = []
    grades = moodle_ws.MoodleWebServices.grades

    def counted(self: moodle_ws.MoodleWebServices, course_id: int, user_id: int = 0) -> moodle_ws.GradeReport:
        asked.append(user_id)
        return grades(self, course_id, user_id)

    monkeypatch.setattr(moodle_ws.MoodleWebServices, "grades", counted)
    if why == "it has many learners":
        monkeypatch.setattr(pull_moodle, "WHOLE_UP_TO", 11)
    else:
        monkeypatch.setattr(moodle_ws, "MAXIMUM_BYTES", 20_000)
    set_grade(world, LEARNER, "quiz-1", score=7)
    world.launch(TEACHER)
    assert f"moodle:item:{QUIZ}" in known(world, LEARNER)
    assert course(world).pull_error is None
    assert set(asked) - {0} == {int(sub) for sub in subs_of_learners(world)}
    assert (0 in asked) is (why == "its answer is too long")


def subs_of_learners(world: World) -> list[str]:
    with world.tools.database.read() as session:
        return pull_moodle._learners(session, session.get_one(Course, 1), 60, datetime.now(UTC))[0]


def test_an_answer_that_is_too_long_leaves_the_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(*_: object) -> moodle_ws.GradeReport:
        raise moodle_ws.MoodleServiceError("Its answer is too long.", moodle_ws.TOO_LONG)

    monkeypatch.setattr(moodle_ws.MoodleWebServices, "grades", too_long)
    world.launch(TEACHER)
    assert course(world).pull_error == "Its answer is too long."
    with world.tools.database.read() as session:
        assert session.scalars(select(Activity).where(Activity.external_id.startswith("moodle:cm:"))).all()


def test_who_waits_for_the_gradebook_has_a_turn_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_moodle, "LEARNERS_AT_ONCE", 5)
    world.launch(TEACHER)
    now = datetime.now(UTC)
    with world.tools.database.write() as session:
        found = session.get_one(Course, 1)
        first, number = pull_moodle._learners(session, found, 60, now)
        next_turn, _ = pull_moodle._learners(session, found, 60, now + timedelta(hours=1))
        late = session.scalars(select(Person).where(Person.sub == next_turn[0])).one()
        quiz = Activity(course_id=1, external_id="moodle:item:999", title="Quiz", created_at=now)
        session.add(quiz)
        session.flush()
        session.add(Result(activity_id=quiz.id, person_id=late.id, graded_at=now, score_given=1, grade_released=False))
        session.flush()
        assert pull_moodle._learners(session, found, 60, now) == ([*first, late.sub], number)


def tell(world: World, *told: GradeEvent) -> None:
    """Events as a webhook of Moodle tells them, kept and worked on."""
    with world.tools.database.write() as session:
        source_id = session.scalars(select(Source.id).where(Source.kind == "pull")).first()
        now = datetime.now(UTC)
        event = Event(
            source_id=source_id,
            delivery_id=f"told-{now.timestamp()}",
            body=pull_form.write(list(told)),
            received_at=now,
            due_at=now,
        )
        session.add(event)
        session.commit()
    world.sweep()


def moodle_event(sub: str, grade: GradeFact | None, progress: ProgressFact | None = None) -> GradeEvent:
    ref = ActivityRef(f"moodle:item:{QUIZ}", "", "grade_item")
    return GradeEvent((Identifier(IdKind.LTI, BIOLOGY),), (Identifier(IdKind.LTI, sub),), ref, grade, progress)


@pytest.mark.parametrize("released", [True, False])
def test_what_an_event_told_by_half_is_completed_by_a_read_soon(world: World, released: bool) -> None:
    world.launch(TEACHER)
    pull(world)
    set_grade(world, CLOSE, "quiz-1", score=8, released=released)
    told_at = world.lms.grades[BIOLOGY, CLOSE, "quiz-1"].at + timedelta(seconds=2)
    tell(world, moodle_event(CLOSE, GradeFact(told_at, 8, None)))
    # A whole class may be graded at once: it is read once, a minute later.
    due = course(world).pull_due_at
    assert due is not None
    assert timedelta(seconds=20) < due - datetime.now(UTC) <= pulls.FLOCK
    tell(world, moodle_event(CLOSE, GradeFact(told_at + timedelta(seconds=1), 8, None)))
    assert course(world).pull_due_at == due
    assert pulls.pull(world.tools, 1, due) is not None
    world.work()
    title, kind, grade = known(world, CLOSE)[f"moodle:item:{QUIZ}"]
    assert (title, kind) == ("Quiz 1", "quiz")
    assert isinstance(grade, GradeFact)
    assert (grade.given, grade.maximum, grade.released) == (8, 10, released)


def test_after_a_failure_events_do_not_make_it_ask_again(world: World) -> None:
    world.launch(TEACHER)
    pull(world)
    later = datetime.now(UTC) + timedelta(hours=4)
    with world.tools.database.write() as session:
        session.execute(update(Course).values(pull_failures=2, pull_due_at=later))
        session.commit()
    tell(world, moodle_event(CLOSE, GradeFact(datetime.now(UTC), 8, None)))
    assert course(world).pull_due_at == later


def test_a_grade_that_is_shown_after_it_was_read_as_hidden_counts(world: World) -> None:
    """Moodle keeps the date of a grade when it is shown at last, and the event about it came after that date."""
    world.launch(TEACHER)
    pull(world)
    set_grade(world, CLOSE, "quiz-1", score=8, released=False)
    key = (BIOLOGY, CLOSE, "quiz-1")
    told_at = world.lms.grades[key].at + timedelta(seconds=2)
    tell(world, moodle_event(CLOSE, GradeFact(told_at, 8, None, released=False)))
    for released in (False, True, False, True):
        world.lms.grades[key] = replace(world.lms.grades[key], released=released)
        pull(world)
        grade = known(world, CLOSE)[f"moodle:item:{QUIZ}"][2]
        assert isinstance(grade, GradeFact)
        assert (grade.given, grade.maximum, grade.released) == (8, 10, released)


def test_a_grade_that_was_taken_back_is_noticed(world: World) -> None:
    world.launch(TEACHER)
    set_grade(world, CLOSE, "quiz-1", score=8)
    pull(world)
    del world.lms.grades[BIOLOGY, CLOSE, "quiz-1"]
    found = pull(world)
    assert found is not None
    assert found.changed > 0
    grade = known(world, CLOSE)[f"moodle:item:{QUIZ}"][2]
    assert isinstance(grade, GradeFact)
    assert grade.given is None
    again = pull(world)
    assert again is not None
    assert again.changed == 0
