"""Nobody is forgotten: who lost a badge and earns it still, came back, or earns it elsewhere or by another rule."""

from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import select, update

from lti_tool.domain.criteria import BadgeEarned, Completed, ScoreAtLeast, all_of, any_of
from lti_tool.domain.launch import Role
from lti_tool.lti.nrps import Member, Roster
from lti_tool.models import Enrolment, ExceptionKind, OnFall, Repeat, Rule, RuleException, RuleStatus
from lti_tool.services import by_hand, evaluation, exceptions, members, rules, runs
from lti_tool.services.by_hand import Line
from lti_tool.services.drafts import Draft
from lti_tool.services.exceptions import Grant
from lti_tool.services.reports.explanation import explain
from tests.scene import START, Scene, remote_badge


def quiz_rule(scene: Scene, title: str = "quiz", course_id: int | None = None, **draft: object) -> int:
    criteria = ScoreAtLeast(scene.activity(title, course_id), 80)
    return scene.rule(criteria, course_id=course_id, **draft)  # type: ignore[arg-type]


def another_course(scene: Scene, *subs: str) -> int:
    key = scene.add_course("102")
    scene.enrol(*subs, course_id=key)
    return key


def read_roster(scene: Scene, *subs: str, role: Role = Role.LEARNER) -> None:
    told = tuple(
        Member(sub=s, name=s.title(), email=f"{s}@example.org", role=role, active=True, is_test=False, aliases=())
        for s in subs
    )
    members.store(scene.tools, scene.course_id, Roster(told, None), scene.now, is_whole=True)
    scene.settle()


def said_of(scene: Scene, rule_id: int, sub: str) -> str:
    (person_id,) = scene.person_ids(sub)
    with scene.tools.database.read() as session:
        return explain(session, scene.rule_of(rule_id).course_id, rule_id, person_id).summary


@pytest.mark.parametrize("is_issued", [True, False])
def test_a_second_rule_gives_what_the_first_took_back(scene: Scene, is_issued: bool) -> None:
    quiz_rule(scene, "quiz", on_fall=OnFall.REVOKE)
    second = quiz_rule(scene, "exam", on_fall=OnFall.REVOKE)
    for title in ("quiz", "exam"):
        scene.grade("lea", title, 9)
    if is_issued:
        scene.issue()
    scene.grade("lea", "quiz", 4)
    if is_issued:
        scene.issue()
    assert scene.statuses("lea") == ["revoked", "pending"]
    assert "is being opened" not in said_of(scene, second, "lea")


def test_another_course_gives_what_the_first_took_back(scene: Scene) -> None:
    there = another_course(scene, "lea")
    quiz_rule(scene, on_fall=OnFall.REVOKE)
    quiz_rule(scene, course_id=there)
    scene.grade("lea", "quiz", 9)
    scene.grade("lea", "quiz", 9, context="102")
    scene.issue()
    assert scene.statuses("lea") == ["issued"]
    scene.grade("lea", "quiz", 1)
    scene.issue()
    assert scene.statuses("lea") == ["revoked", "pending"]


def test_results_give_what_was_undone_by_hand(scene: Scene) -> None:
    key = quiz_rule(scene)
    (lea,) = scene.person_ids("lea")
    lines = [Line(lea, "award", "Helped")]
    by_hand.carry_out(scene.tools, scene.course_id, key, lines, scene.teacher_id, scene.now)
    run_id = scene.run().id
    scene.grade("lea", "quiz", 9)
    runs.undo(scene.tools, scene.course_id, run_id, "Terry", scene.now)
    scene.settle()
    assert scene.statuses("lea") == ["revoked", "pending"]


def test_an_award_of_an_assistant_does_not_keep_the_learner_from_the_badge(scene: Scene) -> None:
    """She assisted in one course, where nothing is sent to her, and learns in another."""
    with scene.tools.database.write() as session:
        enrolment = session.scalars(select(Enrolment).where(Enrolment.person_id.in_(scene.person_ids("lea")))).one()
        enrolment.roster_role = Role.INSTRUCTOR
        session.commit()
    there = another_course(scene, "lea")
    quiz_rule(scene)
    key = quiz_rule(scene, course_id=there)
    scene.grade("lea", "quiz", 9)
    assert scene.statuses("lea") == ["held"]
    scene.grade("lea", "quiz", 9, context="102")
    assert [(award.course_id, award.status.value) for award in scene.awards("lea")] == [
        (scene.course_id, "revoked"),
        (there, "pending"),
    ]
    assert said_of(scene, key, "lea").startswith("Earned.")


def test_who_comes_back_to_the_course_gets_what_they_have_earned(scene: Scene) -> None:
    scene.activity("quiz")
    for sub in ("lea", "ola"):
        scene.grade(sub, "quiz", 9)
    read_roster(scene, "ola")
    quiz_rule(scene)
    assert scene.statuses("lea") == []
    read_roster(scene, "ola", "lea")
    assert (scene.statuses("lea"), scene.statuses("ola")) == (["pending"], ["pending"])


def test_who_becomes_a_learner_gets_what_they_have_earned(scene: Scene) -> None:
    scene.activity("quiz")
    scene.grade("lea", "quiz", 9)
    read_roster(scene, "lea", role=Role.INSTRUCTOR)
    quiz_rule(scene)
    assert scene.statuses("lea") == []
    read_roster(scene, "lea")
    assert scene.statuses("lea") == ["pending"]


def test_who_is_new_in_the_course_gets_what_a_badge_from_elsewhere_earns(scene: Scene) -> None:
    there = another_course(scene, "mia")
    first = quiz_rule(scene, course_id=there)
    scene.grade("mia", "quiz", 9, context="102")
    scene.rule(BadgeEarned(scene.rule_of(first).badge_class_id), badge="Follows")
    read_roster(scene, "lea", "ola", "mia")
    assert scene.statuses("mia") == ["pending", "pending"]


@pytest.mark.parametrize("told", ["hidden", "too late", "not final"])
def test_a_result_that_does_not_count_takes_nothing_away(scene: Scene, told: str) -> None:
    """A column that is hidden for an hour must not revoke the badges of a whole class."""
    until = START + timedelta(days=1)
    quiz_rule(scene, on_fall=OnFall.REVOKE, counts_until=until)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    if told == "too late":
        scene.now = until + timedelta(days=2)
    scene.grade("lea", "quiz", None if told == "not final" else 2, released=told != "hidden", progress="InProgress")
    assert scene.statuses("lea") == ["issued"]
    assert scene.awards("lea")[0].fell_at is None
    scene.now = START + timedelta(hours=2)
    scene.send(scene.tell("lea", "quiz", 2, at=scene.now))
    # It falls by one that counts, if that is the newest.
    assert scene.statuses("lea") == (["issued"] if told == "too late" else ["revoking"])


def test_a_hidden_result_that_never_counted_saves_nothing(scene: Scene) -> None:
    quiz, exam = scene.activity("quiz"), scene.activity("exam")
    scene.rule(any_of(ScoreAtLeast(quiz, 80), ScoreAtLeast(exam, 80)), on_fall=OnFall.REVOKE)
    scene.grade("lea", "exam", 9, released=False)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    scene.grade("lea", "quiz", 2)
    assert scene.statuses("lea") == ["revoking"]


def test_part_of_a_group_that_is_hidden_holds_and_another_that_falls_does_not(scene: Scene) -> None:
    quiz, lab = scene.activity("quiz"), scene.activity("lab")
    scene.rule(all_of(ScoreAtLeast(quiz, 80), Completed(lab)), on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 9)
    scene.grade("lea", "lab", progress="Completed")
    scene.issue()
    scene.grade("lea", "quiz", 9, released=False)
    assert scene.statuses("lea") == ["issued"]
    scene.grade("lea", "lab", progress="InProgress")
    assert scene.statuses("lea") == ["revoking"]


def test_what_fell_while_a_rule_was_paused_is_noticed_when_it_is_on_again(scene: Scene) -> None:
    key = quiz_rule(scene, on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    rules.pause(scene.tools, scene.course_id, key)
    scene.grade("lea", "quiz", 1)
    assert scene.statuses("lea") == ["issued"]
    rules.activate(scene.tools, scene.course_id, key, scene.teacher_id, scene.now, also_earned_before=True)
    scene.settle()
    assert scene.statuses("lea") == ["revoking"]


def test_a_fall_in_one_term_is_noticed_though_a_later_one_has_the_badge_too(scene: Scene) -> None:
    there = another_course(scene, "lea")
    for course_id in (None, there):
        quiz_rule(scene, course_id=course_id, on_fall=OnFall.REVOKE, repeat=Repeat.PER_TERM)
    scene.grade("lea", "quiz", 9)
    scene.grade("lea", "quiz", 9, context="102")
    scene.issue()
    scene.grade("lea", "quiz", 1)
    assert scene.statuses("lea") == ["revoking", "issued"]


@pytest.mark.parametrize("repeat", list(Repeat))
@pytest.mark.parametrize("on_fall", list(OnFall))
def test_who_earns_it_by_the_rule_as_it_is_now_has_not_lost_it(scene: Scene, repeat: Repeat, on_fall: OnFall) -> None:
    key = quiz_rule(scene, repeat=repeat, on_fall=on_fall)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    easier = Draft(ScoreAtLeast(scene.activity("quiz"), 60), repeat=repeat, on_fall=on_fall)
    rules.edit(scene.tools, scene.course_id, key, scene.teacher_id, easier, scene.now)
    for score in (7.0, 7.1):
        scene.grade("lea", "quiz", score)
        scene.issue()
    assert scene.statuses("lea") == ["issued"]
    assert scene.awards("lea")[0].fell_at is None
    scene.grade("lea", "quiz", 5)
    assert scene.awards("lea")[0].fell_at is not None


def test_a_badge_of_each_course_is_earned_in_two_courses_at_the_same_moment(scene: Scene) -> None:
    there = another_course(scene, "lea")
    for course_id, context in ((scene.course_id, "101"), (there, "102")):
        scene.grade("lea", "quiz", 9, context=context)
        key = rules.create(
            scene.tools, course_id, scene.teacher_id, remote_badge("Algebra"),
            Draft(ScoreAtLeast(scene.activity("quiz", course_id), 80), repeat=Repeat.PER_TERM), scene.now,
        )  # fmt: skip
        with scene.tools.database.write() as session:
            session.get_one(Rule, key).status = RuleStatus.ACTIVE
            session.commit()
    with scene.tools.database.write() as session:
        session.execute(update(Enrolment).values(evaluate_at=scene.now))
        session.commit()
    lea = select(Enrolment.id).where(Enrolment.person_id.in_(scene.person_ids("lea"))).order_by(Enrolment.course_id)
    with scene.tools.database.read() as session:
        here, elsewhere = session.scalars(lea).all()
    worker = Thread(target=evaluation.evaluate_due, args=(scene.tools, elsewhere, scene.now))
    with scene.tools.database.write() as session:
        enrolment = session.get_one(Enrolment, here, with_for_update=True)
        enrolment.evaluate_at = None
        evaluation.evaluate(session, enrolment.course, [enrolment], scene.now)
        session.flush()
        # The other worker has seen nothing of this, and waits for the same number of the badge.
        worker.start()
        worker.join(0.5)
        session.commit()
    worker.join(30)
    scene.settle()
    assert {award.course_id for award in scene.awards("lea")} == {scene.course_id, there}


def test_the_results_themselves_are_not_published(scene: Scene) -> None:
    quiz_rule(scene, on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    scene.grade("lea", "quiz", 1)
    (award,) = scene.awards("lea")
    assert award.revocation_reason == "The results do not earn it any more."
    assert any("10 % reached" in step.text for step in award.steps)


def test_an_early_result_keeps_its_badge_when_more_time_is_taken_back(scene: Scene) -> None:
    key = quiz_rule(scene, counts_until=START + timedelta(hours=1), on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 10)
    scene.issue()
    for given in (True, False):
        assert take_time(scene, key, given=given) == ["issued"]


def test_a_late_result_loses_its_badge_when_more_time_is_taken_back(scene: Scene) -> None:
    key = quiz_rule(scene, counts_until=START + timedelta(hours=1), on_fall=OnFall.REVOKE)
    scene.now = START + timedelta(hours=2)
    take_time(scene, key, given=True)
    scene.grade("lea", "quiz", 10)
    scene.issue()
    assert scene.statuses("lea") == ["issued"]
    assert take_time(scene, key, given=False) == ["revoking"]


def take_time(scene: Scene, rule_id: int, *, given: bool) -> list[str]:
    """Give Lea more time, or take it back."""
    (lea,) = scene.person_ids("lea")
    if given:
        more = Grant(ExceptionKind.EXTENSION, until=START + timedelta(hours=9))
        exceptions.grant(scene.tools, scene.course_id, rule_id, [lea], more, scene.teacher_id, scene.now)
    else:
        with scene.tools.database.read() as session:
            key = session.scalars(select(RuleException.id)).one()
        exceptions.take_back(scene.tools, scene.course_id, rule_id, key, scene.now)
    scene.settle()
    return scene.statuses("lea")
