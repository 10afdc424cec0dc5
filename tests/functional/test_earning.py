"""From results to awards: falls, repeats, approvals, exceptions, versions, runs and the brake; on both databases."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lti_tool.domain.criteria import Approved, BadgeEarned, Completed, ScoreAtLeast, all_of
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.models import (
    AwardStatus,
    Course,
    ExceptionKind,
    HoldReason,
    OnFall,
    Repeat,
    RevokedBy,
    RuleStatus,
    RunCause,
    RunStatus,
)
from lti_tool.services import by_hand, decisions, exceptions, revocation, rules, runs
from lti_tool.services.by_hand import Line
from lti_tool.services.drafts import Draft
from lti_tool.services.exceptions import Grant
from tests.scene import START, Scene


@pytest.fixture
def new_scene(database_url: str, tmp_path: Path) -> Callable[..., Scene]:
    return lambda **settings: Scene(database_url, tmp_path, **settings)


def quiz_rule(scene: Scene, **draft: object) -> int:
    return scene.rule(ScoreAtLeast(scene.activity("quiz"), 80), **draft)  # type: ignore[arg-type]


def test_a_badge_is_earned_once_however_often_the_grade_comes(scene: Scene) -> None:
    quiz_rule(scene)
    for score in (8, 9, 10):
        scene.grade("lea", "quiz", score)
    (award,) = scene.awards("lea")
    assert award.status is AwardStatus.PENDING
    assert award.achieved_at == START + timedelta(minutes=1)
    assert award.rule_version.number == 1


def test_late_and_repeated_events_change_nothing(scene: Scene) -> None:
    quiz_rule(scene)
    scene.grade("lea", "quiz", 5)
    late = scene.tell("lea", "quiz", 9, at=scene.now - timedelta(hours=1))
    scene.send(late, late)
    assert scene.awards("lea") == []


def test_a_fallen_grade_keeps_the_badge_unless_the_rule_says_otherwise(scene: Scene) -> None:
    quiz_rule(scene)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    scene.grade("lea", "quiz", 4)
    (award,) = scene.awards("lea")
    assert award.status is AwardStatus.ISSUED
    assert [step.kind for step in award.steps][-1] == "fell"
    assert award.fall_detail == "40 % reached, 80 % needed."


def test_a_fallen_grade_revokes_where_the_rule_says_so_and_the_badge_can_be_earned_again(scene: Scene) -> None:
    quiz_rule(scene, on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    scene.grade("lea", "quiz", 4)
    assert scene.statuses("lea") == ["revoking"]
    assert scene.awards("lea")[0].revoked_by is RevokedBy.FALL
    scene.issue()
    scene.grade("lea", "quiz", 8.5)
    assert scene.statuses("lea") == ["revoked", "pending"]
    assert [award.number for award in scene.awards("lea")] == [1, 2]


def test_a_badge_that_was_earned_again_before_badgr_had_taken_it_back_comes_back(scene: Scene) -> None:
    quiz_rule(scene, on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    scene.grade("lea", "quiz", 4)
    scene.grade("lea", "quiz", 9)
    assert scene.statuses("lea") == ["revoking"]
    scene.issue()
    assert scene.statuses("lea") == ["revoked", "pending"]


def test_what_a_teacher_revoked_is_not_earned_again_by_itself(scene: Scene) -> None:
    quiz_rule(scene)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    revocation.request(scene.tools, scene.course_id, scene.awards("lea")[0].id, "Copied", "Terry", scene.now)
    scene.issue()
    scene.grade("lea", "quiz", 10)
    assert scene.statuses("lea") == ["revoked"]


def test_a_fall_may_be_put_before_a_teacher(scene: Scene) -> None:
    quiz_rule(scene, on_fall=OnFall.PROPOSE)
    for sub in ("lea", "ola"):
        scene.grade(sub, "quiz", 9)
    scene.issue()
    for sub in ("lea", "ola"):
        scene.grade(sub, "quiz", 4)
    with scene.tools.database.read() as session:
        lea, ola = (award.id for award in list(session.scalars(decisions.proposals(scene.course_id))))
    assert decisions.decide_fall(scene.tools, scene.course_id, [lea], "Terry", scene.now, keep=True) == 1
    assert decisions.decide_fall(scene.tools, scene.course_id, [ola], "Terry", scene.now, keep=False) == 1
    assert scene.statuses("lea") == ["issued"]
    assert scene.statuses("ola") == ["revoking"]
    with scene.tools.database.read() as session:
        assert list(session.scalars(decisions.proposals(scene.course_id))) == []
    # What a teacher keeps is kept, however often it falls.
    scene.grade("lea", "quiz", 3)
    assert scene.statuses("lea") == ["issued"]


def test_a_grade_that_rises_again_before_anybody_decides_needs_no_decision(scene: Scene) -> None:
    quiz_rule(scene, on_fall=OnFall.PROPOSE)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    scene.grade("lea", "quiz", 4)
    scene.grade("lea", "quiz", 9)
    with scene.tools.database.read() as session:
        assert list(session.scalars(decisions.proposals(scene.course_id))) == []
    assert [step.kind for step in scene.awards("lea")[0].steps][-2:] == ["fell", "risen"]


def test_an_account_that_may_not_revoke_says_so_and_revokes_nothing(scene: Scene) -> None:
    quiz_rule(scene, on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    with scene.tools.database.write() as session:
        session.get_one(Course, scene.course_id).issuer_role = "staff"
        session.commit()
    scene.grade("lea", "quiz", 4)
    scene.grade("lea", "quiz", 3)
    (award,) = scene.awards("lea")
    assert award.status is AwardStatus.ISSUED
    assert "only staff" in (award.advice or "")
    assert sum("only staff" in step.text for step in award.steps) == 1


def test_an_award_that_waits_is_given_up_when_its_grade_falls(scene: Scene) -> None:
    quiz_rule(scene, on_fall=OnFall.REVOKE, needs_approval=True)
    scene.grade("lea", "quiz", 9)
    scene.grade("lea", "quiz", 4)
    assert scene.statuses("lea") == ["revoked"]


def test_each_time_is_once_for_every_rise(scene: Scene) -> None:
    quiz_rule(scene, repeat=Repeat.EACH_TIME)
    for score in (9, 10, 4, 9, 3, 8):
        scene.grade("lea", "quiz", score)
        scene.issue()
    assert [award.number for award in scene.awards("lea")] == [1, 2, 3]


def test_once_per_term_is_once_in_each_course(scene: Scene) -> None:
    second = scene.add_course("102")
    scene.enrol("lea", course_id=second)
    for course_id in (scene.course_id, second):
        scene.rule(ScoreAtLeast(scene.activity("quiz", course_id), 80), course_id=course_id, repeat=Repeat.PER_TERM)
    scene.grade("lea", "quiz", 9)
    scene.grade("lea", "quiz", 9, context="102")
    scene.grade("lea", "quiz", 10, context="102")
    assert [(a.course_id, a.number) for a in scene.awards("lea")] == [(scene.course_id, 1), (second, 2)]


def test_once_is_once_in_all_courses(scene: Scene) -> None:
    second = scene.add_course("102")
    scene.enrol("lea", course_id=second)
    for course_id in (scene.course_id, second):
        scene.rule(ScoreAtLeast(scene.activity("quiz", course_id), 80), course_id=course_id)
    scene.grade("lea", "quiz", 9)
    scene.grade("lea", "quiz", 9, context="102")
    assert len(scene.awards("lea")) == 1


def test_an_award_waits_for_approval_and_a_refusal_ends_it(scene: Scene) -> None:
    quiz_rule(scene, needs_approval=True)
    for sub in ("lea", "ola"):
        scene.grade(sub, "quiz", 9)
    lea, ola = scene.awards()
    assert lea.hold_reason is HoldReason.APPROVAL
    assert decisions.approve(scene.tools, scene.course_id, [lea.id], "Terry", scene.now, approved=True) == 1
    assert decisions.approve(scene.tools, scene.course_id, [ola.id], "Terry", scene.now, approved=False) == 1
    assert scene.statuses("lea") == ["pending"]
    assert scene.statuses("ola") == ["revoked"]
    assert decisions.approve(scene.tools, scene.course_id, [lea.id, ola.id], "Terry", scene.now, approved=True) == 0
    scene.grade("ola", "quiz", 10)
    assert scene.statuses("ola") == ["revoked"]


def test_awards_of_another_course_cannot_be_decided_on(scene: Scene) -> None:
    quiz_rule(scene, needs_approval=True)
    scene.grade("lea", "quiz", 9)
    other = scene.add_course("102")
    with pytest.raises(NotFoundError):
        decisions.approve(scene.tools, other, [scene.awards()[0].id], "Terry", scene.now, approved=True)
    assert scene.awards()[0].hold_reason is HoldReason.APPROVAL


def test_a_teachers_word_can_be_a_condition(scene: Scene) -> None:
    rule_id = scene.rule(all_of(ScoreAtLeast(scene.activity("quiz"), 80), Approved()))
    scene.grade("lea", "quiz", 9)
    assert scene.awards() == []
    grant = Grant(ExceptionKind.APPROVED, note="Showed it in class")
    exceptions.grant(scene.tools, scene.course_id, rule_id, scene.person_ids("lea"), grant, scene.teacher_id, scene.now)
    scene.settle()
    assert scene.statuses("lea") == ["pending"]


def test_an_extension_and_an_excuse_count_for_one_person(scene: Scene) -> None:
    quiz, lab = scene.activity("quiz"), scene.activity("lab")
    until = START + timedelta(hours=1)
    rule_id = scene.rule(all_of(ScoreAtLeast(quiz, 80), Completed(lab)), counts_until=until)
    scene.now = until + timedelta(hours=1)
    for sub in ("lea", "ola"):
        scene.grade(sub, "quiz", 9)
    assert scene.awards() == []
    (lea,) = scene.person_ids("lea")
    for grant in (
        Grant(ExceptionKind.EXTENSION, until=until + timedelta(days=1)),
        Grant(ExceptionKind.EXCUSED, activity_id=lab),
    ):
        exceptions.grant(scene.tools, scene.course_id, rule_id, [lea], grant, scene.teacher_id, scene.now)
    scene.settle()
    assert scene.statuses("lea") == ["pending"]
    assert scene.statuses("ola") == []


def test_exceptions_that_make_no_sense_are_refused(scene: Scene) -> None:
    rule_id = quiz_rule(scene)
    lea = scene.person_ids("lea")
    refused = [
        (lea, Grant(ExceptionKind.EXTENSION, until=scene.now)),
        (lea, Grant(ExceptionKind.EXCUSED, activity_id=scene.activity("lab"))),
        ([], Grant(ExceptionKind.APPROVED)),
        (lea, Grant(ExceptionKind.APPROVED, note="x" * 501)),
    ]
    for people, grant in refused:
        with pytest.raises(InvalidInputError):
            exceptions.grant(scene.tools, scene.course_id, rule_id, people, grant, scene.teacher_id, scene.now)
    with pytest.raises(NotFoundError):
        exceptions.grant(
            scene.tools, scene.course_id, rule_id, [scene.teacher_id], Grant(ExceptionKind.APPROVED), 1, scene.now
        )


def test_a_badge_may_be_what_another_rule_waits_for_also_in_another_course(scene: Scene) -> None:
    second = scene.add_course("102")
    scene.enrol("lea", course_id=second)
    quiz_rule(scene, badge="Algebra")
    key = scene.awards  # the badge class is known once its rule is made
    assert key() == []
    algebra = scene.rule_of(1).badge_class_id
    scene.rule(BadgeEarned(algebra), badge="Here")
    scene.rule(BadgeEarned(algebra), badge="There", course_id=second)
    scene.grade("lea", "quiz", 9)
    assert [a.course_id for a in scene.awards("lea")] == [scene.course_id, scene.course_id, second]


def test_a_badge_that_is_switched_on_or_given_by_hand_counts_for_rules_that_wait_for_it(scene: Scene) -> None:
    scene.send(scene.tell("lea", "quiz", 9))
    first = scene.rule(ScoreAtLeast(scene.activity("quiz"), 99), badge="Algebra")
    scene.rule(BadgeEarned(scene.rule_of(first).badge_class_id), badge="Follows")
    (ola,) = scene.person_ids("ola")
    lines = [Line(ola, "award", "Helped")]
    by_hand.carry_out(scene.tools, scene.course_id, first, lines, scene.teacher_id, scene.now)
    scene.settle()
    assert [a.rule_id for a in scene.awards("ola")] == [first, first + 1]
    easier = Draft(ScoreAtLeast(scene.activity("quiz"), 50))
    rules.edit(scene.tools, scene.course_id, first, scene.teacher_id, easier, scene.now)
    scene.settle()
    assert [a.rule_id for a in scene.awards("lea")] == [first, first + 1]


def test_an_edit_keeps_what_was_earned_and_names_the_version(scene: Scene) -> None:
    rule_id = quiz_rule(scene, on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 8)
    scene.grade("ola", "quiz", 6)
    scene.issue()
    quiz = scene.activity("quiz")
    stricter, easier = Draft(ScoreAtLeast(quiz, 90), on_fall=OnFall.REVOKE), Draft(ScoreAtLeast(quiz, 50))
    with scene.tools.database.read() as session:
        told = rules.effect(session, scene.course_id, rule_id, stricter)
    assert (told.added_count, told.dropped_count, told.dropped) == (0, 1, ["Lea"])
    rules.edit(scene.tools, scene.course_id, rule_id, scene.teacher_id, stricter, scene.now)
    scene.grade("lea", "quiz", 8.1)
    assert scene.statuses("lea") == ["issued"]
    with scene.tools.database.read() as session:
        told = rules.effect(session, scene.course_id, rule_id, easier)
    assert (told.added_count, told.dropped_count) == (1, 0)
    assert [standing.name for standing in told.added] == ["Ola"]
    run = rules.edit(scene.tools, scene.course_id, rule_id, scene.teacher_id, easier, scene.now)
    assert run is not None
    assert run.status is RunStatus.RELEASED
    assert [a.rule_version.number for a in scene.awards()] == [1, 3]


def test_a_draft_is_edited_in_place(scene: Scene) -> None:
    quiz = scene.activity("quiz")
    rule_id = quiz_rule_draft(scene)
    rules.edit(scene.tools, scene.course_id, rule_id, scene.teacher_id, Draft(Completed(quiz)), scene.now)
    rule = scene.rule_of(rule_id)
    assert (rule.version, rule.criteria) == (1, Completed(quiz))


def quiz_rule_draft(scene: Scene) -> int:
    from tests.scene import remote_badge  # noqa: PLC0415

    draft = Draft(ScoreAtLeast(scene.activity("quiz"), 80))
    return rules.create(scene.tools, scene.course_id, scene.teacher_id, remote_badge("Algebra"), draft, scene.now)


@pytest.fixture
def crowd(new_scene: Callable[..., Scene]) -> Iterator[Scene]:
    """Thirty learners with a good grade, and a brake from eleven on."""
    scene = new_scene(brake_percent=30)
    scene.enrol(*(f"p{number:02}" for number in range(30)))
    scene.activity("quiz")
    scene.send(*(scene.tell(f"p{number:02}", "quiz", 9) for number in range(30)))
    yield scene
    scene.tools.database.dispose()


def test_more_awards_at_once_than_usual_wait_for_a_person(crowd: Scene) -> None:
    quiz_rule(crowd)
    assert crowd.run().status is RunStatus.WAITING
    assert {award.hold_reason for award in crowd.awards()} == {HoldReason.BRAKE}
    assert runs.confirm(crowd.tools, crowd.course_id, crowd.run().id, "Terry", crowd.now) == 30
    assert {award.status for award in crowd.awards()} == {AwardStatus.PENDING}
    with pytest.raises(ConflictError):
        runs.confirm(crowd.tools, crowd.course_id, crowd.run().id, "Terry", crowd.now)


def test_few_awards_at_once_go_out_by_themselves(crowd: Scene) -> None:
    with crowd.tools.database.read() as session:
        assert not runs.is_large(session, crowd.course_id, 9, crowd.tools.settings)
        assert not runs.is_large(session, crowd.course_id, 10, crowd.tools.settings)
        assert runs.is_large(session, crowd.course_id, 11, crowd.tools.settings)


def test_what_is_read_from_the_lms_is_a_run_only_if_it_awards(crowd: Scene) -> None:
    crowd.rule(ScoreAtLeast(crowd.activity("exam"), 80))
    before = crowd.run().id
    crowd.send(crowd.tell("p00", "exam", 3), run_key="pull-1")
    assert crowd.run().id == before
    crowd.now += timedelta(days=1)
    crowd.send(*(crowd.tell(f"p{number:02}", "exam", 9) for number in range(30)), run_key="pull-2")
    assert (crowd.run().status, crowd.run().cause) == (RunStatus.WAITING, RunCause.PULL)
    assert {award.hold_reason for award in crowd.awards()} == {HoldReason.BRAKE}


def test_what_the_lms_tells_as_it_happens_is_not_braked(crowd: Scene) -> None:
    crowd.rule(ScoreAtLeast(crowd.activity("exam"), 80))
    crowd.send(*(crowd.tell(f"p{number:02}", "exam", 9) for number in range(30)))
    assert {award.status for award in crowd.awards()} == {AwardStatus.PENDING}


def test_a_run_is_undone_as_a_whole_and_the_mended_rule_awards_again(crowd: Scene) -> None:
    rule_id = quiz_rule(crowd)
    run_id = crowd.run().id
    runs.confirm(crowd.tools, crowd.course_id, run_id, "Terry", crowd.now)
    crowd.issue()
    assert runs.undo(crowd.tools, crowd.course_id, run_id, "Terry", crowd.now) == 30
    assert crowd.rule_of(rule_id).status is RuleStatus.PAUSED
    assert {award.status for award in crowd.awards()} == {AwardStatus.REVOKING}
    crowd.issue()
    crowd.grade("p00", "quiz", 9.5)
    assert crowd.statuses("p00") == ["revoked"]
    mended = Draft(ScoreAtLeast(crowd.activity("quiz"), 95))
    rules.edit(crowd.tools, crowd.course_id, rule_id, crowd.teacher_id, mended, crowd.now)
    rules.activate(crowd.tools, crowd.course_id, rule_id, crowd.teacher_id, crowd.now, also_earned_before=True)
    assert crowd.statuses("p00") == ["revoked", "pending"]
    assert crowd.statuses("p01") == ["revoked"]


def test_an_undone_run_takes_back_what_waits_and_what_is_just_being_sent(crowd: Scene) -> None:
    quiz_rule(crowd)
    assert runs.undo(crowd.tools, crowd.course_id, crowd.run().id, "Terry", crowd.now) == 30
    assert {award.status for award in crowd.awards()} == {AwardStatus.REVOKED}


def test_a_table_is_checked_whole_before_anything_happens(scene: Scene) -> None:
    rule_id = quiz_rule(scene)
    table = "learner,action,note\nlea@example.org,award,Helped\nnobody,award,x\nola,fly,x\nlea,,twice\nola,award,\n"
    with scene.tools.database.read() as session, pytest.raises(InvalidInputError) as caught:
        by_hand.read_table(session, scene.course_id, rule_id, table)
    assert caught.value.advice.split("\n") == [
        "Line 3: “nobody” is not a learner of this course.",
        "Line 4: the action must be award or revoke, not “fly”.",
        "Line 5: “lea” stands in an earlier line already.",
        "Line 6: the note must have 1 to 255 characters.",
    ]
    assert scene.awards() == []


def test_a_table_awards_and_revokes(scene: Scene) -> None:
    rule_id = quiz_rule(scene)
    scene.grade("ola", "quiz", 9)
    scene.issue()
    with scene.tools.database.read() as session:
        table = "\ufefflearner;action;note\nLEA@example.org;;Helped others\nola;revoke;Copied\n"
        lines = by_hand.read_table(session, scene.course_id, rule_id, table)
    told = by_hand.carry_out(scene.tools, scene.course_id, rule_id, lines, scene.teacher_id, scene.now)
    assert (told.awarded, told.revoked, told.unchanged) == (1, 1, 0)
    (award,) = scene.awards("lea")
    assert award.by_hand
    assert award.reasons[0]["detail"] == "Helped others (Terry Teacher)"
    # Results have no say in what was given by hand.
    scene.grade("lea", "quiz", 1)
    assert scene.awards("lea")[0].fell_at is None
    again = by_hand.carry_out(scene.tools, scene.course_id, rule_id, lines, scene.teacher_id, scene.now)
    assert (again.awarded, again.revoked, again.unchanged) == (0, 0, 2)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("", "The first line must name the columns"),
        ("learner,note\nlea,x\n", "action is missing"),
        ("learner,action,note\n", "The table must have 1 to 5000 lines"),
    ],
)
def test_a_table_without_form_is_refused(scene: Scene, table: str, fault: str) -> None:
    rule_id = quiz_rule(scene)
    with scene.tools.database.read() as session, pytest.raises(InvalidInputError, match=fault):
        by_hand.read_table(session, scene.course_id, rule_id, table)


def test_a_paused_or_archived_rule_awards_nothing(scene: Scene) -> None:
    rule_id = quiz_rule(scene)
    rules.pause(scene.tools, scene.course_id, rule_id)
    scene.grade("lea", "quiz", 9)
    rules.archive(scene.tools, scene.course_id, rule_id)
    scene.grade("ola", "quiz", 9)
    assert scene.awards() == []
    with pytest.raises(ConflictError):
        rules.activate(scene.tools, scene.course_id, rule_id, scene.teacher_id, scene.now, also_earned_before=True)


def test_an_activity_of_another_course_cannot_be_asked_for(scene: Scene) -> None:
    other = scene.activity("quiz", scene.add_course("102"))
    with pytest.raises(NotFoundError):
        scene.rule(ScoreAtLeast(other, 80))
