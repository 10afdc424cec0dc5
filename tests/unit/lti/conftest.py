"""A registered platform for the tests of `lti_tool.lti`."""

from collections.abc import Iterator

import pytest

from lti_tool.db import Database
from tests.http_server import AnsweringServer
from tests.unit.lti.lti_testing import World, make_world


@pytest.fixture
def world(database: Database, server: AnsweringServer) -> Iterator[World]:
    """A platform that is registered with the tool."""
    world = make_world(database, server)
    yield world
    world.keysets.http.close()
