"""Launches without cookies: what the LMS keeps proves the browser, and the visit is handed over exactly once."""

from dataclasses import replace
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import pytest
import requests

from lti_tool.sandbox.visitor import Visitor
from tests.world import BIOLOGY, LEARNER, TEACHER, World

ADMIN = "2"


def without_cookies() -> Visitor:
    visitor = Visitor()
    visitor.browser.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return visitor


@pytest.fixture
def storing(world: World) -> World:
    world.lms.config = replace(world.lms.config, storage_target="_parent")
    return world


def begin(world: World, sub: str, visitor: Visitor | None = None) -> Visitor:
    """Up to the page in the frame that asks the LMS to keep the secret."""
    visitor = visitor or without_cookies()
    visitor.open(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={sub}")
    return visitor.submit("/lti/login")


def launch(world: World, sub: str, secret: str | None = None) -> Visitor:
    """Up to the page that offers a tab; the LMS answers with what it was given, or with another secret."""
    visitor = begin(world, sub)
    kept = visitor.page.select_one("#storage")
    visitor.open(kept["href"]).submit()
    asked = visitor.page.select_one("form#storage")
    assert asked["data-key"] == kept["data-key"]
    assert asked["data-subject"] == "lti.get_data"
    visitor.browser.select_form("form#storage").set(kept["data-key"], secret or kept["data-value"])
    visitor.browser.submit_selected()
    world.work()
    return visitor


def ticket(visitor: Visitor) -> str:
    return str(visitor.page.select_one("input[name=ticket]")["value"])


def take_over(world: World, given: str, visitor: Visitor, **headers: str) -> Visitor:
    """Press the button: the tab belongs to `visitor`."""
    told = {"Origin": world.tool_url} | headers
    answer = visitor.browser.post(f"{world.tool_url}/lti/open", data={"ticket": given}, headers=told)
    visitor.status = answer.status_code
    return visitor


def test_cookies_are_tried_before_the_lms_is_asked(storing: World) -> None:
    visitor = begin(storing, LEARNER, Visitor())
    assert visitor.url.startswith(f"{storing.lms_url}/lti/auth")


def test_a_browser_at_the_top_is_not_tried(world: World) -> None:
    answer = requests.get(
        f"{world.tool_url}/lti/login",
        params={"iss": world.lms_url, "login_hint": "4", "target_link_uri": f"{world.tool_url}/lti/launch"},
        headers={"Sec-Fetch-Dest": "document"},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{world.lms_url}/lti/auth")


def test_a_trial_repeats_a_login_by_get_and_by_post(world: World) -> None:
    told = {"iss": world.lms_url, "login_hint": "4", "target_link_uri": f"{world.tool_url}/lti/launch"}
    got = requests.get(f"{world.tool_url}/lti/login", params=told, timeout=10, allow_redirects=False)
    assert got.status_code == 307
    assert "login_hint=4" in got.headers["Location"]
    posted = requests.post(f"{world.tool_url}/lti/login", data=told, timeout=10, allow_redirects=False)
    assert posted.status_code == 307
    assert "login_hint" not in posted.headers["Location"]


def test_what_the_lms_kept_proves_the_browser(storing: World) -> None:
    storing.ready_course()
    frame = launch(storing, LEARNER)
    tab = Visitor()
    take_over(storing, ticket(frame), tab)
    tab.open(f"{storing.tool_url}/courses/1/mine/")
    assert tab.status == 200
    assert "Your badges" in tab.text


def test_another_secret_proves_nothing(storing: World) -> None:
    frame = launch(storing, LEARNER, secret="another")
    assert "state_foreign" in frame.text
    assert frame.page.select_one("input[name=ticket]") is None


def test_the_visit_is_handed_over_once(storing: World) -> None:
    given = ticket(launch(storing, LEARNER))
    first, second = Visitor(), Visitor()
    take_over(storing, given, first)
    assert take_over(storing, given, second).status == 400
    assert first.open(f"{storing.tool_url}/courses/1/mine/").status == 200
    assert second.open(f"{storing.tool_url}/courses/1/mine/").status == 404


ELSEWHERE = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_a_secret_that_another_page_posts_proves_nothing(storing: World, headers: dict[str, str]) -> None:
    """Else a stranger could let somebody's browser end his own login, and they would work under his name."""
    stranger = begin(storing, LEARNER)
    kept = stranger.page.select_one("#storage")
    stranger.open(kept["href"])
    form = {field["name"]: field["value"] for field in stranger.page.select("form input[name]")}
    form[kept["data-key"]] = kept["data-value"]
    for said, is_believed in ((headers, False), ({}, True)):
        answer = requests.post(
            f"{storing.tool_url}/lti/launch", data=form, headers={"Origin": storing.tool_url} | said, timeout=10
        )
        assert ('name="ticket"' in answer.text) is is_believed
        assert ("state_foreign" in answer.text) is not is_believed


def test_a_made_up_ticket_and_one_from_another_site_open_nothing(storing: World) -> None:
    given = ticket(launch(storing, LEARNER))
    assert take_over(storing, given[:-2], Visitor()).status == 400
    for headers in ELSEWHERE:
        assert take_over(storing, given, Visitor(), **headers).status == 400, headers
    # It was not used up by that.
    tab = Visitor()
    take_over(storing, given, tab)
    assert tab.open(f"{storing.tool_url}/courses/1/mine/").status == 200


def test_a_ticket_ends(storing: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lti_tool.web.cookieless.TICKET_SECONDS", -1)
    assert take_over(storing, ticket(launch(storing, LEARNER)), Visitor()).status == 400


def test_a_visit_that_is_handed_over_ends_those_of_somebody_else_in_the_same_browser(storing: World) -> None:
    tab = storing.launch(TEACHER)
    course = storing.course_url(tab)
    assert tab.open(course).status == 200
    take_over(storing, ticket(launch(storing, LEARNER)), tab)
    assert tab.open(course).status == 404
    assert tab.open(f"{course}mine/").status == 200


def test_an_administrator_of_the_lms_is_handed_over_too(storing: World) -> None:
    tab = Visitor()
    take_over(storing, ticket(launch(storing, ADMIN)), tab)
    assert tab.open(f"{storing.tool_url}/admin/").status == 200
    assert "Ada Admin" in tab.text


def test_the_page_in_the_frame_may_lead_to_the_lms_wherever_that_redirects(storing: World) -> None:
    visitor = begin(storing, LEARNER)
    assert urlsplit(visitor.url).path == "/lti/login"
    response = visitor.browser.session.post(
        visitor.url, data={name["name"]: name["value"] for name in visitor.page.select("input[type=hidden]")}
    )
    # Browsers check every redirect after a form, and Canvas' sign-in goes through several hosts.
    assert "form-action" not in response.headers["Content-Security-Policy"]
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
