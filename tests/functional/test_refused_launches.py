"""A launch that is refused over HTTP: a page of its own, a log line of its own, and nothing changed."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import requests
from sqlalchemy import select

from lti_tool.db import Base
from lti_tool.lti.errors import LaunchError
from lti_tool.models import Person, Platform, Visit
from lti_tool.sandbox.visitor import HTML, Visitor
from lti_tool.services import onboarding, registration
from lti_tool.services.registration import PlatformData
from tests.functional.test_walls import everything
from tests.world import BIOLOGY, CLIENT_ID, DEPLOYMENT_ID, LEARNER, TEACHER, World

Form = dict[str, str]
Spoil = Callable[[World, Form, Visitor], None]


def begun(world: World, sub: str = LEARNER) -> tuple[Form, Visitor]:
    """The signed answer of the LMS as it is about to be posted to the tool, and the browser that holds the cookie."""
    visitor = Visitor().open(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={sub}").submit("/lti/login")
    fields = visitor.page.select("form#launch input[name]")
    return {field["name"]: field["value"] for field in fields}, visitor


def send(world: World, form: Form, visitor: Visitor) -> requests.Response:
    """Post it, whatever cookies the answer takes away: an attacker keeps them."""
    cookies = visitor.browser.session.cookies.copy()
    response: requests.Response = visitor.browser.session.post(
        f"{world.tool_url}/lti/launch", data=form, timeout=10, allow_redirects=False
    )
    visitor.browser.session.cookies = cookies
    return response


def rows(world: World, model: type[Base]) -> list[tuple[object, ...]]:
    with world.tools.database.read() as session:
        return [tuple(row) for row in session.execute(select(*model.__table__.columns))]


def no_state(world: World, form: Form, visitor: Visitor) -> None:
    del form["state"]


def no_token(world: World, form: Form, visitor: Visitor) -> None:
    del form["id_token"]


def other_browser(world: World, form: Form, visitor: Visitor) -> None:
    visitor.browser.session.cookies.clear()


def other_signature(world: World, form: Form, visitor: Visitor) -> None:
    head, payload, signature = form["id_token"].split(".")
    form["id_token"] = ".".join([head, payload, signature[::-1]])


def token_of_another(world: World, form: Form, visitor: Visitor) -> None:
    form["id_token"] = begun(world, TEACHER)[0]["id_token"]


def used_before(world: World, form: Form, visitor: Visitor) -> None:
    assert send(world, form, visitor).status_code == 303


def switched_off(world: World, form: Form, visitor: Visitor) -> None:
    registration.set_enabled(world.tools, 1, datetime.now(UTC), enabled=False)


def not_approved(world: World, form: Form, visitor: Visitor) -> None:
    onboarding.set_approved(world.tools, 1, "test", datetime.now(UTC), approved=False)


REFUSED: dict[str, tuple[Spoil, int]] = {
    "state_missing": (no_state, 400),
    "token_missing": (no_token, 400),
    "state_foreign": (other_browser, 401),
    "bad_signature": (other_signature, 401),
    "nonce_wrong": (token_of_another, 401),
    "nonce_replayed": (used_before, 401),
    "platform_disabled": (switched_off, 403),
    "deployment_not_approved": (not_approved, 403),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_refused_launch_has_its_page_and_its_log_line(
    world: World, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    spoil, status = REFUSED[code]
    # So that the keys of the LMS are known already: to fetch them is no change.
    world.launch(TEACHER)
    form, visitor = begun(world)
    spoil(world, form, visitor)
    before, visits = everything(world), rows(world, Visit)
    with caplog.at_level(logging.WARNING):
        response = send(world, form, visitor)
    text = " ".join(response.text.split())
    assert response.status_code == status
    assert "Badges could not be opened" in text
    assert LaunchError(code).advice.replace("'", "&#39;") in text
    assert f"check <code>{code}</code>" in text
    told = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [(line["event"], line["code"], line["status"]) for line in told] == [("launch_refused", code, status)]
    assert told[0]["request"] in text
    assert (everything(world), rows(world, Visit)) == (before, visits)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "issuer_missing"),
        ({"iss": "https://stranger.example", "login_hint": "4"}, "unknown_platform"),
        ({"iss": "{lms}", "login_hint": "4", "target_link_uri": "https://evil.example/"}, "target_elsewhere"),
        ({"iss": "{lms}", "login_hint": "4", "client_id": "stranger"}, "unknown_platform"),
    ],
)
def test_a_refused_login_leads_nowhere(world: World, params: Form, code: str) -> None:
    told = {name: value.format(lms=world.lms_url) for name, value in params.items()}
    told.setdefault("target_link_uri", f"{world.tool_url}/lti/launch")
    # As a browser says that the whole window goes there.
    headers = {"Accept": HTML, "Sec-Fetch-Dest": "document"}
    response = requests.get(
        f"{world.tool_url}/lti/login", params=told, headers=headers, timeout=10, allow_redirects=False
    )
    assert response.status_code in (400, 403)
    assert f"check <code>{code}</code>" in response.text
    assert "Location" not in response.headers


def test_the_same_sub_on_two_platforms_is_two_people(world: World) -> None:
    world.launch(LEARNER)
    now, other = datetime.now(UTC), f"{CLIENT_ID}-2"
    platform = PlatformData(
        name="The same LMS, registered once more",
        issuer=world.lms_url,
        client_id=other,
        deployment_ids=(DEPLOYMENT_ID,),
        auth_login_url=f"{world.lms_url}/lti/auth",
        auth_token_url=f"{world.lms_url}/lti/token",
        jwks_url=f"{world.lms_url}/lti/jwks",
        auth_audience=None,
    )
    registration.add_platform(world.tools, platform, now)
    world.lms.register_tool(
        login_url=f"{world.tool_url}/lti/login",
        launch_url=f"{world.tool_url}/lti/launch",
        jwks_url=f"{world.tool_url}/lti/jwks.json",
        client_id=other,
        deployment_id=DEPLOYMENT_ID,
    )
    visitor = world.launch(LEARNER)
    assert "/courses/2/mine/" in visitor.url
    with world.tools.database.read() as session:
        query = select(Platform.client_id, Person.sub).join(Person, Person.platform_id == Platform.id)
        assert sorted(tuple(row) for row in session.execute(query)) == [(CLIENT_ID, LEARNER), (other, LEARNER)]
    # What is in the course of the one is out of reach of the other.
    response = visitor.browser.session.get(f"{world.tool_url}/courses/1/mine/", timeout=10)
    assert response.status_code == 404
