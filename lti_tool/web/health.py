"""Whether the tool is alive and able to work, for load balancers and people."""

from collections.abc import Callable

from flask import Blueprint, jsonify
from sqlalchemy import text
from werkzeug.wrappers import Response

from lti_tool.migrate import is_current
from lti_tool.services import upkeep
from lti_tool.web.parts import parts, tools, utc_now

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Database, queue and worker do their work; 503 and which does not otherwise."""
    checks = {"database": _database_works, "queue": _queue_works, "worker": _worker_works}
    outcome = {name: _passes(check) for name, check in checks.items()}
    is_ready = all(outcome.values())
    words = {name: "ok" if passed else "failing" for name, passed in outcome.items()}
    return jsonify(status="ok" if is_ready else "failing", **words), 200 if is_ready else 503


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return bool(check())
    except Exception:
        return False


def _database_works() -> bool:
    with tools().database.read() as session:
        session.execute(text("select 1"))
    return is_current(tools().database)


def _queue_works() -> bool:
    return int(parts().queue.huey.pending_count()) >= 0


def _worker_works() -> bool:
    return upkeep.is_worker_alive(tools(), utc_now())
