"""The architecture is a test: who may import whom, who may commit, and how large things may get."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lti_tool"
FILES = sorted(PACKAGE.rglob("*.py"))

LEAVES = {"settings", "errors", "logs", "http", "bodies", "jwks", "vault", "db", "paths", "toolbox", "__init__"}
# What each room may import of ours, itself apart. `app` puts everything together; only tests, cli and server use it.
ALLOWED = {
    "domain": set(),
    "badgr": set(),
    "sandbox": set(),
    "models": LEAVES | {"domain"},
    "sources": LEAVES | {"domain"},
    "lti": LEAVES | {"domain", "models"},
    "services": LEAVES | {"domain", "models", "lti", "badgr", "sources"},
    "tasks": LEAVES | {"services"},
    "web": LEAVES | {"domain", "models", "lti", "badgr", "services", "sources", "tasks", "migrate"},
    "__main__": {"cli"},
    "cli": None,
    "app": None,
    "server": None,
    "migrate": LEAVES,
}
LIBRARIES = {
    "pylti1p3": {"lti"},
    "flask": {"web", "app", "cli", "server", "sandbox"},
    "huey": {"tasks"},
    "authlib": {"badgr"},
}
# `lti` keeps its caches (key sets, access tokens) in transactions of their own.
COMMITTERS = {"services", "lti"}
LONGEST_FILE = 300
LONGEST_FUNCTION = 60


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            # `from lti_tool import x` imports the room x; `from lti_tool.db import y` a name of the room db.
            names = [alias.name for alias in node.names]
            yield from (
                (f"{node.module}.{name}" for name in names) if node.module == "lti_tool" else [node.module or ""]
            )


def ours(path: Path) -> set[str]:
    rooms = {name.split(".")[1] for name in imports_of(path) if name.startswith("lti_tool.")}
    return {"__init__" if room.startswith("__") else room for room in rooms} - {room_of(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    allowed = LEAVES - {"toolbox"} if room_of(path) in LEAVES - {"toolbox"} else ALLOWED.get(room_of(path), LEAVES)
    if allowed is not None:
        assert ours(path) <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_library_stays_in_its_room(path: Path) -> None:
    used = {name.split(".")[0] for name in imports_of(path)}
    for library, rooms in LIBRARIES.items():
        assert library not in used or room_of(path) in rooms, f"{library} belongs in {rooms}"


def test_the_domain_uses_the_standard_library_only() -> None:
    for path in (PACKAGE / "domain").glob("*.py"):
        foreign = {name.split(".")[0] for name in imports_of(path)} - sys.stdlib_module_names - {"lti_tool"}
        assert not foreign, path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_use_cases_commit(path: Path) -> None:
    commits = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit"
    ]
    assert not commits or room_of(path) in COMMITTERS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
