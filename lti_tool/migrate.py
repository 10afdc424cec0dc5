"""Brings the database's tables to a version (Alembic), and tells which version they have."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from lti_tool.db import Base, Database
from lti_tool.paths import shipped


def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade, or downgrade when `revision` is an earlier one ("base" empties the database)."""
    config = _config()
    with _foreign_keys_asleep(database) as connection, connection.begin():
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


@contextmanager
def _foreign_keys_asleep(database: Database) -> Iterator[Connection]:
    """A connection on which SQLite lets a table be built anew while others point to it.

    See "Making Other Kinds Of Table Schema Changes", sqlite.org/lang_altertable.html.
    """
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        if driver is None or connection.dialect.name != "sqlite":
            yield connection
            return
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            yield connection
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    return config
