"""Pages where a teacher decides: real Chromium, wide and narrow, by clicking; axe looks at each of them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from lti_tool.domain.criteria import Approved, Completed, ScoreAtLeast, Submitted, all_of, any_of
from lti_tool.models import OnFall
from lti_tool.sandbox.badgr import Fault
from lti_tool.services import rules
from lti_tool.services.drafts import Draft
from tests.browser.conftest import Shoot
from tests.browser.test_pages import check
from tests.functional.deciding import COURSE, activity, drafted_course, person, rule_criteria, switched_on
from tests.world import BIOLOGY, LEARNER, LEARNER_ADDRESS, TEACHER, World, running_world


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A world where more than two awards at once wait."""
    with running_world(database_url, tmp_path, brake_awards=2) as world:
        yield world


def enter(context: BrowserContext, world: World, path: str = "") -> Page:
    """The teacher in a tab of their own, at a page of the course."""
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}&window=1")
    page.locator("#launch button").click()
    page.wait_for_url("**/courses/1/")
    world.work()
    page.goto(f"{world.tool_url}/courses/1/{path}")
    return page


def test_a_run_waits_is_confirmed_and_taken_back(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.announce()
    drafted_course(world)
    world.grade(LEARNER, score=10)
    world.work()
    page = enter(context, world, "rules/1")
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("These badges wait for you")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Lea Learner"))).to_contain_text("100 % reached")
    check(page, shoot, "1-waits")
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_text("3 awards at once wait for you")).to_be_visible()
    check(page, shoot, "2-first-page")
    page.get_by_role("link", name="Look at the list").click()
    # The rule is mended while they wait, and mended back.
    sentence = rule_criteria(world)
    for criteria, marked in ((ScoreAtLeast(activity(world, "Quiz 1"), 95), 2), (sentence, 0)):
        rules.edit(world.tools, COURSE, 1, person(world, TEACHER), Draft(criteria), datetime.now(UTC))
        page.reload()
        expect(page.get_by_text("Would not earn it by the rule as it is now.")).to_have_count(marked)
        check(page, shoot, f"2-marked-{marked}")
    page.get_by_role("link", name="Do not award").click()
    expect(page.get_by_text("3 badges have not been sent")).to_be_visible()
    check(page, shoot, "3-do-not-award")
    page.get_by_role("link", name="Leave everything as it is").click()
    page.get_by_role("button", name="Award all 3").click()
    expect(page.get_by_text("3 badges go out now")).to_be_visible()
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    page.get_by_role("link", name="All awards to several people at once").click()
    check(page, shoot, "4-runs")
    page.get_by_role("link", name=re.compile("Take all back")).click()
    expect(page.get_by_text("3 badges are at Badgr")).to_be_visible()
    check(page, shoot, "5-take-back")
    page.get_by_role("button", name="Take all back").click()
    expect(page.get_by_text("Taken back: 3 awards")).to_be_visible()
    check(page, shoot, "6-taken-back")


def test_approvals_are_ticked_all_at_once(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.announce()
    world.launch(TEACHER)
    quiz, lab, essay = (activity(world, title) for title in ("Quiz 1", "Lab 2", "Essay"))
    criteria = any_of(ScoreAtLeast(quiz, 80), all_of(Completed(lab), Submitted(essay)))
    switched_on(world, criteria, needs_approval=True)
    page = enter(context, world)
    page.get_by_role("link", name="Approve or refuse").click()
    master = page.get_by_role("checkbox", name="Tick all")
    master.check()
    expect(page.get_by_role("checkbox", name=re.compile("Ola Okafor"))).to_be_checked()
    page.get_by_role("checkbox", name=re.compile("Quinn Quigley")).uncheck()
    expect(master).not_to_be_checked()
    check(page, shoot, "1-approvals")
    page.get_by_role("button", name="Approve those that are ticked").click()
    expect(page.get_by_text("1 award.")).to_be_visible()
    world.work()
    assert world.held_by("ola@example.org") == ["Algebra I"]
    page.get_by_role("checkbox", name=re.compile("Quinn Quigley")).check()
    page.get_by_role("button", name="Refuse those that are ticked").click()
    expect(page.get_by_text("Nothing waits for approval")).to_be_visible()
    check(page, shoot, "2-nothing")


def test_a_fall_is_decided_on(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.announce()
    world.launch(TEACHER)
    switched_on(world, ScoreAtLeast(activity(world, "Quiz 1"), 80), on_fall=OnFall.PROPOSE)
    world.grade("6", score=4)
    world.work()
    page = enter(context, world)
    page.get_by_role("link", name="Keep or revoke").click()
    expect(page.get_by_role("listitem").filter(has_text="Ola Okafor")).to_contain_text("40 % reached, 80 % needed.")
    check(page, shoot, "1-falls")
    page.get_by_role("link", name="Ola Okafor", exact=True).click()
    expect(page.get_by_text("The results do not earn it any more", exact=True)).to_be_visible()
    check(page, shoot, "2-award")
    page.get_by_role("link", name="Keep it or revoke it").click()
    page.get_by_role("checkbox", name=re.compile("Ola Okafor")).check()
    page.get_by_role("button", name="Keep those that are ticked").click()
    expect(page.get_by_text("Nothing to decide")).to_be_visible()
    check(page, shoot, "3-nothing")


def test_exceptions_and_reasons(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.announce()
    world.launch(TEACHER)
    quiz, lab, essay = (activity(world, title) for title in ("Quiz 1", "Lab 2", "Essay"))
    criteria = all_of(ScoreAtLeast(quiz, 80), any_of(Completed(lab), Submitted(essay)), Approved())
    switched_on(world, criteria, counts_until=datetime.now(UTC) + timedelta(days=30))
    page = enter(context, world, "rules/1/people")
    check(page, shoot, "1-people")
    page.get_by_role("checkbox", name="Quinn Quigley").check()
    page.get_by_label("Why").fill("No laboratory in that week")
    page.get_by_label("Excused from").select_option(label="Lab 2")
    page.get_by_role("button", name="Excuse", exact=True).click()
    expect(page.get_by_text("Excused: 1 learner.")).to_be_visible()
    check(page, shoot, "2-exceptions")
    page.get_by_role("link", name="Quinn Quigley").click()
    expect(page.get_by_text("Not earned yet: 1 condition is missing.")).to_be_visible()
    expect(page.get_by_text("of the source “Gradebook”").first).to_be_visible()
    check(page, shoot, "3-why-not")
    page.goto(f"{world.tool_url}/courses/1/rules/1/people?show=approval")
    page.get_by_role("checkbox", name="Ola Okafor").check()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Approved: 1 learner.")).to_be_visible()
    world.work()
    page.get_by_role("link", name="Learners", exact=True).click()
    check(page, shoot, "4-learners")
    page.get_by_role("row", name=re.compile("Ola Okafor")).get_by_role("link", name="Issued").click()
    check(page, shoot, "5-award")
    assert rule_criteria(world) == criteria


def test_a_table_is_checked_and_carried_out(world: World, context: BrowserContext, shoot: Shoot) -> None:
    switched_on(world)
    page = enter(context, world, "rules/1/table")
    check(page, shoot, "1-table")
    choose = page.get_by_label("Table (CSV)")
    faulty = b"learner,action,note\nnobody@example.org,award,Gave a talk\n6,dance,x\n"
    choose.set_input_files({"name": "awards.csv", "mimeType": "text/csv", "buffer": faulty})
    page.get_by_role("button", name="Check the table").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 3: the action must be award or revoke")
    check(page, shoot, "2-faults")
    table = b"learner,action,note\nlearner@example.org,award,Gave a talk\n6,revoke,Copied\n8,award,Gave a talk\n"
    choose.set_input_files({"name": "awards.csv", "mimeType": "text/csv", "buffer": table})
    page.get_by_role("button", name="Check the table").click()
    expect(page.get_by_role("row", name=re.compile("Quinn Quigley"))).to_contain_text("Has the badge already")
    check(page, shoot, "3-what-would-happen")
    page.get_by_role("button", name="Do it").click()
    expect(page.get_by_text("Awarded: 1. Revoked: 1. Left as they were: 1.")).to_be_visible()
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    check(page, shoot, "4-done")


def test_news_of_an_award_take_nothing_away(world: World, context: BrowserContext) -> None:
    """While a badge is on its way its page looks for news: nothing that is being read or pressed goes by that."""
    world.ready_course()
    world.badgr.faults.add(Fault("/assertions", times=100))
    world.grade(LEARNER, score=9)
    world.work()
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}&window=1")
    page.locator("#launch button").click()
    page.get_by_role("main").get_by_role("link", name="Algebra I").click()
    lea = page.locator("#awards").get_by_role("link", name="Lea Learner")
    lea.focus()
    with page.expect_response(lambda response: response.url.endswith("/rules/1")):
        pass
    page.wait_for_timeout(200)
    expect(lea).to_be_focused()
    lea.click()
    shown = page.get_by_role("heading", level=1)
    expect(shown).to_contain_text("Algebra I")
    page.route("**/awards/*", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    with page.expect_response(lambda response: response.status == 502):
        pass
    page.wait_for_timeout(200)
    expect(shown).to_contain_text("Algebra I")
    page.unroute_all()
    world.badgr.faults.clear()
    world.tick()
    expect(page.locator("#award").get_by_text("Issued").first).to_be_visible()
