"""`/healthz` says that the process answers, `/readyz` that it can do its work."""

import re

import requests
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from lti_tool.migrate import migrate
from tests.world import LEARNER, World


def ready(world: World) -> tuple[int, dict[str, str]]:
    response = requests.get(f"{world.tool_url}/readyz", timeout=10)
    return response.status_code, response.json()


def test_health(world: World) -> None:
    response = requests.get(f"{world.tool_url}/healthz", timeout=10)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_not_ready_until_a_worker_was_seen(world: World) -> None:
    status, body = ready(world)
    assert (status, body["worker"], body["database"], body["queue"]) == (503, "failing", "ok", "ok")
    world.sweep()
    assert ready(world) == (200, {"status": "ok", "database": "ok", "queue": "ok", "worker": "ok"})


def test_not_ready_with_tables_of_another_version(world: World) -> None:
    world.sweep()
    migrate(world.tools.database, "base")
    status, body = ready(world)
    assert (status, body["database"]) == (503, "failing")


def test_without_a_database_pages_and_webhooks_say_so(world: World) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("connect", {}, Exception("no route"))

    engine = world.tools.database.engine
    event.listen(engine, "do_connect", refuse)
    engine.dispose()
    try:
        assert requests.get(f"{world.tool_url}/healthz", timeout=10).status_code == 200
        assert ready(world)[0] == 503
        login = {"iss": world.lms_url, "login_hint": LEARNER, "target_link_uri": f"{world.tool_url}/lti/launch"}
        page = requests.get(f"{world.tool_url}/lti/login", params=login, timeout=10)
        delivery = world.grade(LEARNER, score=9)
    finally:
        event.remove(engine, "do_connect", refuse)
    assert (page.status_code, delivery.status) == (503, 503)
    assert "cannot reach its database" in page.text


def test_static_files_may_be_kept_because_their_address_changes_with_them(world: World) -> None:
    page = requests.get(f"{world.tool_url}/admin/sign-in", timeout=10).text
    address = re.search(r'href="(/static/app\.css\?v=[0-9a-f]{8})"', page)
    assert address
    answer = requests.get(world.tool_url + address[1], timeout=10)
    assert "max-age=31536000" in answer.headers["Cache-Control"]
