"""A rule that is changed while awards wait or are out: what is said of whom, and what can still count."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.errors import InvalidInputError
from lti_tool.models import ExceptionKind, RuleStatus, RunStatus
from lti_tool.services import by_hand, exceptions, rules
from lti_tool.services.by_hand import Line
from lti_tool.services.drafts import Draft
from lti_tool.services.exceptions import Grant
from lti_tool.services.reports.decisions import approvals
from lti_tool.services.reports.runs import RunReport, run_report, waiting_runs
from lti_tool.services.rules import Effect
from tests.functional.deciding import COURSE, activity, drafted_course, person, rule_criteria, rule_status, switched_on
from tests.functional.test_large_courses import FEW, MANY, Large
from tests.scene import START, Scene, remote_badge
from tests.world import CLOSE, EARLY, TEACHER, World, running_world


def waiting(scene: Scene) -> int:
    """A rule by which twelve learners with 60 % and one with 90 % have badges that wait; its key."""
    subs = [f"p{number:02}" for number in range(12)]
    scene.enrol(*subs)
    scene.send(*(scene.tell(sub, "quiz", 6) for sub in subs), scene.tell("lea", "quiz", 9))
    return scene.rule(ScoreAtLeast(scene.activity("quiz"), 50))


def edit(scene: Scene, key: int, percent: float, **options: Any) -> None:
    draft = Draft(ScoreAtLeast(scene.activity("quiz"), percent), **options)
    rules.edit(scene.tools, scene.course_id, key, scene.teacher_id, draft, scene.now)


def effect(scene: Scene, key: int, percent: float) -> Effect:
    with scene.tools.database.read() as session:
        return rules.effect(session, scene.course_id, key, Draft(ScoreAtLeast(scene.activity("quiz"), percent)))


def report(scene: Scene, run_id: int) -> RunReport:
    with scene.tools.database.read() as session:
        return run_report(session, scene.course_id, run_id, 1)


def test_a_list_that_waits_marks_who_would_not_earn_it_by_the_mended_rule(scene: Scene) -> None:
    key = waiting(scene)
    run = scene.run()
    assert (run.status, report(scene, run.id).outdated) == (RunStatus.WAITING, 0)
    edit(scene, key, 80)
    told = report(scene, run.id)
    assert told.outdated == 12
    marked = {award.person_name: award.missing for award in told.awards}
    assert marked == {f"P{n:02}": "60 % reached, 80 % needed." for n in range(12)} | {"Lea": None}
    # Who is excused from it, or got it by hand, is not meant.
    grant = Grant(ExceptionKind.EXCUSED, activity_id=scene.activity("quiz"))
    exceptions.grant(scene.tools, scene.course_id, key, scene.person_ids("p00"), grant, scene.teacher_id, scene.now)
    assert report(scene, run.id).outdated == 11


def test_a_rule_that_asks_the_same_by_other_options_marks_nobody(scene: Scene) -> None:
    key = waiting(scene)
    run_id = scene.run().id
    edit(scene, key, 50, needs_approval=True)
    scene.grade("p00", "quiz", 1)
    told = report(scene, run_id)
    assert (told.outdated, [award.fell_at is not None for award in told.awards].count(True)) == (0, 1)


def test_what_waits_for_approval_is_marked_too(scene: Scene) -> None:
    key = scene.rule(ScoreAtLeast(scene.activity("quiz"), 50), needs_approval=True)
    scene.grade("lea", "quiz", 6)
    scene.grade("ola", "quiz", 9)
    edit(scene, key, 80, needs_approval=True)
    with scene.tools.database.read() as session:
        found = approvals(session, scene.course_id, key)
    marked = {award.person_name: award.missing for award in found.awards}
    assert (found.outdated, marked) == (1, {"Lea": "60 % reached, 80 % needed.", "Ola": None})


def test_an_edit_counts_apart_who_waits(scene: Scene) -> None:
    key = waiting(scene)
    told = effect(scene, key, 80)
    assert (told.dropped_count, told.undecided_count) == (0, 12)
    assert told.undecided == [f"P{number:02}" for number in range(12)]
    assert effect(scene, key, 40).undecided_count == 0


def test_an_edit_names_who_was_dropped_before_and_nobody_with_a_badge_by_hand(scene: Scene) -> None:
    key = scene.rule(ScoreAtLeast(scene.activity("quiz"), 60))
    scene.grade("lea", "quiz", 7)
    (ola,) = scene.person_ids("ola")
    lines = [Line(ola, "award", "Helped")]
    by_hand.carry_out(scene.tools, scene.course_id, key, lines, scene.teacher_id, scene.now)
    edit(scene, key, 80)
    told = effect(scene, key, 90)
    assert (told.dropped, told.dropped_count, told.undecided_count) == (["Lea"], 1, 0)


def test_large_lists_are_held_against_the_rule_with_few_statements(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    def statements(learners: int) -> tuple[int, int]:
        scene = Large(new_database(), tmp_path, learners)
        key = scene.draft()
        who = scene.teacher_id
        rules.activate(scene.tools, scene.course_id, key, who, scene.now, also_earned_before=True)
        run_id = scene.run().id
        edit(scene, key, 95)
        assert report(scene, run_id).outdated == learners
        told = scene.count(lambda: report(scene, run_id)), scene.count(lambda: effect(scene, key, 97))
        scene.tools.database.dispose()
        return told

    assert statements(FEW) == statements(MANY)


def test_the_pages_say_it(database_url: str, tmp_path: Path) -> None:
    with running_world(database_url, tmp_path, brake_awards=1) as world:
        teacher = drafted_course(world).submit("/activate", {"scope": "all"})
        at_list = teacher.url
        teacher.open(f"{world.course_url(teacher)}rules/1/edit").submit("/edit", {"percent": "95"})
        assert "2 learners whose badge waits for a teacher's word would not earn it by the new rule." in teacher.text
        assert "Keep it" not in teacher.text
        teacher.submit("/edit", button=("do", "confirm")).open(at_list)
        assert "2 of them would not be earned by the rule as it is now" in teacher.text
        assert teacher.text.count("Would not earn it by the rule as it is now.") == 2
        assert "90 % reached, 95 % needed." in teacher.text


def test_the_page_of_approvals_says_it(world: World) -> None:
    teacher = switched_on(world, needs_approval=True)
    draft = Draft(ScoreAtLeast(rule_criteria(world).activity_id, 95), needs_approval=True)  # type: ignore[union-attr]
    rules.edit(world.tools, COURSE, 1, person(world, TEACHER), draft, datetime.now(UTC))
    teacher.open(f"{world.course_url(teacher)}approvals")
    assert "2 of them would not be earned by the rule as it is now" in teacher.text
    assert teacher.text.count("Would not earn it by the rule as it is now. 90 % reached, 95 % needed.") >= 1


@pytest.mark.parametrize("was_used", [False, True])
def test_nothing_counts_from_now_on_after_the_last_day(scene: Scene, was_used: bool) -> None:
    until = START + timedelta(hours=1)
    draft = Draft(ScoreAtLeast(scene.activity("quiz"), 80), counts_until=until)
    key = rules.create(scene.tools, scene.course_id, scene.teacher_id, remote_badge("B"), draft, scene.now)
    if was_used:
        rules.activate(scene.tools, scene.course_id, key, scene.teacher_id, scene.now, also_earned_before=False)
        rules.pause(scene.tools, scene.course_id, key)
    before = scene.rule_of(key)
    scene.now = until
    with pytest.raises(InvalidInputError, match="This badge ended on 1 Sep 2026, 09:00 UTC: change its last day"):
        rules.activate(scene.tools, scene.course_id, key, scene.teacher_id, scene.now, also_earned_before=False)
    after = scene.rule_of(key)
    assert (after.status, after.version, after.current.counts_from) == (
        before.status,
        before.version,
        before.current.counts_from,
    )
    rules.activate(scene.tools, scene.course_id, key, scene.teacher_id, scene.now, also_earned_before=True)
    assert scene.rule_of(key).status is RuleStatus.ACTIVE


def test_the_form_says_that_the_badge_has_ended(world: World) -> None:
    teacher = drafted_course(world, counts_until=datetime(2026, 1, 2, 8, tzinfo=UTC))
    teacher.submit("/activate", {"scope": "from_now"})
    assert (teacher.status, rule_status(world)) == (422, "draft")
    fault = teacher.page.select_one("form[action$='/activate'] [role=alert]").get_text(" ")
    assert "This badge ended on 2 Jan 2026, 08:00 UTC: change its last day first." in " ".join(fault.split())
    assert teacher.page.select_one("input[value=from_now]").has_attr("checked")


def test_what_exceptions_brought_is_not_said_to_pause_the_rule(database_url: str, tmp_path: Path) -> None:
    with running_world(database_url, tmp_path, brake_awards=1) as world:
        teacher = drafted_course(world).submit("/activate", {"scope": "from_now"})
        world.work()
        people, quiz = [person(world, sub) for sub in (EARLY, CLOSE)], activity(world, "Quiz 1")
        grant = Grant(ExceptionKind.EXCUSED, activity_id=quiz)
        exceptions.grant(world.tools, COURSE, 1, people, grant, person(world, TEACHER), datetime.now(UTC))
        draft = Draft(ScoreAtLeast(activity(world, "Essay"), 50))
        rules.edit(world.tools, COURSE, 1, person(world, TEACHER), draft, datetime.now(UTC))
        with world.tools.database.read() as session:
            (waits,) = waiting_runs(session, COURSE)
        teacher.open(f"{world.course_url(teacher)}runs/{waits.id}")
        assert "of them would not be earned by the rule as it is now" in teacher.text
        assert "which takes the exceptions back, too" in teacher.text
        assert "switch the rule on again" not in teacher.text
