"""Badges made in the course, awards revoked, accounts chosen, learners' own accounts: as people click it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect
from sqlalchemy import update

from lti_tool.models import BadgrServer, Connection, Person
from lti_tool.services import admins
from tests.browser.conftest import Shoot
from tests.browser.test_pages import check, open_badges
from tests.world import LEARNER, LEARNER_ADDRESS, TEACHER, TUTOR, World

PICTURE = Path(__file__).parents[2] / "docs" / "screenshots" / "preview.png"
PASSWORD = "correct horse battery"


def in_frame(page: Page, path: str, world: World) -> FrameLocator:
    """Another page of the course in the frame that is open."""
    frame = next(frame for frame in page.frames if frame.name == "tool")
    frame.goto(f"{world.tool_url}/courses/1/{path}")
    return page.frame_locator("iframe[name=tool]")


def connected(world: World, user: str) -> None:
    teacher = world.launch(TEACHER)
    world.connect(teacher, user)
    teacher.open(world.course_url(teacher) + "issuer")
    teacher.submit("/issuer", {"issuer": teacher.page.select_one("input[name=issuer]")["value"]})


def allow(tab: Page, name: str) -> None:
    tab.get_by_label(name).check()
    tab.get_by_role("button", name="Allow").click()
    expect(tab.get_by_role("heading", name="Connected")).to_be_visible()


def test_a_badge_is_made_with_a_picture_and_a_rule_is_made_of_it(
    world: World, context: BrowserContext, shoot: Shoot
) -> None:
    connected(world, "Eddy Editor")
    world.announce()
    page = context.new_page()
    open_badges(page, world, TEACHER)
    frame = in_frame(page, "rules/new", world)
    frame.get_by_role("link", name="Make a new badge").click()
    frame.get_by_label("Name", exact=True).fill("Botany")
    frame.get_by_label("What it stands for").fill("Knows plants")
    frame.get_by_label("What earns it (Markdown)").fill("Pass **it**.")
    frame.get_by_label("How many").fill("2")
    frame.get_by_label("Picture").set_input_files(PICTURE)
    # It is seen before it is sent.
    expect(frame.locator("#preview")).to_have_attribute("src", re.compile("^blob:"))
    check(page, shoot, "1-form")
    frame.get_by_role("button", name="Save at Badgr").click()
    expect(frame.get_by_text("“Botany” is saved at Badgr.")).to_be_visible()
    expect(frame.get_by_role("radio", name="Botany")).to_be_checked()
    check(page, shoot, "2-chosen")
    frame.get_by_label("Activity", exact=True).select_option(label="Quiz 1")
    frame.get_by_role("button", name="See who would earn it").click()
    frame.get_by_text("What is written on the badge").click()
    frame.get_by_label("A few words to each learner").fill("Well done, {learner}!")
    check(page, shoot, "3-words")
    frame.get_by_role("button", name="Save", exact=True).click()
    expect(frame.get_by_text("It is written on every badge")).to_be_visible()


@pytest.mark.parametrize(
    ("user", "role"), [("Olive Owner", "owner"), ("Eddy Editor", "editor"), ("Stan Staff", "staff")]
)
def test_each_role_is_offered_what_it_may_do(
    world: World, context: BrowserContext, shoot: Shoot, user: str, role: str
) -> None:
    connected(world, user)
    page = context.new_page()
    open_badges(page, world, TEACHER)
    frame = in_frame(page, "issuer", world)
    expect(frame.get_by_text(f"You are {role}")).to_be_visible()
    expect(frame.get_by_role("link", name="Make a new issuer")).to_be_visible()
    change = frame.get_by_role("link", name="Change the present one")
    check(page, shoot, "1-issuer")
    if role == "staff":
        expect(change).to_have_count(0)
        frame = in_frame(page, "rules/new", world)
        expect(frame.get_by_role("radio", name="Algebra I", exact=False).first).to_be_visible()
        expect(frame.get_by_role("link", name="Make a new badge")).to_have_count(0)
        expect(frame.get_by_text("Change one of these badges")).to_have_count(0)
        frame = in_frame(page, "badges/new", world)
        expect(frame.get_by_text("is only staff in this issuer")).to_be_visible()
        check(page, shoot, "2-refused")
        return
    change.click()
    frame.get_by_label("Description").fill("Everybody learns here.")
    check(page, shoot, "2-form")
    frame.get_by_role("button", name="Save at Badgr").click()
    if role == "editor":
        # Badgr takes an address of whoever changes the issuer only.
        expect(frame.get_by_role("alert").get_by_text("must be one of your verified addresses")).to_be_visible()
        check(page, shoot, "3-refused")
        frame.get_by_label("E-mail address").fill("editor@example.org")
        frame.get_by_role("button", name="Save at Badgr").click()
    expect(frame.get_by_text("“Loopback University” is saved at Badgr")).to_be_visible()
    frame.get_by_text("Change one of these badges").click()
    frame.get_by_role("link", name="Algebra II").click()
    frame.get_by_label("Name", exact=True).fill("Algebra Two")
    check(page, shoot, "4-badge")
    frame.get_by_role("button", name="Save at Badgr").click()
    expect(frame.get_by_role("radio", name="Algebra Two")).to_be_checked()


def test_an_ended_connection_is_seen_and_mended(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    world.badgr.withdraw_all()
    world.grade(LEARNER, score=9)
    world.work()
    page = context.new_page()
    frame = open_badges(page, world, TEACHER)
    expect(frame.get_by_text("The connection to Badgr has ended")).to_be_visible()
    check(page, shoot, "1-ended")
    with context.expect_page() as opened:
        frame.get_by_role("link", name="Connect to Badgr").first.click()
    tab = opened.value
    tab.get_by_role("button", name="Go on to Badgr").click()
    allow(tab, "Olive Owner")
    world.work()
    frame = in_frame(page, "", world)
    expect(frame.get_by_text("The connection to Badgr has ended")).to_have_count(0)
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    with world.tools.database.write() as session:
        soon = datetime.now(UTC) + timedelta(days=7)
        session.execute(update(Connection).values(sealed_refresh_token=None, expires_at=soon))
        session.commit()
    frame = in_frame(page, "", world)
    expect(frame.get_by_text("The connection to Badgr will end")).to_be_visible()
    check(page, shoot, "2-will-end")


def test_a_colleague_takes_over(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    page = context.new_page()
    frame = open_badges(page, world, TUTOR)
    expect(frame.get_by_text("by Terry Teacher")).to_be_visible()
    frame.get_by_role("link", name="Change the account").click()
    expect(frame.get_by_text("connected by Terry Teacher")).to_be_visible()
    expect(frame.get_by_role("button", name="Disconnect")).to_have_count(0)
    check(page, shoot, "1-whose")
    with context.expect_page() as opened:
        frame.get_by_role("link", name="Connect another account").click()
    tab = opened.value
    tab.get_by_role("button", name="Go on to Badgr").click()
    allow(tab, "Otto Outsider")
    frame = in_frame(page, "", world)
    expect(frame.get_by_text("is not in the issuer of this course's badges")).to_be_visible()
    check(page, shoot, "2-outside")


@pytest.mark.parametrize("user", ["Olive Owner", "Eddy Editor", "Stan Staff"])
def test_an_award_is_revoked_by_whoever_may(world: World, context: BrowserContext, shoot: Shoot, user: str) -> None:
    world.announce()
    connected(world, user)
    teacher = world.launch(TEACHER)
    world.make_rule(teacher).submit("/activate", {"scope": "all"})
    world.grade(LEARNER, score=9)
    world.work()
    page = context.new_page()
    open_badges(page, world, TEACHER)
    frame = in_frame(page, f"awards/{world.award_of(LEARNER).id}", world)
    frame.get_by_text("Revoke this badge").click()
    if user == "Stan Staff":
        expect(frame.get_by_text("is only staff in this issuer")).to_be_visible()
        check(page, shoot, "1-staff")
        return
    frame.get_by_label("Reason").fill("Grade corrected")
    check(page, shoot, "1-reason")
    frame.get_by_role("button", name="Revoke", exact=True).click()
    expect(frame.get_by_text("The badge is being revoked.")).to_be_visible()
    world.work()
    frame = in_frame(page, f"awards/{world.award_of(LEARNER).id}", world)
    expect(frame.get_by_text("Revoked at Badgr: Grade corrected")).to_be_visible()
    check(page, shoot, "2-revoked")
    frame = open_badges(page, world, LEARNER)
    expect(frame.get_by_text("The reason given: Grade corrected")).to_be_visible()
    check(page, shoot, "3-learner")


def test_a_course_awards_by_another_account(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/3/badges?as={TEACHER}")
    frame = page.frame_locator("iframe[name=tool]")
    expect(frame.get_by_text("An account is connected already")).to_be_visible()
    check(page, shoot, "1-offered")
    frame.get_by_role("link", name="Choose the account").click()
    expect(frame.get_by_role("heading", name="Olive Owner")).to_be_visible()
    check(page, shoot, "2-accounts")
    frame.get_by_role("button", name="Use Olive Owner").click()
    expect(frame.get_by_text("This course awards by that account from now on.")).to_be_visible()


def test_a_learner_takes_a_badge_along(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    page = context.new_page()
    frame = open_badges(page, world, LEARNER)
    frame.get_by_role("link", name="Where your badges go").click()
    expect(frame.get_by_role("link", name="Connect an account")).to_be_visible()
    check(page, shoot, "1-accounts")
    with context.expect_page() as opened:
        frame.get_by_role("link", name="Connect an account").click()
    tab = opened.value
    check(tab, shoot, "2-connect")
    tab.get_by_role("button", name="Go on").click()
    allow(tab, "Lea Learner")
    frame = in_frame(page, "mine/accounts", world)
    frame.get_by_label("lea@home.example.org").check()
    check(page, shoot, "3-connected")
    frame.get_by_role("button", name="Send badges there").click()
    expect(frame.get_by_text("Badges go there from now on.")).to_be_visible()
    frame.get_by_role("link", name="Back to your badges").click()
    frame.get_by_role("button", name="Add Algebra I to Sandbox Badgr").click()
    expect(frame.get_by_text("The badge is in your account.")).to_be_visible()
    check(page, shoot, "4-added")
    frame = in_frame(page, "mine/accounts", world)
    frame.get_by_role("link", name="See all its badges").click()
    expect(frame.get_by_role("heading", name="All badges of Lea Learner")).to_be_visible()
    expect(frame.get_by_role("heading", name="Algebra I")).to_be_visible()
    check(page, shoot, "5-all")
    world.badgr.withdraw_all()
    frame = in_frame(page, "mine/accounts/1", world)
    expect(frame.get_by_text("It is not connected any more")).to_be_visible()
    check(page, shoot, "6-ended")
    frame.get_by_role("button", name="Forget Lea Learner").click()
    expect(frame.get_by_text("No account is connected")).to_be_visible()
    check(page, shoot, "7-forgotten")


def test_a_host_that_nobody_has_heard_of_is_connected(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    page = context.new_page()
    frame = open_badges(page, world, LEARNER)
    frame.get_by_role("link", name="Where your badges go").click()
    with context.expect_page() as opened:
        frame.get_by_role("link", name="Connect an account").click()
    tab = opened.value
    tab.get_by_label("Or another badge host").fill(world.badgr_url)
    tab.get_by_role("button", name="Go on").click()
    check(tab, shoot, "1-host")
    tab.get_by_role("link", name="Go on to").click()
    allow(tab, "Lea Learner")


def chosen_address(world: World) -> None:
    """Lea's badges go to the address that is verified in her own account."""
    with world.tools.database.write() as session:
        session.execute(update(Person).where(Person.sub == LEARNER).values(chosen_address="lea@home.example.org"))
        session.commit()
    world.grade(LEARNER, score=9)
    world.work()


def test_own_badges_outside_the_lms(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    chosen_address(world)
    page = context.new_page()
    page.goto(f"{world.tool_url}/my/")
    check(page, shoot, "1-sign-in")
    page.get_by_role("button", name="Sign in with Badgr").click()
    page.get_by_label("Lea Learner").check()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_text("Signed in as Lea Learner")).to_be_visible()
    expect(page.get_by_role("heading", name="Algebra I")).to_be_visible()
    check(page, shoot, "2-mine")
    page.get_by_role("link", name="Privacy").click()
    check(page, shoot, "3-privacy")


def test_an_administrator_sees_badgr(world: World, context: BrowserContext, shoot: Shoot) -> None:
    admins.create_account(world.tools, "root", PASSWORD, "test", datetime.now(UTC))
    page = context.new_page()
    page.goto(f"{world.tool_url}/admin/")
    page.get_by_label("Name").fill("root")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Badgr", exact=True).click()
    check(page, shoot, "1-servers")
    page.get_by_role("link", name="Connect an account for").click()
    page.get_by_role("button", name="Go on to Badgr").click()
    allow(page, "Olive Owner")
    page.goto(f"{world.tool_url}/admin/badgr/")
    page.get_by_role("link", name="Choose its issuers").click()
    page.get_by_label("Loopback University").check()
    check(page, shoot, "2-issuers")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("for 1 of its issuers")).to_be_visible()
    page.get_by_role("link", name="Add a server").click()
    page.get_by_label("Address of an own server").fill(world.badgr_url)
    page.get_by_role("button", name="Find its addresses").click()
    expect(page.get_by_label("Address of its API")).to_have_value(world.badgr_url)
    check(page, shoot, "3-server")
    page.get_by_label("What to call it").fill("Second")
    page.get_by_label("Key (client id)").fill("lti-tool")
    page.get_by_label("Secret").fill("wrong")
    page.get_by_role("button", name="Try the key and save").click()
    expect(page.get_by_text("does not know this key")).to_be_visible()
    check(page, shoot, "4-refused")
    page.goto(f"{world.tool_url}/admin/badgr/servers/new")
    check(page, shoot, "5-regions")
    with world.tools.database.write() as session:
        later = datetime.now(UTC) + timedelta(minutes=5)
        session.execute(update(BadgrServer).values(failures=7, closed_until=later))
        session.execute(update(Connection).values(dead_since=later, dead_reason="Badgr no longer accepts it."))
        session.commit()
    page.goto(f"{world.tool_url}/admin/badgr/")
    expect(page.get_by_text("Left alone until")).to_be_visible()
    expect(page.get_by_text("Courses that award by it wait")).to_be_visible()
    check(page, shoot, "6-trouble")
