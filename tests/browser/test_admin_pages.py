"""The administrator's pages, a registration in the LMS's frame, and choosing a link, as people click them."""

from datetime import UTC, datetime

from playwright.sync_api import BrowserContext, expect

from lti_tool.sandbox.faults import Fault
from lti_tool.services import admins
from tests.browser.conftest import Shoot
from tests.browser.test_pages import check
from tests.world import BIOLOGY, LEARNER, NO_MAIL, TEACHER, World

PASSWORD = "correct horse battery"


def test_an_administrator_registers_an_lms_and_looks_around(
    world: World, context: BrowserContext, shoot: Shoot
) -> None:
    admins.create_account(world.tools, "root", PASSWORD, "test", datetime.now(UTC))
    page = context.new_page()
    page.goto(f"{world.tool_url}/admin/")
    check(page, shoot, "1-sign-in")
    page.get_by_label("Name").fill("root")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="LMSs")).to_be_visible()
    check(page, shoot, "2-lmss")
    page.get_by_role("link", name="Registration links").click()
    page.get_by_label("What to call the LMS").fill("The school")
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Registration link").input_value()
    check(page, shoot, "3-link")

    world.lms.tool = None
    lms = context.new_page()
    lms.goto(f"{world.lms_url}/admin")
    lms.get_by_label("Registration address").fill(link)
    lms.get_by_role("button", name="Add LTI Advantage").click()
    frame = lms.frame_locator("iframe[name=registration]")
    expect(frame.get_by_role("heading", name="Register Badges with this LMS")).to_be_visible()
    check(lms, shoot, "4-register")
    frame.get_by_role("button", name="Register").click()
    expect(frame.get_by_role("heading", name="Badges is registered")).to_be_visible()
    check(lms, shoot, "5-registered")
    frame.get_by_role("button", name="Close").click()
    expect(lms.get_by_text("The tool has closed its registration.")).to_be_visible()

    page.get_by_role("link", name="LMSs").click()
    page.get_by_role("link", name="The school").click()
    check(page, shoot, "6-platform")
    for name, step in (("Keys", "7-keys"), ("Audit log", "8-audit"), ("People", "9-people")):
        page.get_by_role("link", name=name).click()
        expect(page.locator("main h1")).to_be_visible()
        check(page, shoot, step)
    page.goto(f"{world.tool_url}/admin/platforms/new")
    check(page, shoot, "10-by-hand")


def test_an_administrator_finds_out_what_does_not_work(world: World, context: BrowserContext, shoot: Shoot) -> None:
    admins.create_account(world.tools, "root", PASSWORD, "test", datetime.now(UTC))
    world.ready_course()
    world.badgr.faults.add(Fault("/assertions", method="POST", status=400, body='{"status": {}}'))
    world.grade(LEARNER, score=9)
    world.grade(NO_MAIL, score=9)
    world.work()
    world.lms.faults.add(Fault("/lti/jwks", times=9))
    page = context.new_page()
    page.goto(f"{world.tool_url}/admin/")
    page.get_by_label("Name").fill("root")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Self-check").click()
    # Every part answers by itself, as soon as it was tried.
    expect(page.get_by_text("The key set of the LMS at")).to_be_visible()
    expect(page.get_by_text("18 people", exact=False)).to_be_visible()
    expect(page.get_by_text("1 at work, 0 ended.")).to_be_visible()
    expect(page.get_by_text("No worker was seen for three minutes", exact=False)).to_be_visible()
    check(page, shoot, "1-check")
    page.get_by_role("link", name="Stuck awards").click()
    expect(page.get_by_text("Held: no e-mail address")).to_be_visible()
    check(page, shoot, "2-stuck")
    page.get_by_role("button", name="Send again: Algebra I for Lea Learner").click()
    world.work()
    page.get_by_role("link", name="Stuck awards").click()
    expect(page.get_by_text("Not accepted by Badgr")).to_have_count(0)
    page.get_by_role("link", name="LMSs").click()
    page.get_by_role("link", name="Register by hand").click()
    page.get_by_label("OpenID configuration address").fill(f"{world.lms_url}/lti/openid-configuration")
    page.get_by_role("button", name="Fill in").click()
    expect(page.get_by_label("Issuer (platform id)")).to_have_value(world.lms_url)
    check(page, shoot, "3-filled-in")


def test_a_copied_course_takes_its_badges_over(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    world.lms.copy_course(BIOLOGY, "52")
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/52/badges?as={TEACHER}")
    frame = page.frame_locator("iframe[name=tool]")
    expect(frame.get_by_text("This course was copied from Biology 101")).to_be_visible()
    check(page, shoot, "1-offer")
    frame.get_by_role("button", name="Take over").click()
    expect(frame.get_by_text("Draft, not switched on")).to_be_visible()
    check(page, shoot, "2-taken")


def test_a_teacher_chooses_a_link_to_one_badge(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}&choose=1")
    frame = page.frame_locator("iframe[name=tool]")
    frame.get_by_role("checkbox", name="Badges of this course").uncheck()
    frame.get_by_role("checkbox", name="Algebra I").check()
    frame.get_by_role("checkbox", name="with a column").check()
    check(page, shoot, "1-choose")
    frame.get_by_role("button", name="Add to the course").click()
    expect(frame.get_by_role("heading", name="Added to the course")).to_be_visible()
    expect(frame.get_by_text("Badge: Algebra I (with a column)")).to_be_visible()
