"""What every test may ask for: a migrated database of its own, on SQLite or on a real PostgreSQL."""

import gc
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from sqlalchemy import TextClause, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from lti_tool.db import Database
from lti_tool.migrate import migrate
from tests.http_server import AnsweringServer
from tests.postgresql import private_postgresql

TEMPLATE = "migrated"
# A machine that stalls for a moment is no fault of what is tested.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")
# Each test makes and drops very many objects: to look through them so often took a twentieth of the time.
gc.set_threshold(100_000, 50, 50)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=("sqlite", "postgresql"), default="sqlite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest one first: at the end, all others would wait for it alone."""
    items.sort(key=lambda item: "simulation" not in item.nodeid)


@pytest.fixture(scope="session")
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], str]]:
    """Makes a fresh, migrated database in place of the last one: a copy of one that was migrated once."""
    if request.config.getoption("--database") == "sqlite":
        yield _sqlite_copy(tmp_path_factory.mktemp("databases"))
    elif server := os.environ.get("LTI_BADGES_TEST_DATABASE_URL"):
        yield _postgresql_copy(server)
    else:
        with private_postgresql() as server:
            yield _postgresql_copy(server)


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    """The address of a fresh, migrated database."""
    return new_database()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh, migrated database."""
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    """A server on loopback."""
    server = AnsweringServer()
    yield server
    server.stop()


def _sqlite_copy(folder: Path) -> Callable[[], str]:
    template = folder / "template.db"
    migrated = Database(f"sqlite:///{template}")
    migrate(migrated)
    migrated.dispose()
    with sqlite3.connect(template) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()

    path = folder / "test.db"

    def copy() -> str:
        # A new file, not new content: whoever still holds the old one open keeps the old one.
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(template, path)
        return f"sqlite:///{path}"

    return copy


def _postgresql_copy(server: str) -> Callable[[], str]:
    prefix = f"lti_badges_{uuid4().hex[:8]}"
    maintenance = create_engine(
        make_url(server).set(drivername="postgresql+psycopg", database="postgres"),
        isolation_level="AUTOCOMMIT",
    )

    def create(name: str, template: str) -> str:
        with maintenance.connect() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
            connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        maintenance.dispose()
        return make_url(server).set(database=name).render_as_string(hide_password=False)

    template, name = f"{prefix}_{TEMPLATE}", f"{prefix}_test"
    migrated = Database(create(template, "template0"))
    migrate(migrated)
    migrated.dispose()
    made: list[_Emptied] = []

    def fresh() -> str:
        # To empty its tables takes a tenth of the time that a new database takes, which is written to the disk.
        if not (made and made[0].empty()):
            made[:] = [_Emptied(create(name, template))]
        return made[0].url

    return fresh


class _Emptied:
    """A PostgreSQL database that is emptied for the next test, as long as its tables are those that it began with."""

    SHAPE = text(
        "SELECT (SELECT version_num FROM alembic_version),"
        " (SELECT string_agg(relname || relkind::text, ',' ORDER BY relname)"
        " FROM pg_class WHERE relnamespace = 'public'::regnamespace),"
        " (SELECT count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace = 'public'::regnamespace AND NOT attisdropped),"
        " (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)"
    )
    # A request that came late in the test before has no say in this one.
    LATE = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    TABLES = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
    SEQUENCES = text("SELECT setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences")

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        self._shape, self._tables = self._ask(self.SHAPE), {name for (name,) in self._ask(self.TABLES)}
        self._engine.dispose()

    def empty(self) -> bool:
        """Leave no row; False where that is not enough or not allowed."""
        try:
            self._ask(self.LATE)
            # The queue makes its tables by itself.
            for name in {name for (name,) in self._ask(self.TABLES)} - self._tables:
                self._ask(text(f'DROP TABLE "{name}"'))
            if self._ask(self.SHAPE) != self._shape:
                return False
            deleted = "".join(f'DELETE FROM "{name}";' for name in sorted(self._tables))
            self._ask(text(f"SET session_replication_role = replica; SET lock_timeout = '5s'; {deleted}"))
            self._ask(self.SEQUENCES)
        except DBAPIError:
            return False
        finally:
            self._engine.dispose()
        return True

    def _ask(self, sql: TextClause) -> list[Any]:
        with self._engine.connect() as connection:
            result = connection.execute(sql)
            return list(result) if result.returns_rows else []
