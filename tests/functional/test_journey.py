"""The main way through: launch, connect, rule, grade, badge; each step as its user sees it."""

from datetime import UTC, datetime, timedelta

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.models import OnFall
from lti_tool.services import rules
from lti_tool.services.drafts import Draft
from tests.functional.deciding import activity
from tests.world import BIOLOGY, CLOSE, EARLY, LEARNER, LEARNER_ADDRESS, TEACHER, World


def test_a_new_course_shows_the_checklist(world: World) -> None:
    teacher = world.launch(TEACHER)
    assert teacher.status == 200
    assert "Set up badges in four steps" in teacher.text
    assert teacher.page.select_one("li[aria-current=step] a.button").text.strip().startswith("Connect to Badgr")


def test_connecting_leads_to_the_next_step(world: World) -> None:
    teacher = world.launch(TEACHER)
    tab = world.connect(teacher)
    assert "Connected" in tab.page.h1.text
    assert "Olive Owner" in tab.text
    teacher.open(teacher.url)
    assert "Choose the issuer" in teacher.page.select_one("li[aria-current=step]").text


def test_a_refused_consent_changes_nothing(world: World) -> None:
    teacher = world.launch(TEACHER)
    tab = world.connect(teacher, decision="cancel")
    assert "Not connected" in tab.page.h1.text
    assert "Connect to Badgr" in teacher.open(teacher.url).page.select_one("li[aria-current=step]").text


def test_the_preview_names_who_has_earned_it(world: World) -> None:
    world.launch(TEACHER)
    world.announce()
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    rule = world.make_rule(teacher)
    assert "Score at least 80 % in Quiz 1" in rule.text
    assert "Ola Okafor 90 % reached, 80 % needed." in rule.text
    assert "Quinn Quigley 80 % reached" in rule.text
    assert "2 badges go out now" in rule.text
    assert world.badgr.live_assertions() == []


def test_a_grade_becomes_an_assertion(world: World) -> None:
    world.ready_course()
    delivery = world.grade(LEARNER, score=9)
    assert delivery.status == 202
    assert world.held_by(LEARNER_ADDRESS) == []
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_earlier_results_count_when_asked_for(world: World) -> None:
    world.ready_course()
    assert world.held_by("ola@example.org") == ["Algebra I"]
    assert world.held_by("quinn@example.org") == ["Algebra I"]
    assert len(world.badgr.live_assertions()) == 2


def test_from_now_on_leaves_earlier_results_alone(world: World) -> None:
    world.ready_course(scope="from_now")
    assert world.badgr.live_assertions() == []
    world.grade(EARLY, score=10)
    world.work()
    assert world.held_by("ola@example.org") == ["Algebra I"]


def test_a_completion_earns_a_badge(world: World) -> None:
    world.ready_course(kind="completed", activity="Lab 2")
    assert world.held_by("rosa@example.org") == ["Algebra I"]
    world.grade(LEARNER, "lab-2", completed=True)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_a_lower_score_earns_nothing(world: World) -> None:
    world.ready_course()
    world.grade(LEARNER, score=7.99)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == []
    learner = world.launch(LEARNER)
    assert "79.9 % reached, 80 % needed." in learner.text


def test_an_activity_named_by_the_teacher_is_found_by_its_name(world: World) -> None:
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    world.make_rule(teacher, activity="  quiz 1 ").submit("/activate")
    world.grade(LEARNER, score=10)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_the_learner_sees_badges_and_what_is_missing(world: World) -> None:
    teacher = world.ready_course()
    world.make_rule(teacher, badge="Laboratory Safety", kind="completed", activity="Lab 2").submit("/activate")
    world.grade(LEARNER, score=9)
    world.work()
    learner = world.launch(LEARNER)
    assertion = world.badgr.live_assertions(LEARNER_ADDRESS)[0]
    earned, still_open = (learner.page.select("ul.badges > li")[index] for index in (0, 1))
    assert "Algebra I" in earned.text
    assert earned.img["src"] == f"{world.badgr_url}/media/uploads/badges/{assertion.badge_class_id}.svg"
    assert earned.select_one("a")["href"] == f"{world.badgr_url}/public/assertions/{assertion.entity_id}"
    assert "Complete Lab 2" in still_open.text
    assert "Not started, as far as the LMS has told." in still_open.text
    assert "1 of 2 badges earned" in learner.text


def test_the_teacher_sees_the_time_line(world: World) -> None:
    teacher = world.ready_course()
    delivery = world.grade(LEARNER, score=9)
    world.work()
    teacher.open(world.course_url(teacher) + "learners")
    row = next(row for row in teacher.page.select("tbody tr") if "Lea Learner" in row.text)
    teacher.open(row.a["href"])
    steps = [step.text for step in teacher.page.select("ol.timeline li")]
    assert delivery.id in steps[0]
    assert "Earned: Score at least 80 % in Quiz 1. 90 % reached, 80 % needed." in steps[1]
    assert "Badgr issued it" in steps[-1]
    assert LEARNER_ADDRESS in teacher.text


def test_a_paused_rule_awards_nothing(world: World) -> None:
    teacher = world.ready_course()
    teacher.submit("/pause")
    world.grade(LEARNER, score=10)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == []
    assert "Paused" in teacher.text
    # What happened in the pause is not lost when it ends.
    teacher.submit("/activate", {"scope": "all"})
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_learners_are_found_by_name(world: World) -> None:
    teacher = world.ready_course()
    teacher.open(world.course_url(teacher) + "learners?q=okafor")
    assert [row.th.text.strip() for row in teacher.page.select("tbody tr")] == ["Ola Okafor"]
    teacher.open(world.course_url(teacher) + "learners?q=nobody-there")
    assert "Nobody found for" in teacher.text


def test_the_rosters_second_page_is_read(world: World) -> None:
    # Five members a page: twelve learners stand on three pages.
    teacher = world.launch(TEACHER, BIOLOGY)
    teacher.open(world.course_url(teacher) + "learners")
    names = [row.th.text.strip() for row in teacher.page.select("tbody tr")]
    assert len(names) == 12
    assert "Ximena Torres" in names
    assert not {"Terry Teacher", "Yann Yesterday", "Olive Observer", "Test Student"} & set(names)


def test_opening_pages_grants_nothing(world: World) -> None:
    teacher = world.ready_course(scope="from_now")
    # Ola has reached the threshold before the rule was there.
    learner = world.launch(EARLY)
    for page in ("mine/", "mine/accounts"):
        learner.open(world.course_url(learner) + page)
    for page in ("", "learners", "rules/1"):
        teacher.open(world.course_url(teacher) + page)
    world.sweep()
    assert world.badgr.live_assertions() == []


def test_an_archived_badge_stays_with_whoever_has_it(world: World) -> None:
    teacher = world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    teacher.open(f"{world.course_url(teacher)}rules/1").submit("/archive")
    learner = world.launch(LEARNER)
    assert "1 of 1 badge earned" in learner.text
    assert "Verify and share" in learner.text
    assert "Still to earn" not in learner.text
    # Who has none of it does not see it any more.
    assert "There are no badges in this course yet" in world.launch(CLOSE).text
    assert "Algebra I (archived)" in teacher.open(f"{world.course_url(teacher)}learners").text
    answer = teacher.browser.session.get(f"{world.course_url(teacher)}export.csv", timeout=30)
    assert LEARNER_ADDRESS in answer.text


def test_a_learner_is_told_the_days_that_count(world: World) -> None:
    teacher = world.ready_course()
    now = datetime.now(UTC)
    for days, said in ((2, "Results count until "), (-2, "Ended on ")):
        draft = Draft(ScoreAtLeast(activity(world, "Quiz 1"), 80.0), counts_until=now + timedelta(days=days))
        rules.edit(world.tools, 1, 1, 1, draft, now)
        assert said in world.launch(CLOSE).text
    early = Draft(ScoreAtLeast(activity(world, "Quiz 1"), 80.0), counts_from=now + timedelta(days=2))
    rules.edit(world.tools, 1, 1, 1, early, now)
    assert "Results count from " in world.launch(CLOSE).text
    assert teacher.status == 200


def test_a_badge_that_can_be_earned_again_is_counted_once(world: World) -> None:
    world.ready_course()
    draft = Draft(ScoreAtLeast(activity(world, "Quiz 1"), 80.0), on_fall=OnFall.REVOKE)
    rules.edit(world.tools, 1, 1, 1, draft, datetime.now(UTC))
    for score in (9, 4):
        world.grade(LEARNER, score=score)
        world.work()
    learner = world.launch(LEARNER)
    assert "0 of 1 badge earned" in learner.text
    assert "Taken back or not approved" in learner.text
    assert "Still to earn" in learner.text
