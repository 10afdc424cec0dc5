"""An activity that a teacher has named before the LMS told of it is found when the LMS tells its name, however late."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select, update

from lti_tool.domain.criteria import (
    Completed,
    Criteria,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
    activities_of,
    all_of,
    any_of,
)
from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.models import Activity, Course, Event, EventStatus, ExceptionKind, RuleException, RunStatus
from lti_tool.services import activities, exceptions, intake, pulls, rules, runs
from lti_tool.services.drafts import Draft
from lti_tool.services.exceptions import Grant
from lti_tool.sources.canvas_events import COURSE_GRADE
from tests.scene import Scene, remote_badge

UNTITLED, TITLED = (
    ActivityRef("canvas:assignment:9", "", "assignment"),
    ActivityRef("canvas:assignment:9", "Essay", "assignment"),
)
ITEM = ActivityRef("moodle:item:5", "Quiz 1", "quiz")
COMPLETION = ActivityRef("moodle:cm:77", "Quiz 1 (completion)", "quiz")
MODULE, QUIZ = ActivityRef("m1", "Cells", "module"), ActivityRef("q1", "Cells", "quiz")
TOTAL = ActivityRef("moodle:item:8", "Course grade", "course_grade")


def told(
    scene: Scene, ref: ActivityRef, score: float | None = None, progress: str | None = None, sub: str = "lea"
) -> GradeEvent:
    return GradeEvent(
        (Identifier(IdKind.LTI, "101"),),
        (Identifier(IdKind.LTI, sub),),
        ref,
        None if score is None else GradeFact(scene.now, score, 10.0),
        None if progress is None else ProgressFact(scene.now, ActivityProgress(progress)),
    )


def tell(
    scene: Scene, ref: ActivityRef, score: float | None = None, progress: str | None = None, sub: str = "lea"
) -> None:
    scene.now += timedelta(minutes=1)
    scene.send(told(scene, ref, score, progress, sub))


def read(scene: Scene, *events: GradeEvent) -> None:
    """As if this was read from the LMS."""
    scene.now += timedelta(minutes=1)
    with scene.tools.database.write() as session:
        course = session.get_one(Course, scene.course_id)
        pulls.keep(session, scene.tools, course, list(events), {}, scene.now)
        session.commit()
        new = session.scalars(select(Event.id).where(Event.status == EventStatus.RECEIVED)).all()
    for key in new:
        intake.process(scene.tools, key, scene.now)
    scene.settle()


def waiting(
    scene: Scene, make: Callable[[int], Criteria], title: str, kind: str | None = None, badge: str = "B"
) -> int:
    """A rule, switched on, on an activity that the teacher has named."""
    draft = Draft(make(-1), {-1: title}, new_kinds={-1: kind} if kind else {})
    key = rules.create(scene.tools, scene.course_id, scene.teacher_id, remote_badge(badge), draft, scene.now)
    rules.activate(scene.tools, scene.course_id, key, scene.teacher_id, scene.now, also_earned_before=True)
    return key


def score(key: int) -> Criteria:
    return ScoreAtLeast(key, 80)


def books(scene: Scene) -> dict[str | None, str]:
    """The titles of the activities by their ids in the LMS."""
    with scene.tools.database.read() as session:
        query = select(Activity).where(Activity.course_id == scene.course_id).order_by(Activity.id)
        return {activity.external_id: activity.title for activity in session.scalars(query)}


def failures(scene: Scene) -> list[str | None]:
    with scene.tools.database.read() as session:
        return list(session.scalars(select(Event.reason).where(Event.failures > 0)))


def test_canvas_tells_the_name_only_with_the_grade(scene: Scene) -> None:
    waiting(scene, score, "essay ")
    tell(scene, UNTITLED, progress="Submitted")
    assert books(scene) == {None: "essay ", UNTITLED.external_id: "Assignment 9"}
    tell(scene, TITLED, 10)
    assert scene.statuses("lea") == ["pending"]
    assert books(scene) == {TITLED.external_id: "Essay"}
    # What was handed in before counts there, too.
    waiting(scene, Submitted, "Essay", badge="C")
    assert scene.statuses("lea") == ["pending", "pending"]


def test_moodle_tells_the_name_only_when_it_is_read(scene: Scene) -> None:
    waiting(scene, score, "Quiz 1")
    waiting(scene, lambda key: PointsAtLeast(key, 9), "Quiz 1", badge="C")
    tell(scene, ActivityRef(ITEM.external_id, "", "grade_item"), 10)
    assert scene.statuses("lea") == []
    # Nothing else is new in it: nobody waits for another result.
    read(scene, told(scene, ITEM, 10))
    assert sorted(scene.statuses("lea")) == ["pending", "pending"]
    assert books(scene) == {ITEM.external_id: "Quiz 1"}


@pytest.mark.parametrize("refs", [(ITEM, COMPLETION), (COMPLETION, ITEM)])
def test_grade_and_completion_are_two_activities_of_one_name_in_moodle(
    scene: Scene, refs: tuple[ActivityRef, ...]
) -> None:
    waiting(scene, Completed, "Quiz 1")
    both = waiting(scene, lambda key: all_of(ScoreAtLeast(key, 80), Completed(key)), "Quiz 1", badge="C")
    earned = []
    for ref in refs:
        tell(scene, ref, 10 if ref is ITEM else None, None if ref is ITEM else "Completed")
        earned.append(len(scene.statuses("lea")))
    assert earned == ([0, 2] if refs[0] is ITEM else [1, 2])
    assert set(books(scene)) == {ITEM.external_id, COMPLETION.external_id}
    assert len(activities_of(scene.rule_of(both).criteria)) == 2
    # Both are known: who names them now means the one of which it is told.
    later = waiting(scene, lambda key: all_of(ScoreAtLeast(key, 80), Completed(key)), "quiz 1", badge="D")
    assert scene.rule_of(later).criteria == scene.rule_of(both).criteria


def test_the_course_grade_is_found_whatever_a_source_calls_it(scene: Scene) -> None:
    waiting(scene, score, "Course grade")
    waiting(scene, Completed, "The whole course", "course", badge="C")
    tell(scene, COURSE_GRADE, 10)
    assert scene.statuses("lea") == ["pending"]
    tell(scene, ActivityRef("canvas:course", "Biology 101", "course"), progress="Completed")
    assert scene.statuses("lea") == ["pending", "pending"]
    assert books(scene) == {"canvas:course-grade": "Course grade", "canvas:course": "Biology 101"}


def test_a_course_grade_without_a_name_is_called_so(scene: Scene) -> None:
    tell(scene, COURSE_GRADE, 10)
    assert books(scene) == {"canvas:course-grade": "Course grade"}
    waiting(scene, score, "Course grade", "course_grade")
    assert scene.statuses("lea") == ["pending"]


def test_the_whole_course_is_one_whatever_its_id_in_a_source(scene: Scene) -> None:
    tell(scene, ActivityRef("openedx:course", "", "course"), progress="InProgress")
    waiting(scene, Completed, "The whole course", "course")
    tell(scene, ActivityRef("https://edx.example/course-v1:x", "X", "course"), progress="Completed")
    assert scene.statuses("lea") == ["pending"]
    assert books(scene) == {"openedx:course": "X"}
    # Nor does the next read find anything new in it.
    read(scene, told(scene, ActivityRef("another", "X", "course"), progress="Completed"))
    with scene.tools.database.read() as session:
        assert session.scalars(select(Event).where(Event.run_key.is_not(None))).all() == []


def test_moodles_total_turns_out_to_be_the_course_grade(scene: Scene) -> None:
    waiting(scene, score, "Course grade", "course_grade")
    tell(scene, ActivityRef(TOTAL.external_id, "", "grade_total"), 10)
    assert scene.statuses("lea") == []
    read(scene, told(scene, TOTAL, 10))
    assert scene.statuses("lea") == ["pending"]
    # The next event without a name does not make it anything else.
    tell(scene, ActivityRef(TOTAL.external_id, "", "grade_total"), 9)
    with scene.tools.database.read() as session:
        assert session.scalars(select(Activity.kind)).all() == ["course_grade"]


def test_a_module_is_not_the_quiz_of_its_name(scene: Scene) -> None:
    waiting(scene, score, "Cells")
    tell(scene, MODULE, progress="Completed")
    waiting(scene, score, "Cells", badge="C")
    tell(scene, QUIZ, 10)
    assert sorted(scene.statuses("lea")) == ["pending", "pending"]


def test_a_module_can_be_named(scene: Scene) -> None:
    tell(scene, QUIZ, progress="Completed")
    waiting(scene, Completed, "cells", "module")
    assert scene.statuses("lea") == []
    tell(scene, MODULE, progress="Completed")
    assert scene.statuses("lea") == ["pending"]


def test_rules_of_both_names_speak_of_one_activity_from_then_on(scene: Scene) -> None:
    tell(scene, UNTITLED, 10)
    with scene.tools.database.read() as session:
        known = session.scalars(select(Activity.id)).one()
    first = scene.rule(ScoreAtLeast(known, 90))
    other = waiting(scene, score, "Essay")
    tell(scene, TITLED, 10, sub="ola")
    assert scene.statuses("ola") == ["pending", "pending"]
    # Nobody has to send anything again.
    assert scene.statuses("lea") == ["pending", "pending"]
    assert activities_of(scene.rule_of(first).criteria) == activities_of(scene.rule_of(other).criteria) == {known}


def test_a_rule_that_asks_for_both_keeps_asking_for_both(scene: Scene) -> None:
    tell(scene, UNTITLED, 10)
    with scene.tools.database.read() as session:
        known = session.scalars(select(Activity.id)).one()
    key = waiting(scene, lambda new: all_of(ScoreAtLeast(known, 80), ScoreAtLeast(new, 80)), "Essay")
    tell(scene, TITLED, 10)
    assert scene.statuses("lea") == []
    tell(scene, ActivityRef("canvas:assignment:10", "Essay", "assignment"), 10)
    assert scene.statuses("lea") == ["pending"]
    assert len(activities_of(scene.rule_of(key).criteria)) == 2


def test_exceptions_and_former_versions_come_along(scene: Scene) -> None:
    key = waiting(scene, lambda new: any_of(ScoreAtLeast(new, 80), Completed(new)), "Essay")
    rule = scene.rule_of(key)
    (essay,) = activities_of(rule.criteria)
    rules.edit(scene.tools, scene.course_id, key, scene.teacher_id, Draft(ScoreAtLeast(essay, 90)), scene.now)
    grant = Grant(ExceptionKind.EXCUSED, activity_id=essay)
    exceptions.grant(scene.tools, scene.course_id, key, scene.person_ids("ola"), grant, scene.teacher_id, scene.now)
    tell(scene, UNTITLED, 10)
    tell(scene, TITLED, 10)
    with scene.tools.database.read() as session:
        (known,) = session.scalars(select(Activity.id))
        assert session.scalars(select(RuleException.activity_id)).all() == [known]
    assert scene.statuses("lea") == ["pending"]


def test_a_whole_class_that_earns_by_a_name_waits_for_a_person(scene: Scene) -> None:
    subs = [f"l{number}" for number in range(20)]
    scene.enrol(*subs)
    for sub in subs:
        scene.send(told(scene, UNTITLED, 10, sub=sub))
    waiting(scene, score, "Essay")
    read(scene, told(scene, TITLED, 10, sub=subs[0]))
    assert scene.statuses(subs[1]) == ["held"]
    assert scene.run().status is RunStatus.WAITING
    runs.confirm(scene.tools, scene.course_id, scene.run().id, "Terry", scene.now)
    assert scene.statuses(subs[1]) == ["pending"]


def test_a_replay_changes_nothing(scene: Scene) -> None:
    waiting(scene, score, "Essay")
    tell(scene, UNTITLED, progress="Submitted")
    tell(scene, TITLED, 10)
    before = books(scene), scene.statuses("lea")
    with scene.tools.database.write() as session:
        session.execute(update(Event).values(status=EventStatus.RECEIVED, run_key="replay-1"))
        session.commit()
        keys = session.scalars(select(Event.id).order_by(Event.id)).all()
    for key in (*keys, *keys):
        intake.process(scene.tools, key, scene.now)
    assert (books(scene), scene.statuses("lea")) == before


def test_names_come_while_others_store_and_wait(scene: Scene) -> None:
    """Everything at once: deadlocks would be seen as failed events."""
    subs = [f"l{number}" for number in range(24)]
    scene.enrol(*subs)
    for title in ("Essay", "Lab"):
        waiting(scene, score, title, badge=title)
    keys = []
    with scene.tools.database.write() as session:
        for number, sub in enumerate(subs):
            for place, title in enumerate(("Essay", "Lab")[:: 1 if number % 2 else -1]):
                at = scene.now + timedelta(seconds=number)
                for name in ("", title) if place == number % 2 else (title, ""):
                    ref = ActivityRef(f"canvas:assignment:{title}", name, "assignment")
                    one = GradeEvent(
                        (Identifier(IdKind.LTI, "101"),), (Identifier(IdKind.LTI, sub),), ref, GradeFact(at, 10, 10)
                    )
                    session.add(scene.event(one))
        session.commit()
        keys = list(session.scalars(select(Event.id)))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(partial(intake.process, scene.tools, now=scene.now + timedelta(hours=1)), keys))
        # And somebody names one more meanwhile.
        list(pool.map(lambda n: waiting(scene, score, "Essay", badge=f"B{n}"), range(3)))
    assert failures(scene) == []
    assert books(scene) == {f"canvas:assignment:{title}": title for title in ("Essay", "Lab")}
    assert {len(scene.statuses(sub)) for sub in subs} == {5}


@pytest.mark.parametrize("turn", range(4))
def test_whoever_names_while_the_lms_does_waits_for_nothing(scene: Scene, turn: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(waiting, scene, score, "Essay")
        scene.send(told(scene, TITLED, 10))
        first.result()
    assert books(scene) == {TITLED.external_id: "Essay"}
    scene.settle()
    assert scene.statuses("lea") == ["pending"]


def test_a_known_activity_is_found_without_more_ado(scene: Scene) -> None:
    with scene.tools.database.write() as session:
        course = session.get_one(Course, scene.course_id)
        made = activities.find(session, course, [TITLED], scene.now)[TITLED].id
        assert activities.find(session, course, [UNTITLED], scene.now)[UNTITLED].id == made
