"""The editor of a rule in real Chromium: a nested rule by clicking and by the keyboard, with its live preview."""

import re
from datetime import UTC, datetime

from playwright.sync_api import BrowserContext, Route, expect

from lti_tool.services import rules
from lti_tool.services.drafts import Draft
from tests.browser.conftest import Shoot
from tests.browser.test_pages import check, open_badges
from tests.functional.deciding import COURSE, person, rule_criteria
from tests.world import BIOLOGY, CHEMISTRY, TEACHER, World


def test_a_nested_rule_is_made_and_changed(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    world.launch(TEACHER, CHEMISTRY)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    # Without a frame, so that the pictures show all of it.
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}&window=1")
    page.locator("#launch button").click()
    frame = page
    frame.get_by_role("link", name="Add a badge").click()
    frame.get_by_role("radio", name="Algebra II").check()
    expect(frame.get_by_label("At least, in points")).to_be_hidden()
    frame.get_by_label("Activity", exact=True).select_option(label="Quiz 1")
    # The sentence and the names follow by themselves.
    expect(frame.locator("#live")).to_contain_text("Score at least 80 % in Quiz 1")
    expect(frame.locator("#who")).to_contain_text("Ola Okafor")
    frame.get_by_label("At least, in per cent").fill("100")
    expect(frame.locator("#live")).to_contain_text("Score at least 100 % in Quiz 1")
    check(page, shoot, "1-one-condition")

    frame.get_by_role("button", name="Add a condition").click()
    second = frame.get_by_role("group", name="Condition 2")
    expect(second.get_by_label("What is asked for")).to_be_focused()
    # Nothing was lost, and the page was not loaded anew.
    expect(frame.get_by_role("radio", name="Algebra II")).to_be_checked()
    expect(frame.get_by_role("group", name="Condition 1").get_by_label("At least, in per cent")).to_have_value("100")
    second.get_by_label("What is asked for").select_option(label="Another badge is earned")
    second.get_by_label("Badge that must be earned first").select_option(label="Algebra I")
    expect(second.get_by_label("Activity", exact=True)).to_be_hidden()
    frame.get_by_role("button", name="Add a group", exact=True).click()
    third = frame.get_by_role("group", name="Group 3")
    expect(third.get_by_label("How much of it is needed")).to_be_focused()
    third.get_by_role("button", name="Add a condition to group 3").click()
    expect(frame.get_by_role("group", name="Condition 3.3").get_by_label("What is asked for")).to_be_focused()
    inner = frame.get_by_role("group", name="Condition 3.1")
    inner.get_by_label("What is asked for").select_option(label="A teacher approves it")
    lab = frame.get_by_role("group", name="Condition 3.2")
    lab.get_by_label("What is asked for").select_option(label="Something is handed in")
    lab.get_by_label("Activity", exact=True).select_option(label="Another activity…")
    lab.get_by_label("Its name, exactly as in the LMS").fill("Field trip")
    third.get_by_role("button", name="Remove condition 3.3").click()
    expect(frame.get_by_role("group", name="Condition 3.3")).to_have_count(0)
    expect(frame.locator("#live")).to_contain_text("(be approved by a teacher or hand in Field trip)")
    # A module has a name, too; the whole course needs none.
    lab.get_by_label("Activity", exact=True).select_option(label="Another module…")
    expect(lab.get_by_label("Its name, exactly as in the LMS")).to_have_value("Field trip")
    lab.get_by_label("Activity", exact=True).select_option(label="Quiz 1")
    expect(lab.get_by_label("Its name, exactly as in the LMS")).to_be_hidden()
    lab.get_by_label("Activity", exact=True).select_option(label="Another activity…")
    frame.get_by_text("More: from when until when").click()
    frame.get_by_label("I look at each badge before it goes out").check()
    check(page, shoot, "2-nested")
    frame.get_by_role("button", name="See who would earn it").click()
    expect(frame.get_by_role("heading", name="Algebra II")).to_be_visible()
    expect(frame.get_by_text("A teacher looks at each badge before it goes out.")).to_be_visible()
    frame.get_by_text("Copy it to another course").click()
    check(page, shoot, "3-rule")
    assert problems == []


def test_in_a_frame_the_new_part_has_the_focus_too(world: World, context: BrowserContext, shoot: Shoot) -> None:
    # Chromium blocks `autofocus` in a frame of another site; htmx sets the focus itself.
    world.ready_course()
    frame = open_badges(context.new_page(), world, TEACHER)
    frame.get_by_role("link", name="Add a badge").click()
    frame.get_by_role("button", name="Add a condition").click()
    second = frame.get_by_role("group", name="Condition 2")
    expect(second.get_by_label("What is asked for")).to_be_focused()


def test_an_edit_shows_whom_it_touches(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    page = context.new_page()
    frame = open_badges(page, world, TEACHER)
    frame.get_by_role("link", name="Algebra I").click()
    frame.get_by_role("link", name="Change what earns it").click()
    frame.get_by_label("At least, in per cent").fill("lots")
    frame.get_by_role("button", name="Save").click()
    expect(frame.get_by_role("alert")).to_contain_text("Nothing was saved yet.")
    expect(frame.get_by_label("At least, in per cent")).to_have_attribute("aria-invalid", "true")
    check(page, shoot, "1-fault")
    # Meanwhile a colleague changes it, too.
    draft = Draft(rule_criteria(world), needs_approval=True)
    rules.edit(world.tools, COURSE, 1, person(world, TEACHER), draft, datetime.now(UTC))
    frame.get_by_label("At least, in per cent").fill("100")
    frame.get_by_role("button", name="Save").click()
    expect(frame.get_by_role("alert")).to_contain_text("Somebody has changed this rule since you looked.")
    expect(frame.get_by_label("At least, in per cent")).to_have_value("100")
    check(page, shoot, "2-changed-meanwhile")
    frame.get_by_role("button", name="Save").click()
    expect(frame.get_by_role("heading", name=re.compile("What would change"))).to_be_visible()
    expect(frame.get_by_text("A teacher looks at each badge before it goes out: yes → no")).to_be_visible()
    check(page, shoot, "2-effect")
    frame.get_by_role("button", name="Change the rule").click()
    expect(frame.get_by_text("Changed. Whoever has the badge keeps it.")).to_be_visible()
    frame.get_by_text("What it asked, and since when").click()
    expect(frame.get_by_text("1. Score at least 80 % in Quiz 1")).to_be_visible()
    frame.get_by_text("Archive it").click()
    check(page, shoot, "3-changed")


def test_a_copied_rule_asks_to_be_confirmed(world: World, context: BrowserContext, shoot: Shoot) -> None:
    teacher = world.ready_course()
    world.launch(TEACHER, CHEMISTRY)
    teacher.open(teacher.url).submit("/copy")
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{CHEMISTRY}/badges?as={TEACHER}")
    frame = page.frame_locator("iframe[name=tool]")
    frame.get_by_role("link", name="Algebra I").click()
    expect(frame.get_by_role("heading", name="Copied from another course: please look at it")).to_be_visible()
    check(page, shoot, "1-asleep")


def test_a_request_that_fails_loses_nothing(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}&window=1")
    page.locator("#launch button").click()
    page.get_by_role("link", name="Add a badge").click()
    page.get_by_label("At least, in per cent").fill("77")
    fault = page.get_by_role("alert")
    expect(fault).to_have_count(0)

    def refuse(route: Route) -> None:
        route.fulfill(status=502, body="<h1>502 Bad Gateway</h1>", content_type="text/html")

    page.route(re.compile("/rules"), refuse)
    page.get_by_role("button", name="Add a condition").click()
    expect(fault).to_contain_text("What you have entered is still here.")
    check(page, shoot, "1-refused")
    page.unroute_all()
    # The network is gone, then the visit.
    page.route(re.compile("/rules"), lambda route: route.abort())
    page.get_by_role("button", name="Add a condition").click()
    expect(fault).to_have_count(1)
    page.unroute_all()
    cookies = context.cookies()
    context.clear_cookies()
    page.get_by_role("button", name="Add a condition").click()
    expect(fault).to_have_count(1)
    context.add_cookies(cookies)  # type: ignore[arg-type]
    page.get_by_role("button", name="Add a condition").click()
    expect(page.get_by_role("group", name="Condition 2")).to_be_visible()
    expect(fault).to_have_count(0)
    expect(page.get_by_role("group", name="Condition 1").get_by_label("At least, in per cent")).to_have_value("77")


def test_the_keyboard_stays_in_the_form_when_a_group_goes(world: World, context: BrowserContext) -> None:
    world.ready_course()
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}&window=1")
    page.locator("#launch button").click()
    page.get_by_role("link", name="Add a badge").click()
    page.get_by_role("button", name="Add a group", exact=True).click()
    for number in (2, 1):
        page.get_by_role("button", name=f"Remove condition 2.{number}").click()
        expect(page.get_by_role("group", name=f"Condition 2.{number}")).to_have_count(0)
        focused = page.evaluate("document.activeElement.closest('#conditions') !== null")
        assert focused, f"after removing condition 2.{number}"
