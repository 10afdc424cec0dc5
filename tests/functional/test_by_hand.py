"""Awards by a table and by hand: no line is cut, and what changes nothing says why and where to act."""

import pytest

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.errors import InvalidInputError
from lti_tool.models import AwardStatus, Repeat
from lti_tool.services import by_hand
from lti_tool.services.by_hand import Line
from lti_tool.services.obstacles import Obstacle
from tests.functional.deciding import awards, person, send, switched_on, words
from tests.scene import Scene
from tests.world import EARLY, World


def read(scene: Scene, table: str) -> list[Line]:
    rule_id = scene.rule(ScoreAtLeast(scene.activity("quiz"), 80))
    with scene.tools.database.read() as session:
        return by_hand.read_table(session, scene.course_id, rule_id, table)


@pytest.mark.parametrize("comma", [",", ";"])
def test_a_text_that_is_cut_by_a_comma_is_a_fault_of_its_line(scene: Scene, comma: str) -> None:
    rows = ["learner,action,note", "ola,award,Helped", "lea,award,Great work, really"]
    with pytest.raises(InvalidInputError) as caught:
        read(scene, "\n".join(rows).replace(",", comma))
    told = "it has more cells than the first line names; put quotes around a text with commas in it."
    assert caught.value.advice == f"Line 3: {told}"


def test_quotes_keep_a_comma_and_empty_cells_at_the_end_do_no_harm(scene: Scene) -> None:
    (line,) = read(scene, 'learner,action,note\nlea,award,"Great work, really",,\n,,,,\n')
    assert line.note == "Great work, really"


def plan(scene: Scene, rule_id: int, sub: str, action: str) -> Obstacle | None:
    (person_id,) = scene.person_ids(sub)
    with scene.tools.database.read() as session:
        (planned,) = by_hand.plan(session, scene.course_id, rule_id, [Line(person_id, action, "x")])
    return planned.obstacle


def test_who_has_the_badge_by_another_rule_is_sent_to_that_award(scene: Scene) -> None:
    scene.rule(ScoreAtLeast(scene.activity("quiz"), 80))
    twin = scene.rule(ScoreAtLeast(scene.activity("exam"), 80))
    scene.grade("lea", "quiz", 9)
    scene.issue()
    award_id = scene.awards("lea")[0].id
    told = "Has the badge by another rule of this course; revoke it on the page of the award"
    assert plan(scene, twin, "lea", "revoke") == Obstacle(told, award_id)
    assert plan(scene, twin, "lea", "award") == Obstacle("Has the badge already")
    assert plan(scene, twin, "ola", "revoke") == Obstacle("Has no badge to revoke")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (AwardStatus.PENDING, "Is being issued already"),
        (AwardStatus.HELD, "Has earned it already. Waits for a teacher's approval"),
        (AwardStatus.FAILED, "Has earned it already, but Badgr did not accept it; send it again on the page of the"),
    ],
)
def test_who_has_earned_but_not_got_it_is_not_said_to_have_it(scene: Scene, status: AwardStatus, told: str) -> None:
    is_held = status is AwardStatus.HELD
    rule_id = scene.rule(ScoreAtLeast(scene.activity("quiz"), 80), needs_approval=is_held)
    scene.grade("lea", "quiz", 9)
    with scene.tools.database.write() as session:
        award = session.merge(scene.awards("lea")[0])
        award.status = status
        session.commit()
    found = plan(scene, rule_id, "lea", "award")
    assert found is not None
    assert (found.words.startswith(told), found.award_id) == (True, award.id)


def test_a_badge_from_another_course_is_said_to_be_from_there(scene: Scene) -> None:
    there = scene.add_course("102")
    scene.enrol("lea", course_id=there)
    rule_id = scene.rule(ScoreAtLeast(scene.activity("quiz"), 80))
    other = scene.rule(ScoreAtLeast(scene.activity("quiz", there), 80), course_id=there, repeat=Repeat.ONCE)
    (lea,) = scene.person_ids("lea")
    by_hand.carry_out(scene.tools, there, other, [Line(lea, "award", "x")], scene.teacher_id, scene.now)
    assert plan(scene, rule_id, "lea", "award") == Obstacle("Has earned the badge in another course")
    told = "Has the badge from another course; it can be revoked there"
    assert plan(scene, rule_id, "lea", "revoke") == Obstacle(told)


def test_the_page_leads_to_the_award_that_stands_in_the_way(world: World) -> None:
    teacher = switched_on(world, needs_approval=True)
    teacher.open(f"{world.course_url(teacher)}rules/1/people")
    answer = send(teacher, "rules/1/people", person=[person(world, EARLY)], action="award", note="Helped")
    assert "Has earned it already. Waits for a teacher's approval" in words(answer).replace("&#39;", "'")
    (award_id,) = [award.id for award in awards(world) if award.person_id == person(world, EARLY)]
    assert f"/awards/{award_id}" in answer.text
