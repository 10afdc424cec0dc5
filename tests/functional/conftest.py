"""The whole tool over HTTP with both sandbox servers, on the database of this run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, running_world


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A fresh LMS, Badgr and tool, registered with each other."""
    with running_world(database_url, tmp_path) as world:
        yield world
