"""Every page, wide and light, narrow and dark, with long words in it: nothing sticks out, and axe finds no fault."""

import re
from datetime import UTC, datetime

from playwright.sync_api import BrowserContext, Page
from sqlalchemy import update

from lti_tool.models import Course, Person
from lti_tool.sandbox.faults import Fault
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import admins
from tests.browser.conftest import Shoot
from tests.browser.test_pages import check
from tests.world import BIOLOGY, CHEMISTRY, LEARNER, NO_MAIL, TEACHER, World

PASSWORD = "correct horse battery"
OBSERVER = "21"
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"


def lend(context: BrowserContext, world: World, visitor: Visitor) -> None:
    """Give the browser the session of a visitor."""
    value = visitor.browser.session.cookies.get("lti_badges")
    context.add_cookies([{"name": "lti_badges", "value": value, "url": world.tool_url, "secure": True}])


def look(page: Page, world: World, shoot: Shoot, paths: tuple[str, ...], status: int = 200) -> None:
    for path in paths:
        response = page.goto(world.tool_url + path)
        assert response is not None
        assert response.status == status, path
        page.wait_for_load_state("networkidle")
        check(page, shoot, re.sub(r"\W+", "-", path).strip("-") or "root")


def lengthen(world: World) -> None:
    with world.tools.database.write() as session:
        session.execute(update(Person).where(Person.sub == LEARNER).values(name=f"Lea {LONG}", email=None))
        session.execute(update(Person).where(Person.sub == NO_MAIL).values(name="Noor " + "Nomail " * 20))
        session.execute(update(Course).where(Course.id == 1).values(title=f"Biology of the {LONG}"))
        session.commit()


def test_pages_of_a_teacher(world: World, context: BrowserContext, shoot: Shoot) -> None:
    teacher = world.ready_course()
    world.make_rule(teacher, badge="Laboratory Safety", kind="completed", activity=LONG)
    world.badgr.faults.add(Fault("/assertions", method="POST", status=400, body='{"status": {}}'))
    world.grade(LEARNER, score=9)
    world.grade(NO_MAIL, score=9)
    world.work()
    award, badge = world.award_of(LEARNER).id, next(iter(world.badgr.badge_classes))
    lengthen(world)
    lend(context, world, teacher)
    base = "/courses/1/"
    look(context.new_page(), world, shoot, (
        base, f"{base}learners", f"{base}learners?q=nobody", f"{base}rules/1", f"{base}rules/2", f"{base}rules/new",
        f"{base}awards/{award}", f"{base}issuer", f"{base}issuers/new", f"{base}badges/new", f"{base}badges/{badge}",
        f"{base}connections/",
    ))  # fmt: skip


def test_pages_of_a_course_where_nothing_is_yet(world: World, context: BrowserContext, shoot: Shoot) -> None:
    teacher = world.launch(TEACHER, CHEMISTRY)
    lend(context, world, teacher)
    look(context.new_page(), world, shoot, ("/courses/1/", "/courses/1/learners", "/courses/1/connections/"))


def test_pages_of_a_learner(world: World, context: BrowserContext, shoot: Shoot) -> None:
    teacher = world.ready_course()
    world.make_rule(teacher, badge="Laboratory Safety", kind="completed", activity=LONG).submit("/activate")
    world.grade(LEARNER, score=9)
    world.work()
    learner = world.launch(LEARNER)
    lengthen(world)
    lend(context, world, learner)
    look(context.new_page(), world, shoot, ("/courses/1/mine/", "/courses/1/mine/accounts", "/my/", "/privacy"))


def test_pages_for_whoever_is_wrong_here(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    look(context.new_page(), world, shoot, ("/courses/1/", "/nowhere"), status=404)
    look(context.new_page(), world, shoot, ("/lti/login?iss=x", "/badgr/callback", "/lti/register/x"), status=400)
    page = context.new_page()
    page.goto(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={OBSERVER}&window=1")
    page.locator("#launch button").click()
    page.get_by_role("heading", name="Badges are shown to learners and teachers").wait_for()
    check(page, shoot, "observer")


def test_pages_of_an_administrator(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    world.badgr.faults.add(Fault("/assertions", method="POST", status=400, body='{"status": {}}'))
    world.grade(LEARNER, score=9)
    world.grade(NO_MAIL, score=9)
    world.work()
    admins.create_account(world.tools, "root", PASSWORD, "test", datetime.now(UTC))
    admin = Visitor().open(f"{world.tool_url}/admin/").submit(None, {"name": "root", "password": PASSWORD})
    lengthen(world)
    lend(context, world, admin)
    page = context.new_page()
    page.goto(f"{world.tool_url}/admin/links")
    page.get_by_label("What to call the LMS").fill(f"The {LONG}"[:60])
    page.get_by_role("button", name="Make a link").click()
    check(page, shoot, "link-made")
    look(page, world, shoot, (
        "/admin/", "/admin/platforms/1", "/admin/platforms/new", "/admin/links", "/admin/keys", "/admin/people",
        "/admin/people?q=lea", "/admin/people?q=noor", "/admin/audit", "/admin/awards", "/admin/check",
        "/admin/check/tool", "/admin/badgr/", "/admin/badgr/servers/new", "/admin/badgr/servers/1",
    ))  # fmt: skip
