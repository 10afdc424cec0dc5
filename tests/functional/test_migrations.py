"""The migrations lead to the tables that the models say, and back."""

from sqlalchemy import inspect

from lti_tool.db import Database
from lti_tool.migrate import differences, is_current, migrate
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
