"""A badge that is earned once in each course, and one that was taken back: the pages say what awarding does."""

import pytest

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.models import Repeat
from lti_tool.services import revocation, rules, standings
from lti_tool.services.drafts import Draft
from lti_tool.services.reports.explanation import explain
from lti_tool.services.reports.export import csv_pieces, scope
from lti_tool.services.reports.learner import learner_report
from lti_tool.services.reports.learners import learner_table
from lti_tool.services.reports.preview import NOT_AGAIN, preview
from tests.scene import Scene, remote_badge


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """Lea has the badge from the first course; the second has the same quiz."""
    scene.rule(ScoreAtLeast(scene.activity("quiz"), 80), repeat=Repeat.PER_TERM)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    return scene


def next_term(scene: Scene) -> tuple[int, int]:
    """Another course with the same learners, and a draft of the same rule there."""
    course_id = scene.add_course("102")
    scene.enrol("lea", "ola", course_id=course_id)
    told = Draft(ScoreAtLeast(scene.activity("quiz", course_id), 80), repeat=Repeat.PER_TERM)
    return course_id, rules.create(scene.tools, course_id, scene.teacher_id, remote_badge("Algebra"), told, scene.now)


def test_the_numbers_before_switching_on_are_those_after_it(scene: Scene) -> None:
    course_id, key = next_term(scene)
    for sub in ("lea", "ola"):
        scene.grade(sub, "quiz", 9, context="102")
    with scene.tools.database.read() as session:
        found = preview(session, standings.subject_of(scene.rule_of(key)))
    assert found.new_count == 2
    assert [person.award_label for person in found.earned] == [None, None]
    rules.activate(scene.tools, course_id, key, scene.teacher_id, scene.now, also_earned_before=True)
    assert sum(award.course_id == course_id for award in scene.awards()) == 2
    with scene.tools.database.read() as session:
        assert preview(session, standings.subject_of(scene.rule_of(key))).new_count == 0


def test_the_pages_of_the_new_term_say_that_the_badge_is_still_to_be_earned(scene: Scene) -> None:
    course_id, key = next_term(scene)
    rules.activate(scene.tools, course_id, key, scene.teacher_id, scene.now, also_earned_before=True)
    (lea,) = scene.person_ids("lea")
    with scene.tools.database.read() as session:
        report = learner_report(session, course_id, lea, scene.now)
        assert ([badge.rule_id for badge in report.open], report.earned) == ([key], [])
        assert explain(session, course_id, key, lea).summary.startswith("Not earned yet")
        told = {row.name: row.cells[0].label for row in learner_table(session, course_id, "", 1).rows}
        assert told == {"Lea": "No result yet.", "Ola": "No result yet."}
        chosen = scope(session, course_id, None)
    assert "issued" not in "".join(csv_pieces(scene.tools, chosen)).lower().split("\n", 1)[1]


def test_who_was_refused_or_lost_it_is_not_counted_among_those_who_get_it(scene: Scene) -> None:
    (award,) = scene.awards("lea")
    revocation.request(scene.tools, scene.course_id, award.id, "Copied", "Terry", scene.now)
    scene.issue()
    key = award.rule_id
    with scene.tools.database.read() as session:
        found = preview(session, standings.subject_of(scene.rule_of(key)))
        assert (found.earned_count, found.new_count) == (1, 0)
        assert [person.note for person in found.earned] == [NOT_AGAIN]
        easier = Draft(ScoreAtLeast(scene.activity("quiz"), 70), repeat=Repeat.PER_TERM)
        assert rules.effect(session, scene.course_id, key, easier).added_count == 0
    rules.edit(scene.tools, scene.course_id, key, scene.teacher_id, easier, scene.now)
    assert len(scene.awards()) == 1
