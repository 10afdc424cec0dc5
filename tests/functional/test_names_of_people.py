"""Names of any alphabet: found however they are written, and sorted as somebody looks for them; on every database."""

import pytest
from sqlalchemy import select

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.models import Person
from lti_tool.services import standings
from lti_tool.services.reports.learners import learner_table
from lti_tool.services.reports.people import Search, people_report
from tests.scene import Scene

NAMES = {"a": "Zoe", "b": "anna", "c": "Émile Žák", "d": "Emma", "e": "Dora"}
IN_ORDER = ["anna", "Dora", "Émile Žák", "Emma", "Zoe"]


def named(scene: Scene) -> int:
    """A course of these learners alone, with a rule that nobody meets."""
    scene.enrol(*NAMES)
    with scene.tools.database.write() as session:
        for person in session.scalars(select(Person)):
            person.name = NAMES.get(person.sub, "~")
        session.commit()
    return scene.rule(ScoreAtLeast(scene.activity("quiz"), 80))


@pytest.mark.parametrize("words", ["émile", "ÉMILE", "žá", "Émile Ž"])
def test_a_name_is_found_in_capitals_or_not(scene: Scene, words: str) -> None:
    rule_id = named(scene)
    with scene.tools.database.read() as session:
        assert [row.name for row in learner_table(session, scene.course_id, words, 1).rows] == ["Émile Žák"]
        assert [row.name for row in people_report(session, scene.course_id, rule_id, Search(words)).rows] == [
            "Émile Žák"
        ]


def test_learners_stand_in_the_order_of_their_names(scene: Scene) -> None:
    rule_id = named(scene)
    scene.send(*(scene.tell(sub, "quiz", 9) for sub in NAMES))
    with scene.tools.database.read() as session:
        table = learner_table(session, scene.course_id, "", 1)
        people = people_report(session, scene.course_id, rule_id, Search())
        survey = standings.survey(session, standings.subject_of(scene.rule_of(rule_id)))
    # Where PostgreSQL puts accents is said by the collation of its database.
    left_out = {"~"} | ({"Émile Žák"} if scene.tools.database.engine.dialect.name == "postgresql" else set())
    for rows in (table.rows, people.rows, survey.earned):
        assert [row.name for row in rows if row.name not in left_out] == [n for n in IN_ORDER if n not in left_out]
