"""A database, a local server and a registered platform for the tests of `lti_tool.lti`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lti_tool.db import Base, Database
from lti_tool.models import Deployment, OneTimeToken, Platform, PlatformToken, ToolKey
from tests.unit.lti.lti_testing import LocalServer, World, make_world


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database with the tables that this package touches."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    kinds = (Platform, Deployment, PlatformToken, ToolKey, OneTimeToken)
    tables = [Base.metadata.tables[kind.__tablename__] for kind in kinds]
    Base.metadata.create_all(database.engine, tables=tables)
    yield database
    database.dispose()


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server on loopback."""
    server = LocalServer()
    yield server
    server.stop()


@pytest.fixture
def world(database: Database, server: LocalServer) -> Iterator[World]:
    """A platform that is registered with the tool."""
    world = make_world(database, server)
    yield world
    world.keysets.http.close()
