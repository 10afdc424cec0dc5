"""The journey in a browser that runs no script at all: every page has a button where a script would act by itself."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lti_tool.services import admins
from tests.browser.conftest import NARROW
from tests.world import BIOLOGY, LEARNER, LEARNER_ADDRESS, TEACHER, World

PASSWORD = "correct horse battery"


@pytest.fixture
def scriptless(chromium: Browser) -> Iterator[BrowserContext]:
    """Chromium with scripts switched off, as narrow as a phone."""
    context = chromium.new_context(viewport=NARROW, java_script_enabled=False)  # type: ignore[arg-type]
    context.set_default_timeout(20_000)
    yield context
    context.close()


def open_badges(page: Page, world: World, sub: str, more: str = "") -> None:
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={sub}&window=1{more}")
    page.get_by_role("button", name="Open Badges").click()
    page.get_by_role("button", name="Continue to the tool").click()
    expect(page.locator("main h1")).to_be_visible()
    world.work()


def test_the_whole_journey_without_a_script(world: World, scriptless: BrowserContext) -> None:
    world.announce()
    page = scriptless.new_page()
    open_badges(page, world, TEACHER)
    course = page.url
    with scriptless.expect_page() as opened:
        page.get_by_role("link", name="Connect to Badgr").click()
    tab = opened.value
    tab.get_by_role("button", name="Go on to Badgr").click()
    tab.get_by_label("Olive Owner").check()
    tab.get_by_role("button", name="Allow").click()
    expect(tab.get_by_role("heading", name="Connected")).to_be_visible()
    tab.close()
    page.goto(course)
    page.get_by_role("link", name="Choose the issuer").click()
    page.get_by_role("button", name="Use this issuer").click()
    page.get_by_role("radio", name="Algebra II").check()
    page.get_by_label("At least, in per cent").fill("80")
    page.get_by_label("Activity", exact=True).select_option(label="Quiz 1")
    page.get_by_role("button", name="See who would earn it").click()
    expect(page.get_by_text("Ola Okafor")).to_be_visible()
    page.get_by_role("button", name="Switch on").click()
    world.work()
    world.grade(LEARNER, score=9)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra II"]
    page.get_by_role("link", name="Learners", exact=True).click()
    page.get_by_role("row", name=re.compile("Lea Learner")).get_by_role("link", name="Issued").click()
    expect(page.get_by_text("Badgr issued it.")).to_be_visible()
    page.get_by_text("Revoke this badge").click()
    expect(page.get_by_label("Reason")).to_be_visible()

    open_badges(page, world, LEARNER)
    expect(page.get_by_role("link", name=re.compile("Verify and share"))).to_be_visible()


def test_a_link_is_chosen_without_a_script(world: World, scriptless: BrowserContext) -> None:
    world.ready_course()
    page = scriptless.new_page()
    open_badges(page, world, TEACHER, "&choose=1")
    page.get_by_role("checkbox", name="Algebra I").check()
    page.get_by_role("button", name="Add to the course").click()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Added to the course")).to_be_visible()
    assert len(world.lms.links) == 2


def test_an_administrator_needs_no_script(world: World, scriptless: BrowserContext) -> None:
    admins.create_account(world.tools, "root", PASSWORD, "test", datetime.now(UTC))
    world.lms.tool = None
    page = scriptless.new_page()
    page.goto(f"{world.tool_url}/admin/")
    page.get_by_label("Name").fill("root")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Self-check").click()
    page.get_by_role("link", name="Check Sandbox LMS").click()
    expect(page.get_by_role("heading", name="Self-check: Sandbox LMS")).to_be_visible()
    page.get_by_role("link", name="Registration links").click()
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Registration link").input_value()
    configuration = f"{world.lms_url}/lti/openid-configuration"
    world.lms.registration_tokens.add("once")
    page.goto(f"{link}?openid_configuration={configuration}&registration_token=once")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("heading", name="Badges is registered")).to_be_visible()
