"""Who may show the tool in a frame: the pages of the LMSs that are known, and nobody else."""

import json
import re

import pytest
import requests

from lti_tool.errors import InvalidInputError
from lti_tool.lti.claims import DEEP_LINKING, LTI
from lti_tool.models import Deployment, Platform
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import onboarding, registration
from lti_tool.web import origins
from tests.functional.test_admin import now
from tests.world import TEACHER, World


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every answer look at the database."""
    monkeypatch.setattr(origins, "CACHE_SECONDS", 0)


def frames(world: World, path: str, visitor: Visitor | None = None) -> list[str]:
    """Who may frame a page."""
    response = (visitor or Visitor()).browser.session.get(world.tool_url + path, timeout=10)
    found = re.search(r"frame-ancestors ([^;]*)", response.headers["Content-Security-Policy"])
    assert found
    return found[1].split()


def show_pages_from(world: World, host: str, claim: str = "") -> None:
    """Let the LMS be at another host than its issuer says, as Blackboard's are, and Canvas's with own names."""
    original = world.lms.claims

    def claims(*args: object, **more: object) -> dict[str, object]:
        told: dict[str, object] = original(*args, **more)  # type: ignore[arg-type]
        moved = {name: value for name, value in told.items() if isinstance(value, dict) and claim in ("", name)}
        return told | json.loads(json.dumps(moved).replace("http://localhost", f"http://{host}"))  # type: ignore[no-any-return]

    world.lms.claims = claims  # type: ignore[method-assign]


def test_only_known_lmss_may_frame_the_tool(world: World) -> None:
    for path in ("/courses/1/", "/nowhere", "/admin/sign-in", "/lti/login"):
        assert frames(world, path) == [world.lms_url], path
    assert frames(world, "/my/") == frames(world, "/badgr/connect") == ["'none'"]


def test_an_lms_that_is_switched_off_may_not(world: World) -> None:
    registration.set_enabled(world.tools, 1, now(), enabled=False)
    assert frames(world, "/courses/1/") == ["'none'"]


def test_an_lms_at_another_host_than_its_issuer_may_from_its_first_launch_on(world: World) -> None:
    port = world.lms_url.rpartition(":")[2]
    school = f"http://school.localhost:{port}"
    show_pages_from(world, "school.localhost")
    teacher = world.launch(TEACHER)
    assert set(frames(world, "/courses/1/", teacher)) == {world.lms_url, school}
    # The pages that come before a visit, too.
    assert set(frames(world, "/lti/login")) == {world.lms_url, school}
    onboarding.set_approved(world.tools, 1, "test", now(), approved=False)
    assert frames(world, "/lti/login") == [world.lms_url]


def test_the_page_that_a_launch_came_from_may_show_what_it_opened(world: World) -> None:
    # An institution on Canvas may be at an address of its own one time, and at Canvas's the other.
    school = f"http://canvas.school.localhost:{world.lms_url.rpartition(':')[2]}"
    show_pages_from(world, "canvas.school.localhost", f"{LTI}launch_presentation")
    teacher = world.launch(TEACHER)
    assert set(frames(world, "/courses/1/", teacher)) == {world.lms_url, school}
    # For this visit, and for no other.
    assert frames(world, "/courses/1/") == [world.lms_url]


def test_the_page_that_asked_for_a_link_may_show_the_answer(world: World) -> None:
    school = f"http://canvas.school.localhost:{world.lms_url.rpartition(':')[2]}"
    show_pages_from(world, "canvas.school.localhost", f"{DEEP_LINKING}deep_linking_settings")
    teacher = Visitor().open(f"{world.lms_url}/courses/2/badges?as={TEACHER}&choose=1").submit("/lti/login").submit()
    ticket = teacher.page.select_one("input[name=ticket]")["value"]
    for chosen in ("course", "no such link"):
        answer = requests.post(
            teacher.browser.absolute_url(teacher.page.select_one("form")["action"]),
            data={"ticket": ticket, "link": chosen},
            timeout=10,
        )
        assert f"frame-ancestors {world.lms_url} {school}" in answer.headers["Content-Security-Policy"]


def test_an_administrator_can_name_the_pages_around_an_lms(world: World) -> None:
    # Open edX shows the pages of a course in those of apps.<its host>, and a browser asks about all of them.
    registration.set_frame_origins(world.tools, 1, ["apps.lms.example", "https://lms.example:8443/"], now())
    around = ["https://apps.lms.example", "https://lms.example:8443"]
    for path in ("/courses/1/", "/lti/login"):
        assert frames(world, path) == sorted([world.lms_url, *around])
    registration.set_enabled(world.tools, 1, now(), enabled=False)
    assert frames(world, "/courses/1/") == ["'none'"]


@pytest.mark.parametrize(
    "told",
    [
        "*.example",
        "'self'",
        "https:",
        "lms.example;sandbox",
        "lms.example/path",
        "https://lms.example?x",
        "https://user@lms.example",
        "ftp://lms.example",
        "*",
    ],
)
def test_pages_around_an_lms_are_named_by_plain_hosts_only(world: World, told: str) -> None:
    registration.set_frame_origins(world.tools, 1, ["apps.lms.example"], now())
    for entered in ([told], ["apps.lms.example", told], [f"apps{n}.example" for n in range(21)]):
        with pytest.raises(InvalidInputError, match="frames"):
            registration.set_frame_origins(world.tools, 1, entered, now())
    assert set(frames(world, "/lti/login")) == {world.lms_url, "https://apps.lms.example"}


def test_an_lms_with_an_address_that_is_none_writes_nothing_into_the_policy(world: World) -> None:
    """Registered before such addresses were refused, or told by a launch."""
    with world.tools.database.write() as session:
        evil = Platform(name="Evil", issuer="https://a * @evil.example", client_id="c", created_at=now())
        evil.auth_login_url = "https://a; sandbox @evil.example/auth"
        evil.auth_token_url = evil.jwks_url = "https://evil.example"
        evil.deployments = [Deployment(deployment_id="1", host="evil.example; sandbox", created_at=now())]
        session.add(evil)
        session.commit()
    assert frames(world, "/courses/1/") == [world.lms_url]
    assert "sandbox" not in requests.get(f"{world.tool_url}/lti/login", timeout=10).headers["Content-Security-Policy"]


def test_a_configuration_at_an_address_that_is_none_writes_nothing_into_the_policy(world: World) -> None:
    link = onboarding.create_link(world.tools, "test", "School", now())
    told = {"openid_configuration": "https://a; sandbox @evil.example/configuration"}
    for method in ("GET", "POST"):
        answer = requests.request(method, link, params=told, timeout=10)
        assert "sandbox" not in answer.headers["Content-Security-Policy"]
