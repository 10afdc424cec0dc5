"""A course that was copied in the LMS is offered the rules of the former one; they award nothing until confirmed."""

from dataclasses import replace
from pathlib import Path

from sqlalchemy import select

from lti_tool.domain.criteria import Completed, ScoreAtLeast, all_of
from lti_tool.domain.events import ActivityRef
from lti_tool.domain.launch import Role
from lti_tool.models import Award, Course, Deployment, Enrolment, Rule, RuleStatus
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import copies, results
from tests.scene import Scene
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


def test_activities_of_one_name_are_told_apart_by_their_kind(database_url: str, tmp_path: Path) -> None:
    scene = Scene(database_url, tmp_path)
    target = scene.add_course("102")

    def make(course_id: int, kind: str) -> int:
        with scene.tools.database.write() as session:
            course = session.get_one(Course, course_id)
            key = results.find_activity(session, course, ActivityRef(f"{kind}-1", "Week 1", kind), scene.now).id
            session.commit()
            return key

    module, quiz = make(scene.course_id, "module"), make(scene.course_id, "quiz")
    there = {"quiz": make(target, "quiz"), "module": make(target, "module")}
    key = scene.rule(all_of(ScoreAtLeast(quiz, 80), Completed(module)))
    with scene.tools.database.write() as session:
        enrolment = Enrolment(course_id=target, person_id=scene.teacher_id, seen_at=scene.now)
        enrolment.launch_role = Role.INSTRUCTOR
        session.add(enrolment)
        session.commit()
    made = copies.copy_to(scene.tools, scene.course_id, key, target, scene.teacher_id, scene.now)
    expected = all_of(ScoreAtLeast(there["quiz"], 80), Completed(there["module"]))
    assert scene.rule_of(made).criteria == expected
    scene.tools.database.dispose()
