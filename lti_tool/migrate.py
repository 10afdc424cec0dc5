"""Brings the database's tables to a version (Alembic), and tells which version they have."""

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from lti_tool.db import Base, Database
from lti_tool.paths import shipped


def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade, or downgrade when `revision` is an earlier one ("base" empties the database)."""
    config = _config()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        if revision == "head":
            command.upgrade(config, revision)
        else:
            command.downgrade(config, revision)


def is_current(database: Database) -> bool:
    """Whether the tables are those that this version of the tool needs."""
    with database.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    return present == ScriptDirectory.from_config(_config()).get_current_head()


def differences(database: Database) -> list[object]:
    """What the models have and the migrated tables have not, or the other way round (for the tests)."""
    with database.engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    return config
