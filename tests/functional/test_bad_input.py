"""What a fault or an attacker may send to any address: refused in words, never a fault of ours, nothing changed."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests
from werkzeug.routing import Rule

from lti_tool.sandbox.visitor import HTML, Visitor
from lti_tool.services import admins, registration
from tests.functional.test_walls import everything
from tests.world import TEACHER, World

PASSWORD = "correct horse battery"
TOO_LARGE_AN_ID = 10**25
# Answered by machines, or with nothing to enter.
BESIDE = {"static", "health.healthz", "health.readyz"}


@pytest.fixture
def everybody(world: World) -> Visitor:
    """A browser in which a teacher has entered a course and a local administrator has signed in."""
    teacher = world.ready_course()
    admins.create_account(world.tools, "root", PASSWORD, "test", datetime.now(UTC))
    return teacher.open(f"{world.tool_url}/admin/sign-in").submit(None, {"name": "root", "password": PASSWORD})


def enter_again(world: World, everybody: Visitor) -> str:
    """Signing in has changed the session: open the course in it, too. Gives a CSRF token."""
    world.launch(TEACHER, visitor=everybody)
    token: str = everybody.open(f"{world.tool_url}/my/").page.select_one("input[name=csrf_token]")["value"]
    return token


def routes(world: World, method: str) -> Iterator[Rule]:
    return (r for r in world.app.url_map.iter_rules() if method in (r.methods or ()) and r.endpoint not in BESIDE)


def address(world: World, rule: Rule, value: object) -> str:
    """The address with this value in place of everything but the course."""
    values = {name: 1 if name == "course_id" else value for name in rule.arguments}
    # Built without the converters, which would not make an address that they do not take.
    path = rule.rule
    for name, told in values.items():
        path = path.replace(f"<int:{name}>", str(told)).replace(f"<{name}>", str(told))
    return world.tool_url + path


def test_numbers_that_no_row_can_have_are_not_found(world: World, everybody: Visitor) -> None:
    token = enter_again(world, everybody)
    before = everything(world)
    for method in ("GET", "POST"):
        for rule in routes(world, method):
            if not any(f"<int:{name}>" in rule.rule for name in rule.arguments - {"course_id"}):
                continue
            url = address(world, rule, TOO_LARGE_AN_ID)
            data = {"csrf_token": token} if method == "POST" else None
            response = everybody.browser.session.request(
                method, url, data=data, headers={"Referer": url}, timeout=10, allow_redirects=False
            )
            # Where a page and a form have one address, the router looks at the method before the number.
            assert response.status_code in (404, 405), (method, url)
    response = everybody.browser.session.get(f"{world.tool_url}/courses/{TOO_LARGE_AN_ID}/", timeout=10)
    assert response.status_code == 404
    assert everything(world) == before


@pytest.mark.parametrize("field", ["platform", "server", "account", "page", "rule"])
def test_numbers_in_forms_and_queries_are_taken_only_if_a_row_can_have_them(
    world: World, everybody: Visitor, field: str
) -> None:
    token = enter_again(world, everybody)
    before = everything(world)
    for number in (TOO_LARGE_AN_ID, -1, "x"):
        for method, path in (
            ("GET", "/courses/1/learners"),
            ("GET", "/courses/1/mine/"),
            ("GET", "/admin/awards"),
            ("POST", "/badgr/sign-in"),
            ("POST", "/badgr/begin"),
            ("POST", "/courses/1/mine/awards/1/push"),
        ):
            sent = {"csrf_token": token, field: str(number)}
            response = everybody.browser.session.request(
                method,
                world.tool_url + path,
                params=sent if method == "GET" else None,
                data=sent if method == "POST" else None,
                headers={"Referer": world.tool_url},
                timeout=10,
                allow_redirects=False,
            )
            assert response.status_code in (200, 303, 400, 404), (path, number)
    assert everything(world) == before


def test_a_character_that_cannot_be_kept_is_refused_everywhere(world: World, everybody: Visitor) -> None:
    token = enter_again(world, everybody)
    before = everything(world)
    for method in ("GET", "POST"):
        for rule in routes(world, method):
            url = address(world, rule, 1)
            if rule.endpoint.startswith("webhooks."):
                continue
            sent = {"anything": "a\x00b"}
            response = everybody.browser.session.request(
                method,
                url,
                params=sent if method == "GET" else None,
                data=sent | {"csrf_token": token} if method == "POST" else None,
                headers={"Referer": url},
                timeout=10,
                allow_redirects=False,
            )
            assert response.status_code == 400, (method, url)
            assert "character that cannot be kept" in response.text, (method, url)
    assert everything(world) == before


def test_whatever_is_too_large_is_refused_everywhere(world: World, everybody: Visitor) -> None:
    token = enter_again(world, everybody)
    before = everything(world)
    large = {"csrf_token": token, "anything": "x" * 12_000_000}
    for rule in routes(world, "POST"):
        url = address(world, rule, 1)
        response = everybody.browser.session.post(url, data=large, headers={"Referer": url}, timeout=20)
        assert response.status_code == 413, url
        assert "too large" in response.text, url
    assert everything(world) == before


def test_a_method_that_is_not_taken_says_so(world: World) -> None:
    for path in ("/lti/launch", "/lti/login", "/courses/1/", "/webhooks/x", "/admin/", "/my/"):
        for method in ("PUT", "DELETE", "PATCH"):
            response = requests.request(method, world.tool_url + path, headers={"Accept": HTML}, timeout=10)
            assert response.status_code == 405, (method, path)
            assert "does not take that kind of request" in response.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "n" * 201),
        ("issuer", f"https://lms.example/{'i' * 500}"),
        ("client_id", "c" * 256),
        ("deployment", "d" * 256),
        ("login_url", f"https://lms.example/{'l' * 1000}"),
        ("jwks_url", "https://[::1"),
        ("token_url", "HTTP:"),
        ("token_audience", "a" * 1001),
    ],
)
def test_an_lms_with_a_field_that_cannot_be_kept_is_not_registered(
    world: World, everybody: Visitor, field: str, value: str
) -> None:
    good = {
        "name": "Second LMS",
        "issuer": "https://lms.example",
        "client_id": "c",
        "login_url": "https://lms.example/l",
        "token_url": "https://lms.example/t",
        "jwks_url": "https://lms.example/k",
    }
    everybody.open(f"{world.tool_url}/admin/platforms/new").submit("/admin/platforms/new", good | {field: value})
    assert everybody.status == 422
    assert "Nothing was saved yet." in everybody.text
    assert len(registration.list_platforms(world.tools)) == 1
