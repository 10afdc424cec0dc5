"""The whole tool over HTTP with both sandbox servers, on the database of this run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scene import Scene
from tests.world import World, running_world


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A fresh LMS, Badgr and tool, registered with each other."""
    with running_world(database_url, tmp_path) as world:
        yield world


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[Scene]:
    """A course with two learners in the database alone, without servers."""
    scene = Scene(database_url, tmp_path)
    scene.enrol("lea", "ola")
    yield scene
    scene.tools.database.dispose()
