"""A course that was copied in the LMS is offered the rules of the former one; they award nothing until confirmed."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from lti_tool.domain.criteria import Completed, Criteria, ScoreAtLeast, activities_of, all_of, conditions
from lti_tool.domain.events import ActivityRef
from lti_tool.domain.launch import Role
from lti_tool.models import Activity, Award, Course, Deployment, Enrolment, Rule, RuleStatus
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import activities, binding, copies, rules
from lti_tool.services.drafts import Draft
from tests.scene import Scene, remote_badge
from tests.world import BIOLOGY, LEARNER, TEACHER, World

COPY = "52"
OFFER = "This course was copied from Biology 101"


def copied(world: World) -> Visitor:
    """The teacher at the first page of the copy of a course with one active rule."""
    world.ready_course()
    world.lms.copy_course(BIOLOGY, COPY)
    return world.launch(TEACHER, COPY)


def rules_of(world: World, course_id: int) -> list[Rule]:
    with world.tools.database.read() as session:
        return list(session.scalars(select(Rule).where(Rule.course_id == course_id)))


def test_the_rules_come_along_asleep(world: World) -> None:
    teacher = copied(world)
    assert OFFER in teacher.text
    teacher.submit("/copy", button=("decision", "take"))
    assert "Taken over: 1" in teacher.text
    assert OFFER not in teacher.text
    (rule,) = rules_of(world, 2)
    assert rule.status is RuleStatus.DRAFT
    assert rule.copied_from_id == 1
    world.grade(LEARNER, f"{COPY}-quiz-1", COPY, score=9)
    world.work()
    with world.tools.database.read() as session:
        assert session.scalars(select(Award).where(Award.course_id == 2)).all() == []
    # Switched on, it awards for the new course's activity of the same title.
    teacher.open(world.course_url(teacher)).follow("/rules/2").submit("/activate", {"scope": "all"})
    with world.tools.database.read() as session:
        (award,) = session.scalars(select(Award).where(Award.course_id == 2)).all()
        assert award.rule_id == rule.id


def test_whoever_starts_afresh_is_not_asked_again(world: World) -> None:
    teacher = copied(world)
    teacher.submit("/copy", button=("decision", "leave"))
    assert rules_of(world, 2) == []
    assert OFFER not in world.launch(TEACHER, COPY).text


def test_it_is_answered_once(world: World) -> None:
    first, second = copied(world), world.launch(TEACHER, COPY)
    first.submit("/copy", button=("decision", "take"))
    second.submit("/copy", button=("decision", "take"))
    assert second.status == 409
    assert len(rules_of(world, 2)) == 1


def test_the_history_of_the_link_is_enough(world: World) -> None:
    world.ready_course()
    copy = world.lms.copy_course(BIOLOGY, COPY)
    world.lms.courses[COPY] = replace(copy, history=())
    assert OFFER in world.launch(TEACHER, COPY).text


def test_a_course_that_is_no_copy_is_offered_nothing(world: World) -> None:
    world.ready_course()
    assert "was copied" not in world.launch(TEACHER, "3").text


def test_a_copy_of_a_copy_is_offered_the_newest_rules(world: World) -> None:
    teacher = copied(world)
    teacher.submit("/copy", button=("decision", "take"))
    world.lms.copy_course(COPY, "53")
    assert "copied from Biology 101 (copy)" in world.launch(TEACHER, "53").text


def test_another_installation_is_a_wall(world: World) -> None:
    world.ready_course()
    with world.tools.database.write() as session:
        session.add(Deployment(platform_id=1, deployment_id="other", created_at=session.get_one(Rule, 1).created_at))
        session.commit()
    assert world.lms.tool is not None
    world.lms.tool = replace(world.lms.tool, deployment_id="other")
    world.lms.copy_course(BIOLOGY, COPY)
    assert "was copied" not in world.launch(TEACHER, COPY).text


def test_learners_cannot_answer(world: World) -> None:
    teacher = copied(world)
    token = teacher.page.select_one("form[action*='/copy'] input[name=csrf_token]")["value"]
    learner = world.launch(LEARNER, COPY)
    answer = learner.browser.post(f"{world.tool_url}/courses/2/copy", data={"csrf_token": token, "decision": "take"})
    assert answer.status_code in (400, 404)
    assert rules_of(world, 2) == []


def test_a_link_to_one_badge_opens_the_copied_rule(world: World) -> None:
    world.ready_course()
    chooser = Visitor().open(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}&choose=1")
    chooser.submit("/lti/login").submit()
    form = chooser.browser.select_form("form[action*='/choose']")
    form.set("link", "1")
    form.choose_submit(chooser.page.select_one("button[value=choose]"))
    chooser.browser.submit_selected()
    chooser.submit()
    world.lms.copy_course(BIOLOGY, COPY)
    link = next(link.id for link in world.lms.links.values() if link.course_id == COPY and "badges_rule" in str(link))
    world.launch(TEACHER, COPY).submit("/copy", button=("decision", "take"))
    teacher = Visitor().open(f"{world.lms_url}/courses/{COPY}/badges?as={TEACHER}&link={link}")
    assert teacher.submit("/lti/login").submit().url.endswith("/rules/2")


def made(scene: Scene, course_id: int, number: int, title: str = "Quiz", kind: str = "quiz") -> int:
    ref = ActivityRef(f"{kind}-{number}", title, kind)
    with scene.tools.database.write() as session:
        course = session.get_one(Course, course_id)
        binding.settle_in(session, course, [ref], scene.tools.settings, scene.now)
        key = activities.find(session, course, [ref], scene.now)[ref].id
        session.commit()
        return key


@pytest.fixture
def target(scene: Scene) -> int:
    """Another course of the same teacher."""
    key = scene.add_course("102")
    with scene.tools.database.write() as session:
        enrolment = Enrolment(course_id=key, person_id=scene.teacher_id, seen_at=scene.now)
        enrolment.launch_role = Role.INSTRUCTOR
        session.add(enrolment)
        session.commit()
    scene.enrol("lea", course_id=key)
    return key


def copy(scene: Scene, criteria: Criteria, target: int, badge: str = "Algebra") -> Rule:
    key = scene.rule(criteria, badge)
    return scene.rule_of(copies.copy_to(scene.tools, scene.course_id, key, target, scene.teacher_id, scene.now))


def named_in(scene: Scene, rule: Rule) -> list[tuple[str, str, str | None]]:
    """The activities that a rule asks for: title, kind and id in the LMS, in the order of our keys."""
    with scene.tools.database.read() as session:
        query = select(Activity).where(Activity.id.in_(activities_of(rule.criteria))).order_by(Activity.id)
        return [(one.title, one.kind, one.external_id) for one in session.scalars(query)]


def test_activities_of_one_name_are_told_apart_by_their_kind(scene: Scene, target: int) -> None:
    module, quiz = made(scene, scene.course_id, 1, "Week 1", "module"), made(scene, scene.course_id, 1, "Week 1")
    there = {"quiz": made(scene, target, 1, "Week 1"), "module": made(scene, target, 1, "Week 1", "module")}
    rule = copy(scene, all_of(ScoreAtLeast(quiz, 80), Completed(module)), target)
    assert rule.criteria == all_of(ScoreAtLeast(there["quiz"], 80), Completed(there["module"]))


@pytest.mark.parametrize("known", [0, 1, 2, 3])
def test_activities_of_one_name_stay_as_many_as_they_were(scene: Scene, target: int, known: int) -> None:
    former = [made(scene, scene.course_id, number) for number in (1, 2)]
    there = [made(scene, target, number) for number in range(11, 11 + known)]
    rule = copy(scene, all_of(*(ScoreAtLeast(key, 80) for key in former)), target)
    keys = [c.activity_id for c in conditions(rule.criteria) if isinstance(c, ScoreAtLeast)]
    assert keys[:known] == there[:2]
    assert len(set(keys)) == 2
    rules.activate(scene.tools, target, rule.id, scene.teacher_id, scene.now, also_earned_before=True)
    scene.grade("lea", "quiz-11", 10, context="102", title="Quiz")
    assert scene.statuses("lea") == []
    scene.grade("lea", "quiz-12", 10, context="102", title="Quiz")
    assert scene.statuses("lea") == ["pending"]


def test_the_second_of_two_is_not_the_first_that_comes(scene: Scene, target: int) -> None:
    first, second = (made(scene, scene.course_id, number) for number in (1, 2))
    rule = copy(scene, ScoreAtLeast(second, 80), target)
    other = copy(scene, ScoreAtLeast(first, 80), target, "Geometry")
    assert activities_of(rule.criteria) != activities_of(other.criteria)
    made(scene, target, 11)
    assert named_in(scene, rule) == [("Quiz", "quiz", None)]
    assert named_in(scene, other) == [("Quiz", "quiz", "quiz-11")]
    made(scene, target, 12)
    assert named_in(scene, rule) == [("Quiz", "quiz", "quiz-12")]


def test_what_is_not_there_yet_keeps_its_kind(scene: Scene, target: int) -> None:
    module = made(scene, scene.course_id, 1, "Cells", "module")
    rule = copy(scene, Completed(module), target)
    made(scene, target, 1, "Cells", "quiz")
    assert named_in(scene, rule) == [("Cells", "module", None)]


def test_the_whole_course_is_the_other_course(scene: Scene, target: int) -> None:
    whole = made(scene, scene.course_id, 1, "Biology 101", "course")
    made(scene, target, 2, "Biology 102", "course")
    assert named_in(scene, copy(scene, Completed(whole), target)) == [("Biology 102", "course", "course-2")]


def test_a_name_that_was_never_told_is_looked_for_as_if_it_was_typed(scene: Scene, target: int) -> None:
    draft = Draft(Completed(-1), {-1: "Lab"})
    key = rules.create(scene.tools, scene.course_id, scene.teacher_id, remote_badge("B"), draft, scene.now)
    made(scene, target, 1, "Lab (completion)", "lesson")
    copied = copies.copy_to(scene.tools, scene.course_id, key, target, scene.teacher_id, scene.now)
    assert named_in(scene, scene.rule_of(copied)) == [("Lab (completion)", "lesson", "lesson-1")]
