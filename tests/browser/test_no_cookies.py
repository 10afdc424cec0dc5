"""A browser that keeps no cookie at all of the tool inside the LMS: not even partitioned ones."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from lti_tool.sandbox.faults import Fault
from tests.browser.conftest import WIDE, Shoot
from tests.browser.test_pages import check
from tests.world import BIOLOGY, LEARNER, TEACHER, World


@pytest.fixture
def strict(world: World, tmp_path: Path, playwright: Playwright, chromium_path: str) -> Iterator[BrowserContext]:
    """Chromium that blocks every cookie of the tool in frames of the LMS, as people can set it."""
    profile = tmp_path / "profile"
    (profile / "Default").mkdir(parents=True)
    blocked = {f"{world.tool_url},{world.lms_url}": {"setting": 2}}
    settings = {"profile": {"content_settings": {"exceptions": {"cookies": blocked}}}}
    (profile / "Default" / "Preferences").write_text(json.dumps(settings))
    context = playwright.chromium.launch_persistent_context(
        profile,
        executable_path=chromium_path,
        args=["--no-sandbox"],
        viewport=WIDE,  # type: ignore[arg-type]
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


def open_frame(context: BrowserContext, world: World, sub: str, more: str = "") -> Page:
    # The frame goes from the tool to the LMS and back to the tool. If it is back before Playwright has noticed that it
    # had left, Playwright sees nothing of it any more: so the LMS's page on the way stays for a moment.
    world.lms.faults.add(Fault("^/static/launch.js$", "delay", delay=1.5, times=2))
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={sub}{more}")
    return page


def press_open(context: BrowserContext, page: Page, heading: str = "Badges opens in a new tab") -> Page:
    frame = page.frame_locator("iframe[name=tool]")
    expect(frame.get_by_role("heading", name=heading)).to_be_visible()
    with context.expect_page() as opened:
        frame.get_by_role("button", name="Open Badges").click()
    return opened.value


@pytest.mark.parametrize("target", ["_parent", "post_message_forwarding"])
def test_the_lms_keeps_the_secret_and_the_visit_goes_to_a_tab(
    world: World, strict: BrowserContext, shoot: Shoot, target: str
) -> None:
    world.lms.config = replace(world.lms.config, storage_target=target)
    world.ready_course()
    page = open_frame(strict, world, TEACHER)
    # The launch has gone through in the frame: what is left to do is a tab.
    ticket = page.frame_locator("iframe[name=tool]").locator("input[name=ticket]")
    expect(ticket).to_have_count(1)
    check(page, shoot, "1-frame")
    tab = press_open(strict, page)
    expect(tab.get_by_role("heading", name="Badges of this course")).to_be_visible()
    # Pages and forms work there.
    tab.get_by_role("link", name="Algebra I", exact=False).first.click()
    tab.get_by_role("button", name="Pause").click()
    expect(tab.get_by_role("button", name="Switch on")).to_be_visible()
    check(tab, shoot, "2-tab")
    # The button works once.
    again = press_open(strict, page)
    expect(again.get_by_text("This was opened already")).to_be_visible()


def test_where_the_lms_keeps_nothing_the_login_goes_on_in_a_tab(
    world: World, strict: BrowserContext, shoot: Shoot
) -> None:
    world.ready_course()
    page = open_frame(strict, world, LEARNER)
    tab = press_open(strict, page)
    expect(tab.get_by_role("heading", name="Your badges")).to_be_visible()
    check(page, shoot, "1-frame")


def test_an_lms_that_promises_storage_and_never_answers_leaves_the_tab(world: World, strict: BrowserContext) -> None:
    world.lms.config = replace(world.lms.config, storage_target="post_message_forwarding")
    world.ready_course()
    strict.route("**/lti/storage", lambda route: route.abort())
    tab = press_open(strict, open_frame(strict, world, LEARNER))
    expect(tab.get_by_role("heading", name="Your badges")).to_be_visible()


def test_a_link_is_chosen_in_the_frame(world: World, strict: BrowserContext, shoot: Shoot) -> None:
    world.lms.config = replace(world.lms.config, storage_target="_parent")
    world.ready_course()
    page = open_frame(strict, world, TEACHER, "&choose=1")
    frame = page.frame_locator("iframe[name=tool]")
    expect(frame.get_by_role("heading", name="What should the link open?")).to_be_visible()
    check(page, shoot, "1-choice")
    frame.get_by_role("button", name="Add to the course").click()
    # Not a word that the page before has, too: the answer is posted to the LMS by then.
    expect(frame.get_by_role("heading", name="Added to the course")).to_be_visible()
    assert len(world.lms.links) == 1
