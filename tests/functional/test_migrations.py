"""The migrations lead to the tables that the models say, and back."""

from datetime import timedelta

import pytest
from sqlalchemy import inspect, select, text

from lti_tool.db import Database
from lti_tool.domain.events import ActivityProgress, ProgressFact, ResultState
from lti_tool.migrate import differences, is_current, migrate
from lti_tool.models import Result
from tests.scene import START, Scene
from tests.world import LEARNER, World


def test_models_and_migrations_agree(database: Database) -> None:
    assert differences(database) == []
    assert is_current(database)


def test_down_and_up_again(database: Database) -> None:
    migrate(database, "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
    assert not is_current(database)
    migrate(database)
    assert differences(database) == []
    assert is_current(database)


def test_every_constraint_has_a_name(database: Database) -> None:
    inspector = inspect(database.engine)
    for table in inspector.get_table_names():
        if table == "alembic_version":
            continue
        named = [
            *inspector.get_foreign_keys(table),
            *inspector.get_unique_constraints(table),
            *inspector.get_check_constraints(table),
        ]
        assert all(constraint["name"] for constraint in named), table


def test_what_is_in_the_tables_survives_the_way_back_and_up(world: World) -> None:
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    before = world.award_of(LEARNER)
    migrate(world.tools.database, "0001")
    migrate(world.tools.database)
    after = world.award_of(LEARNER)
    assert (after.id, after.status, after.assertion_id) == (before.id, before.status, before.assertion_id)
    assert len(after.steps) == len(before.steps)


HOUR = timedelta(hours=1)
STARTED, IN_PROGRESS, SUBMITTED, COMPLETED = (
    ActivityProgress(one) for one in ("Started", "InProgress", "Submitted", "Completed")
)


@pytest.mark.parametrize(
    ("known", "former", "after"),
    [
        ([(SUBMITTED, True)], "Submitted", [(SUBMITTED, True)]),
        ([(SUBMITTED, False)], "Submitted", [(SUBMITTED, False)]),
        ([(STARTED, True), (SUBMITTED, True)], "Submitted", [(SUBMITTED, True)]),
        ([(IN_PROGRESS, True), (SUBMITTED, True)], "Submitted", [(SUBMITTED, True)]),
        ([(COMPLETED, True), (SUBMITTED, False)], "Completed", [(COMPLETED, True)]),
        ([(IN_PROGRESS, False)], "InProgress", [(IN_PROGRESS, False)]),
        ([], None, []),
    ],
)
def test_hand_ins_are_moved_back_and_up(
    scene: Scene,
    known: list[tuple[ActivityProgress, bool]],
    former: str | None,
    after: list[tuple[ActivityProgress, bool]],
) -> None:
    scene.activity("quiz")
    scene.grade("lea", "quiz", 9)
    facts = {one: ProgressFact(START + n * HOUR, one, shown, event_id=1) for n, (one, shown) in enumerate(known)}
    with scene.tools.database.write() as session:
        result = session.scalars(select(Result)).one()
        for fact in facts.values():
            result.state = ResultState().after(None, fact)
        grade = result.state.grade
        session.commit()
    migrate(scene.tools.database, "0007")
    with scene.tools.database.engine.connect() as connection:
        assert connection.scalar(text("SELECT activity_progress FROM result")) == former
    migrate(scene.tools.database)
    expected = ResultState(grade)
    for one, _ in after:
        expected = expected.after(None, facts[one])
    with scene.tools.database.read() as session:
        result = session.scalars(select(Result)).one()
        assert result.state == expected
        told = [result.state.progress, result.state.hand_in]
        assert [fact.event_id for fact in told if fact] == [1] * len(after)
        assert (result.progress_released, result.hand_in_released) == tuple(
            fact.released if fact else True for fact in told
        )
