"""What every answer says to the browser: strict policies, cookies for a frame, nothing kept; and what logs hold."""

import logging
from datetime import UTC, datetime

import pytest
import requests
import structlog
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from lti_tool.db import Database
from lti_tool.models import Person
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import onboarding
from tests.world import BIOLOGY, LEARNER, LEARNER_ADDRESS, TEACHER, World

NOW = datetime(2026, 11, 1, tzinfo=UTC)
STRICT = ("default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'")


def test_every_answer_has_a_strict_policy(world: World) -> None:
    teacher = world.ready_course()
    for path, status in (("/courses/1/", 200), ("/courses/9/", 404), ("/lti/jwks.json", 200), ("/webhooks/x", 405)):
        response = teacher.browser.session.get(world.tool_url + path, timeout=10)
        assert response.status_code == status
        policy = response.headers["Content-Security-Policy"].split("; ")
        assert set(STRICT) <= set(policy), path
        assert "unsafe" not in "".join(policy)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "Strict-Transport-Security" not in response.headers
    # Pages with people on them are kept by nobody; the key set is by the LMSs.
    assert (
        teacher.browser.session.get(f"{world.tool_url}/courses/1/", timeout=10).headers["Cache-Control"] == "no-store"
    )
    assert "max-age=300" in requests.get(f"{world.tool_url}/lti/jwks.json", timeout=10).headers["Cache-Control"]


def test_no_page_has_a_script_or_a_style_in_itself(world: World) -> None:
    teacher = world.ready_course()
    for path in ("", "learners", "rules/1", "rules/new", "badges/new"):
        page = teacher.open(f"{world.tool_url}/courses/1/{path}").page
        assert not [script for script in page.select("script") if not script.get("src")]
        assert not page.select("style, [style], [onclick], [onload], [onsubmit], [onchange]")
        outside = [tag for tag in page.select("script[src], link[href]") if "//" in (tag.get("src") or tag["href"])]
        assert outside == []


def test_cookies_are_made_for_a_frame_and_for_nobody_else(world: World) -> None:
    visitor = Visitor().open(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}")
    visitor.browser.select_form("form#launch")
    login = visitor.browser.submit_selected(update_state=False)
    set_by_login = [answer.headers["Set-Cookie"] for answer in login.history if "Set-Cookie" in answer.headers]
    visitor.submit("/lti/login")
    form = {field["name"]: field["value"] for field in visitor.page.select("form#launch input[name]")}
    launch = visitor.browser.session.post(f"{world.tool_url}/lti/launch", data=form, timeout=10, allow_redirects=False)
    cookies = [*set_by_login, *launch.raw.headers.getlist("Set-Cookie")]
    assert len(cookies) >= 3
    for cookie in cookies:
        said = {part.strip() for part in cookie.split(";")}
        assert {"Secure", "HttpOnly", "SameSite=None", "Partitioned"} <= said, cookie
        assert not any(part.startswith("Domain") for part in said), cookie


def test_logs_hold_ids_and_nothing_else_of_anybody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        world.ready_course()
        world.grade(LEARNER, score=9)
        world.work()
        world.launch(LEARNER)
    ours = [record for record in caplog.records if record.name.startswith("lti_tool.") and "sandbox" not in record.name]
    told = " ".join(str(record.msg) for record in ours)
    assert "'event': 'launch'" in told
    (token,) = world.badgr.tokens
    tokens = (token.access, token.refresh, world.webhook.secret, "eyJ")
    for secret in (LEARNER_ADDRESS, "Lea Learner", "Olive Owner", *tokens):
        assert secret not in told, secret


def test_logs_hold_no_link_for_one_registration(world: World, caplog: pytest.LogCaptureFixture) -> None:
    link = onboarding.create_link(world.tools, "root", "", datetime.now(UTC))
    with caplog.at_level(logging.DEBUG):
        told = requests.post(link, params={"openid_configuration": "http://127.0.0.9:9/c"}, timeout=10)
    assert told.status_code >= 400
    ours = " ".join(str(record.msg) for record in caplog.records if record.name.startswith("lti_tool."))
    assert "/lti/register/<" in ours
    assert link.rpartition("/")[2] not in ours


def test_a_fault_of_the_database_is_logged_without_the_people(database: Database) -> None:
    values = {"platform_id": 99, "sub": "4", "name": "Lea Learner", "email": LEARNER_ADDRESS, "created_at": NOW}
    with database.write() as session, pytest.raises(IntegrityError) as fault:
        session.execute(insert(Person), values)
    assert "person" in str(fault.value)
    assert "Lea" not in str(fault.value)
    assert LEARNER_ADDRESS not in str(fault.value)


def test_what_the_server_says_between_requests_is_about_none(world: World) -> None:
    app = world.app.test_client()
    assert app.get("/healthz").status_code == 200
    assert structlog.contextvars.get_contextvars() == {}


def test_a_wrong_method_is_told_the_right_ones(world: World) -> None:
    told = requests.get(f"{world.tool_url}/lti/launch", timeout=10)
    assert told.status_code == 405
    assert "POST" in told.headers["Allow"]
