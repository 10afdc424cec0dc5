"""The journey as people make it: in real Chromium, in a frame, third-party cookies blocked, by clicking."""

import json
import re
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect
from sqlalchemy import delete

from lti_tool.models import Deployment
from tests.browser.conftest import Shoot
from tests.world import BIOLOGY, LEARNER, LEARNER_ADDRESS, NO_MAIL, TEACHER, World

AXE = Axe()
WCAG = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
    # Each frame is looked at by itself: from outside, axe sees nothing of a frame of another site.
    "iframes": False,
}


def open_badges(page: Page, world: World, sub: str) -> FrameLocator:
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={sub}")
    frame = page.frame_locator("iframe[name=tool]")
    expect(frame.locator("main h1")).to_be_visible()
    world.work()
    return frame


def check(page: Page, shoot: Shoot, step: str) -> None:
    """Keep a picture, and find no WCAG 2.2 AA fault in the page and the frames in it."""
    shoot(page, step)
    for shown in page.frames:
        found: Any = AXE.run(shown, options=WCAG).response["violations"]
        faults = [f"{v['id']}: {node['html'][:200]} ({node['target']})" for v in found for node in v["nodes"]]
        assert faults == [], (step, shown.url)
        # Nothing sticks out at the side.
        wide = shown.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, (step, shown.url)


def set_up(page: Page, context: BrowserContext, world: World, shoot: Shoot) -> FrameLocator:
    frame = open_badges(page, world, TEACHER)
    expect(frame.get_by_role("heading", name="Set up badges in four steps")).to_be_visible()
    check(page, shoot, "1-checklist")
    with context.expect_page() as opened:
        frame.get_by_role("link", name="Connect to Badgr").click()
    tab = opened.value
    check(tab, shoot, "2-connect")
    tab.get_by_role("button", name="Go on to Badgr").click()
    tab.get_by_label("Olive Owner").check()
    check(tab, shoot, "3-consent")
    tab.get_by_role("button", name="Allow").click()
    expect(tab.get_by_role("heading", name="Connected")).to_be_visible()
    check(tab, shoot, "4-connected")
    tab.close()
    # The page in the frame notices by itself.
    frame.get_by_role("link", name="Choose the issuer").click()
    expect(frame.get_by_label("Loopback University")).to_be_checked()
    check(page, shoot, "5-issuer")
    frame.get_by_role("button", name="Use this issuer").click()
    return frame


def make_rule(frame: FrameLocator, page: Page, shoot: Shoot) -> None:
    frame.get_by_role("radio", name="Algebra II").check()
    frame.get_by_label("At least, in per cent").fill("80")
    frame.get_by_label("Activity", exact=True).select_option(label="Quiz 1")
    check(page, shoot, "6-rule-form")
    frame.get_by_role("button", name="See who would earn it").click()
    expect(frame.get_by_text("Score at least 80 % in Quiz 1")).to_be_visible()
    expect(frame.get_by_text("Ola Okafor")).to_be_visible()
    check(page, shoot, "7-preview")


def test_the_whole_journey(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.announce()
    page = context.new_page()
    problems: list[str] = []
    page.on(
        "console",
        lambda message: problems.append(f"{message.text} {message.location}") if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    frame = set_up(page, context, world, shoot)
    make_rule(frame, page, shoot)
    frame.get_by_role("button", name="Switch on").click()
    expect(frame.locator("#awards .state.on_the_way")).to_have_count(2)
    world.work()
    # The list of awards follows by itself until Badgr has answered.
    expect(frame.locator("#awards .state.issued")).to_have_count(2)
    check(page, shoot, "8-switched-on")

    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/gradebook?as={TEACHER}")
    row = page.get_by_role("row", name=re.compile("Lea Learner"))
    row.get_by_role("spinbutton", name=re.compile("Quiz 1")).fill("9")
    row.get_by_role("button", name=re.compile("Quiz 1")).click()
    expect(page.get_by_role("cell", name="202").first).to_be_visible()
    check(page, shoot, "9-gradebook")
    world.work()

    frame = open_badges(page, world, LEARNER)
    expect(frame.get_by_role("link", name=re.compile("Verify and share"))).to_be_visible()
    check(page, shoot, "10-learner")
    with context.expect_page() as opened:
        frame.get_by_role("link", name=re.compile("Verify and share")).click()
    expect(opened.value.get_by_role("heading", name="Algebra II")).to_be_visible()
    check(opened.value, shoot, "11-verify")
    opened.value.close()

    frame = open_badges(page, world, TEACHER)
    check(page, shoot, "12-overview")
    frame.get_by_role("link", name="Learners").click()
    frame.get_by_role("row", name=re.compile("Lea Learner")).get_by_role("link", name="Issued").click()
    expect(frame.get_by_text("Badgr issued it.")).to_be_visible()
    check(page, shoot, "13-award")
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra II"]
    assert problems == []


def test_what_is_missing_and_what_waits(world: World, context: BrowserContext, shoot: Shoot) -> None:
    teacher = world.ready_course()
    world.make_rule(teacher, badge="Laboratory Safety", kind="completed", activity="Lab 2").submit("/activate")
    world.grade(LEARNER, score=5)
    world.grade(NO_MAIL, score=10)
    world.work()
    page = context.new_page()
    frame = open_badges(page, world, LEARNER)
    expect(frame.get_by_text("50 % reached, 80 % needed.")).to_be_visible()
    check(page, shoot, "1-missing")
    frame = open_badges(page, world, NO_MAIL)
    expect(frame.get_by_text("Earned, held")).to_be_visible()
    check(page, shoot, "2-held")
    frame = open_badges(page, world, TEACHER)
    expect(frame.get_by_text("Held: no e-mail address (1 award)")).to_be_visible()
    check(page, shoot, "3-attention")
    frame.get_by_role("link", name="Learners").click()
    expect(frame.get_by_role("link", name="Held: no e-mail address")).to_be_visible()
    check(page, shoot, "4-learners")


def test_bad_input_is_explained_at_its_field(world: World, context: BrowserContext, shoot: Shoot) -> None:
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    teacher.open(teacher.url).follow("/issuer").submit("/issuer")
    page = context.new_page()
    frame = open_badges(page, world, TEACHER)
    frame.get_by_role("link", name="Choose a badge").click()
    frame.get_by_role("radio", name="Algebra II").check()
    frame.get_by_label("At least, in per cent").fill("lots")
    frame.get_by_role("button", name="See who would earn it").click()
    expect(frame.get_by_role("alert")).to_contain_text("Nothing was saved yet.")
    expect(frame.get_by_label("At least, in per cent")).to_have_attribute("aria-invalid", "true")
    expect(frame.get_by_label("At least, in per cent")).to_have_value("lots")
    expect(frame.get_by_role("radio", name="Algebra II")).to_be_checked()
    check(page, shoot, "1-errors")


def test_the_keyboard_is_enough(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}&window=1")
    page.keyboard.press("Tab")
    page.locator("#launch button").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/courses/1/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    shoot(page, "1-skip-link")
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.innerText.trim()"))
    assert {"Overview", "Learners", "Algebra I", "Add a badge"} <= set(seen)


def test_a_launch_that_fails_says_which_check_and_whom_to_ask(
    world: World, context: BrowserContext, shoot: Shoot
) -> None:
    with world.tools.database.write() as session:
        session.execute(delete(Deployment))
        session.commit()
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}&window=1")
    page.locator("#launch button").click()
    expect(page.get_by_role("heading", name="Badges could not be opened")).to_be_visible()
    expect(page.get_by_text("For whoever helps you")).to_be_visible()
    check(page, shoot, "1-failed")


def test_an_lms_at_another_host_than_its_issuer_shows_the_tool(world: World, context: BrowserContext) -> None:
    # As Blackboard and Schoology, whose issuers are no addresses of an institution.
    school = world.lms_url.replace("localhost", "school.localhost")
    original = world.lms.claims

    def claims(launch: Any, nonce: str) -> dict[str, Any]:
        told = original(launch, nonce)
        moved = {name: value for name, value in told.items() if isinstance(value, dict)}
        return {**told, **json.loads(json.dumps(moved).replace(world.lms_url, school))}

    world.lms.claims = claims  # type: ignore[method-assign]
    page = context.new_page()
    page.goto(f"{school}/courses/{BIOLOGY}/badges?as={TEACHER}")
    frame = page.frame_locator("iframe[name=tool]")
    expect(frame.get_by_role("heading", name="Set up badges in four steps")).to_be_visible()
    frame.get_by_role("link", name="Learners").click()
    expect(frame.get_by_role("heading", name="Learners")).to_be_visible()
