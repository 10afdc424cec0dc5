"""What every test may ask for: a migrated database of its own, on SQLite or on a real PostgreSQL."""

import gc
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from sqlalchemy import create_engine, make_url, text

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

    template = f"{prefix}_{TEMPLATE}"
    migrated = Database(create(template, "template0"))
    migrate(migrated)
    migrated.dispose()
    return lambda: create(f"{prefix}_test", template)
