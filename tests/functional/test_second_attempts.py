"""A second attempt, or a look at what is done, undoes neither a completion nor a hand-in: from posts to badges."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from lti_tool.domain.criteria import Completed, Submitted, all_of
from lti_tool.domain.events import ActivityRef, GradeEvent
from lti_tool.models import Course, Event, OnFall, Result
from lti_tool.services import activities, pulls
from lti_tool.services.reports.explanation import explain
from lti_tool.sources import caliper_events, moodle
from tests.scene import Scene

QUIZ = "moodle:cm:77"
ATTEMPT = "\\mod_quiz\\event\\attempt_submitted"
COMPLETION = "\\core\\event\\course_module_completion_updated"


def quiz(scene: Scene) -> int:
    """Our key of a quiz as Moodle's posts name it."""
    with scene.tools.database.write() as session:
        course = session.get_one(Course, scene.course_id)
        ref = ActivityRef(QUIZ, "Quiz (completion)", "quiz")
        key = activities.find(session, course, [ref], scene.now)[ref].id
        session.commit()
        return key


def post(scene: Scene, name: str, state: int | None = None) -> None:
    """Let a post of Moodle's about Lea come in, a minute after the last one."""
    scene.now += timedelta(minutes=1)
    told = {
        "eventname": name,
        "courseid": "101",
        "contextinstanceid": "77",
        "relateduserid": "lea",
        "timecreated": int(scene.now.timestamp()),
        "other": {} if state is None else {"completionstate": state},
    }
    scene.send(*moodle.parse(json.dumps(told).encode()))


def read(scene: Scene, *told: GradeEvent) -> int:
    """Let a read of the LMS find this; how much of it was new."""
    with scene.tools.database.write() as session:
        found = pulls.keep(session, scene.tools, session.get_one(Course, scene.course_id), list(told), {}, scene.now)
        session.rollback()
        return found


def said_of(scene: Scene, rule_id: int) -> str:
    (lea,) = scene.person_ids("lea")
    with scene.tools.database.read() as session:
        (reason,) = explain(session, scene.course_id, rule_id, lea).reasons
        return reason.detail


def test_a_second_attempt_takes_no_badge_away(scene: Scene) -> None:
    scene.rule(Completed(quiz(scene)), on_fall=OnFall.REVOKE)
    post(scene, ATTEMPT)
    assert scene.statuses("lea") == []
    post(scene, COMPLETION, 1)
    assert scene.statuses("lea") == ["pending"]
    scene.issue()
    # Moodle tells no completion once more: its state has not changed.
    post(scene, ATTEMPT)
    assert scene.statuses("lea") == ["issued"]
    assert scene.awards("lea")[0].fell_at is None


def test_a_second_attempt_does_not_keep_the_badge_from_who_completes_the_rest(scene: Scene) -> None:
    scene.rule(all_of(Completed(quiz(scene)), Completed(scene.activity("lab"))))
    post(scene, ATTEMPT)
    post(scene, COMPLETION, 1)
    post(scene, ATTEMPT)
    scene.grade("lea", "lab", progress="Completed")
    assert scene.statuses("lea") == ["pending"]


@pytest.mark.parametrize("state", [0, 3])
def test_what_is_failed_or_incomplete_is_not_completed_any_more_and_was_handed_in(scene: Scene, state: int) -> None:
    key = quiz(scene)
    completed = scene.rule(Completed(key), on_fall=OnFall.REVOKE)
    submitted = scene.rule(Submitted(key), badge="Geometry", on_fall=OnFall.REVOKE)
    post(scene, ATTEMPT)
    post(scene, COMPLETION, 1)
    scene.issue()
    post(scene, COMPLETION, state)
    found = {award.rule_id: award for award in scene.awards("lea")}
    assert {key: award.status.value for key, award in found.items()} == {completed: "revoking", submitted: "issued"}
    assert "Handed in, but not completed yet." in (found[completed].fall_detail or "")


def test_what_was_failed_at_once_is_handed_in(scene: Scene) -> None:
    key = quiz(scene)
    scene.rule(Completed(key))
    submitted = scene.rule(Submitted(key), badge="Geometry")
    post(scene, COMPLETION, 3)
    assert [award.rule_id for award in scene.awards("lea")] == [submitted]


@pytest.mark.parametrize("later", ["Started", "Initialized", "InProgress"])
def test_who_looks_at_it_again_has_handed_in_all_the_same(scene: Scene, later: str) -> None:
    essay, lab = scene.activity("essay"), scene.activity("lab")
    scene.rule(all_of(Submitted(essay), Submitted(lab)))
    scene.grade("lea", "essay", progress="Submitted")
    scene.grade("lea", "essay", progress=later)
    scene.grade("lea", "lab", progress="Submitted")
    assert scene.statuses("lea") == ["pending"]


@pytest.mark.parametrize("action", ["Started", "Restarted", "Paused", "Resumed"])
def test_who_is_at_a_quiz_once_more_keeps_the_badge(scene: Scene, action: str) -> None:
    scene.rule(Completed(scene.activity("quiz")), on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", progress="Completed")
    scene.issue()
    scene.grade("lea", "quiz", progress=caliper_events.PROGRESS["AssessmentEvent", action].value)
    assert scene.statuses("lea") == ["issued"]


def test_each_fact_has_the_event_that_told_it(scene: Scene) -> None:
    scene.activity("quiz")
    told = [scene.grade("lea", "quiz", 9, progress=one) for one in ("Completed", "Submitted")]
    with scene.tools.database.read() as session:
        (result,) = session.scalars(select(Result)).all()
    assert (result.progress_event_id, result.hand_in_event_id, result.grade_event_id) == (told[0], told[1], told[1])
    assert result.activity_progress == "Completed"
    assert result.handed_in_at is not None
    assert result.progressed_at is not None
    assert result.handed_in_at > result.progressed_at


def test_the_same_again_and_what_says_less_is_nothing_new(scene: Scene) -> None:
    scene.activity("quiz")
    scene.grade("lea", "quiz", progress="Completed")
    hand_in = scene.tell("lea", "quiz", progress="Submitted")
    scene.send(hand_in)
    for told, outcome in ((hand_in, "same"), (scene.tell("lea", "quiz", progress="Started"), "late")):
        event_id = scene.send(told)
        with scene.tools.database.read() as session:
            assert session.get_one(Event, event_id).outcome == {outcome: 1}


def test_a_read_finds_only_what_nobody_told(scene: Scene) -> None:
    scene.activity("quiz")
    at = scene.now
    for progress in ("Completed", "Submitted"):
        scene.grade("lea", "quiz", progress=progress)
    known = [scene.tell("lea", "quiz", progress=progress, at=at) for progress in ("Completed", "Submitted")]
    assert read(scene, *known) == 0
    failed = [scene.tell("lea", "quiz", progress=progress) for progress in ("InProgress", "Submitted")]
    assert read(scene, *failed) == 1


def test_why_not_is_said_in_plain_words(scene: Scene) -> None:
    key = scene.rule(Completed(quiz(scene)))
    post(scene, ATTEMPT)
    assert said_of(scene, key) == "Handed in, but not completed yet."
