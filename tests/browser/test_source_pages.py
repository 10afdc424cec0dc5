"""The pages about sources, events and erasing, as an administrator clicks them."""

import json
from datetime import UTC, datetime, timedelta

from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import insert, update

from lti_tool.models import Event, EventStatus, Source, SourceHour
from lti_tool.services import admins
from tests.browser.conftest import Shoot
from tests.browser.test_pages import check
from tests.functional.test_webhooks import grade_body, post
from tests.world import LEARNER, World

PASSWORD = "correct horse battery"


def sign_in(world: World, context: BrowserContext) -> Page:
    admins.create_account(world.tools, "root", PASSWORD, "test", datetime.now(UTC))
    page = context.new_page()
    page.goto(f"{world.tool_url}/admin/")
    page.get_by_label("Name").fill("root")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


def a_busy_week(world: World) -> None:
    now = datetime.now(UTC)
    values = {"source_id": 1, "body": "[]", "status": EventStatus.PROCESSED, "due_at": now, "repeats": 0, "attempts": 1}
    moments = [now - timedelta(minutes=11 * (n % 31) * (n % 29)) for n in range(700)]
    rows = [values | {"delivery_id": f"w{n}", "received_at": at} for n, at in enumerate(sorted(moments))]
    with world.tools.database.write() as session:
        session.execute(insert(Event), rows)
        hour = now.replace(minute=0, second=0, microsecond=0)
        for back in (5, 40, 90):
            session.add(SourceHour(source_id=1, hour=hour - timedelta(hours=back), failures=2, lost=back % 4))
        session.commit()


def test_an_administrator_looks_after_a_source(world: World, context: BrowserContext, shoot: Shoot) -> None:
    a_busy_week(world)
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    post(world, b"{}")
    page = sign_in(world, context)
    page.get_by_role("link", name="Sources").click()
    page.get_by_role("link", name="Add a source").click()
    check(page, shoot, "1-kind")
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("What to call it").fill("Exam office")
    check(page, shoot, "2-form")
    page.get_by_role("button", name="Add and show the secret").click()
    expect(page.get_by_text("The secret is not shown again.")).to_be_visible()
    check(page, shoot, "3-secret")
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("link", name="All sources").click()
    check(page, shoot, "4-sources")
    page.get_by_role("link", name="Gradebook").click()
    page.get_by_text("The last 24 hours in numbers").click()
    check(page, shoot, "5-source")
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_text("It answered with status 202.")).to_be_visible()
    check(page, shoot, "6-test")
    page.get_by_role("link", name="Back to the source").click()
    page.get_by_role("link", name="See the events").click()
    check(page, shoot, "7-events")
    page.get_by_label("State").select_option(label="Done")
    page.get_by_role("button", name="Find").click()
    page.locator("tbody th a").nth(1).click()
    expect(page.get_by_role("heading", name="What it said")).to_be_visible()
    check(page, shoot, "8-event")


def test_an_administrator_plays_events_again(world: World, context: BrowserContext, shoot: Shoot) -> None:
    post(world, json.dumps(grade_body()).encode())
    world.work()
    with world.tools.database.write() as session:
        session.execute(update(Source).values(alarm_after_hours=1))
        session.execute(update(Event).values(received_at=datetime.now(UTC) - timedelta(hours=2)))
        session.commit()
    page = sign_in(world, context)
    expect(page.get_by_text("Gradebook has fallen silent")).to_be_visible()
    check(page, shoot, "1-alarm")
    page.get_by_role("link", name="See the source").click()
    page.get_by_role("link", name="What fits nothing yet").click()
    check(page, shoot, "2-unmatched")
    page.get_by_role("link", name="Back to the source").click()
    page.get_by_role("link", name="Work on events again").click()
    page.get_by_role("button", name="See how many").click()
    check(page, shoot, "3-confirm")
    page.get_by_role("button", name="Work on it again").click()
    expect(page.get_by_text("1 event of a replay left.")).to_be_visible()
    check(page, shoot, "4-left")


def test_an_administrator_erases_somebody(world: World, context: BrowserContext, shoot: Shoot) -> None:
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    page = sign_in(world, context)
    page.goto(f"{world.tool_url}/admin/people?q=Lea")
    check(page, shoot, "1-people")
    page.get_by_role("link", name="Erase Lea Learner").click()
    check(page, shoot, "2-erase")
    page.get_by_label("I am sure").check()
    page.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("heading", name="Erased")).to_be_visible()
    check(page, shoot, "3-receipt")
