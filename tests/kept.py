"""What takes long to make and is the same for every test: made once in a run, and used by one test after the other."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from flask import Flask
from sqlalchemy import insert, select

from lti_tool.app import create_app, create_queue, create_tools
from lti_tool.db import Base, Database
from lti_tool.lti import keys
from lti_tool.models import ToolKey
from lti_tool.sandbox.badgr import create_badgr
from lti_tool.sandbox.lms import create_lms
from lti_tool.sandbox.lms.keys import SigningKey, new_key
from lti_tool.settings import Settings
from lti_tool.toolbox import Toolbox
from lti_tool.vault import Vault
from lti_tool.web.parts import WebParts, parts

SECRET_KEY = "k" * 64
_tool: list[Flask] = []
# A thread of the test server lives for one request only, and PostgreSQL's queue keeps a connection per thread. Two at
# once must not both find a connection to close.
_one_at_a_time = threading.Lock()


def tools(settings: Settings) -> Toolbox:
    """What the use cases work with, on an engine that knows its statements from earlier tests."""
    database = _database(settings.database_url)
    # A request that came late in the test before may have left a connection to a database that is gone.
    database.dispose()
    database.waker = lambda kind, row_id, at: None
    return replace(create_tools(settings), database=database)


def tool(tools: Toolbox) -> Flask:
    """The tool on these parts; its routes and templates are compiled by earlier tests."""
    if not _tool:
        _tool.append(create_app(tools.settings, tools))
        _tool[0].teardown_request(_close_queue)
    _tool[0].extensions["lti_badges"] = WebParts(tools, create_queue(tools))
    return _tool[0]


def answer(environ: Any, start_response: Any) -> Any:
    """The tool as a WSGI application, for a server that is there before it."""
    return _tool[0](environ, start_response)


@cache
def lms() -> Flask:
    """A sandbox LMS; whoever takes it gives it a state of its own."""
    return create_lms()


@cache
def badgr() -> Flask:
    """A sandbox Badgr; whoever takes it gives it a state of its own."""
    return create_badgr()


@cache
def lms_key() -> SigningKey:
    """What a sandbox LMS signs with at first."""
    return new_key()


def give_key(tools: Toolbox) -> None:
    """Give a new database the key that the tool signs with."""
    with tools.database.write() as session:
        session.execute(insert(ToolKey).values(_tool_key()))
        session.commit()


@cache
def _tool_key() -> dict[str, Any]:
    made = Database("sqlite://")
    with made.write() as session:
        Base.metadata.create_all(session.connection())
        keys.signing_key(session, Vault([SECRET_KEY]), datetime.now(UTC))
        row = session.scalars(select(ToolKey)).one()
        return {name: getattr(row, name) for name in ("kid", "sealed_private_key", "public_jwk", "created_at")}


def _close_queue(_: BaseException | None) -> None:
    with _one_at_a_time:
        parts().queue.huey.storage.close()


@cache
def _database(url: str) -> Database:
    return Database(url)
