"""The administrator's pages about sources: adding, secrets, health, alarms, a test event; and who may see them."""

import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import requests
from sqlalchemy import func, select, update
from standardwebhooks import Webhook as Signer

from lti_tool.models import AwardStep, Course, Deployment, Event, EventStatus, Person, Platform, Source, SourceHour
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import admins, health, sources, upkeep
from lti_tool.services.reports import delays
from lti_tool.services.sources import SourceData
from lti_tool.sources import KINDS
from lti_tool.sources.kind import Option
from tests.functional.test_admin import NAME, PASSWORD, actions, get, lms_admin, sign_in
from tests.functional.test_walls import ask
from tests.functional.test_webhooks import grade_body, post
from tests.world import LEARNER, TEACHER, World

LOCAL_PAGES = ("new", "1/edit", "1/events/", "1/events/1", "1/events/replay", "1/events/unmatched")
FORMS = ("new", "1/edit", "1/rotate", "1/enabled", "1/test", "1/events/replay", "1/events/1/replay")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def admin(world: World) -> Visitor:
    admins.create_account(world.tools, NAME, PASSWORD, "test", now())
    return sign_in(world)


def page(world: World, visitor: Visitor, path: str = "1") -> Visitor:
    return visitor.open(f"{world.tool_url}/admin/sources/{path}")


def field(visitor: Visitor, name: str) -> str:
    return str(visitor.page.find(id=name)["value"])


def first_source(world: World) -> Source:
    with world.tools.database.read() as session:
        return session.get_one(Source, 1)


def send(world: World, number: int = 1) -> None:
    """Send an event of a course that nobody has opened, and work on it."""
    assert post(world, json.dumps(grade_body()).encode()).status_code == 202
    world.work()


def other_platform(world: World) -> int:
    with world.tools.database.write() as session:
        told = dict.fromkeys(("auth_login_url", "auth_token_url", "jwks_url"), "https://other.example/x")
        other = Platform(name="Other LMS", issuer="https://other.example", client_id="x", created_at=now(), **told)
        session.add(other)
        session.commit()
    return sources.add(world.tools, other.id, "standard", SourceData("Elsewhere", {}), now()).id


# -- adding and changing --


def test_a_source_is_added_and_its_example_works(world: World, admin: Visitor) -> None:
    page(world, admin, "").follow("/sources/new").submit("/new", {"platform": "1", "kind": "standard"})
    assert "somebody else gets the badge" in admin.text
    admin.submit("/new", {"name": "Second", "alarm_after_hours": "72"})
    secret, address = field(admin, "secret"), field(admin, "address")
    words = shlex.split(admin.page.pre.text)
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    assert words[2] == address
    response = requests.post(address, data=words[-1].encode(), headers=headers, timeout=10)
    assert response.status_code == 202
    assert secret not in page(world, admin, "2").text
    with world.tools.database.read() as session:
        made = session.get_one(Source, 2)
    assert (made.name, made.alarm_after_hours, made.match_by_email) == ("Second", 72, False)
    assert secret not in made.sealed_secret
    assert "source added" in actions(world)


def test_what_cannot_be_saved_is_said_and_kept(world: World, admin: Visitor) -> None:
    page(world, admin, "new?platform=1&kind=standard").submit("/new", {"name": "Mine", "alarm_after_hours": "-1"})
    assert admin.status == 422
    assert "alarm after" in admin.text
    assert field(admin, "name") == "Mine"
    assert get(admin, f"{world.tool_url}/admin/sources/2").status_code == 404


def test_what_a_kind_asks_for_is_asked(world: World, admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (
        Option("tenant", "Tenant", "Its number.", required=True),
        Option("token", "Token", "Of the LMS.", secret=True),
    )
    kind = replace(KINDS["standard"], label="Asking", options=asked, example=None, shown_in="query")
    monkeypatch.setitem(KINDS, "asking", kind)
    page(world, admin, "").follow("/sources/new").submit("/new", {"platform": "1", "kind": "asking"})
    admin.page.select_one("#option-tenant").attrs.pop("required")
    assert admin.submit("/new", {"name": "Asking"}).status == 422
    assert "Tenant: must not be empty." in admin.text
    admin.submit("/new", {"option-tenant": "7", "option-token": "hush"})
    assert "stands in the address itself" in admin.text
    assert admin.page.pre is None
    assert field(page(world, admin, "2/edit"), "option-tenant") == "7"
    assert "hush" not in admin.page.decode()
    admin.submit("/edit", {"option-tenant": "8"})
    with world.tools.database.read() as session:
        told = sources.options_of(world.tools.vault, session.get_one(Source, 2))
    assert told == {"tenant": "8", "token": "hush"}
    assert "Send a test event" not in admin.text
    assert ask(admin, world, "POST", "/admin/sources/2/test").status_code == 409


def test_the_tools_own_source_cannot_be_added_or_changed(world: World, admin: Visitor) -> None:
    with world.tools.database.write() as session:
        own = sources.own_source(session, world.tools.vault, 1, sources.PULL_KIND, now())
        session.commit()
    assert "pull" not in [o["value"] for o in page(world, admin, "new").page.select("select[name=kind] option")]
    assert page(world, admin, str(own.id)).status == 200
    assert "Make a new secret" not in admin.text
    for path in ("edit", "rotate", "enabled", "test"):
        assert ask(page(world, admin), world, "POST", f"/admin/sources/{own.id}/{path}").status_code == 404


def test_a_source_is_changed(world: World, admin: Visitor) -> None:
    page(world, admin, "1/edit").submit("/edit", {"name": "Grades", "deployment": "1", "alarm_after_hours": "5"})
    assert "only installation 1" in admin.text
    assert "after 5 hours without an event" in admin.text
    elsewhere = other_platform(world)
    with world.tools.database.write() as session:
        platform_id = session.get_one(Source, elsewhere).platform_id
        foreign = Deployment(platform_id=platform_id, deployment_id="9", created_at=now())
        session.add(foreign)
        session.commit()
        assert sources.find_deployment(session, platform_id, "9") == foreign.id
    page(world, admin, "1/edit")
    admin.page.select_one("#deployment").append(admin.page.new_tag("option", value=str(foreign.id)))
    admin.submit("/edit", {"deployment": str(foreign.id)})
    assert (admin.status, "not one of this LMS" in admin.text) == (422, True)


def test_a_new_secret_and_the_former_one_for_a_while(world: World, admin: Visitor) -> None:
    page(world, admin).submit("/rotate", {"overlap_hours": "1"})
    new = field(admin, "secret")
    assert new != world.webhook.secret
    send(world)
    assert post(world, b"{}", secret=new).status_code == 400
    assert "still taken until" in page(world, admin).text
    # There is room for one former secret: the first one would be refused at once.
    assert page(world, admin).submit("/rotate", {"overlap_hours": "0"}).status == 409
    send(world)
    assert "may be refused from now on" in page(world, admin).text
    page(world, admin).submit("/rotate", {"overlap_hours": "0", "at_once": "yes"})
    assert post(world, json.dumps(grade_body()).encode(), secret=new).status_code == 401
    page(world, admin)
    admin.page.select_one("#overlap_hours")["max"] = "9999"
    assert admin.submit("/rotate", {"overlap_hours": "9999"}).status == 400


def test_a_source_that_is_switched_off_takes_nothing(world: World, admin: Visitor) -> None:
    page(world, admin).submit("/enabled")
    assert "Switched off" in admin.text
    assert post(world, json.dumps(grade_body()).encode()).status_code == 404
    admin.submit("/enabled")
    assert post(world, json.dumps(grade_body()).encode()).status_code == 202


def test_the_page_of_a_source_says_that_its_lms_is_switched_off(world: World, admin: Visitor) -> None:
    page(world, admin, "1/edit").submit("/edit", {"alarm_after_hours": "2"})
    with world.tools.database.write() as session:
        session.add(_event(1, "a", now() - timedelta(hours=3)))
        session.commit()
    admin.open(f"{world.tool_url}/admin/platforms/1").submit("/enabled")
    assert "its events are refused" in admin.text
    assert "LMS switched off" in page(world, admin).text
    assert "Events are refused until it is switched on again" in page(world, admin, "1").text
    # That is no silence.
    assert "fallen silent" not in admin.open(f"{world.tool_url}/admin/").text


# -- health --


def test_the_page_tells_what_came_and_what_was_refused(world: World, admin: Visitor) -> None:
    send(world)
    post(world, b"{}")
    with world.tools.database.write() as session:
        hour = now().replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
        session.add(SourceHour(source_id=1, hour=hour, failures=0, lost=4))
        session.commit()
    label = page(world, admin).page.select("svg.bars")[0]["aria-label"]
    assert "last 24 hours: 1 in all" in label
    assert "1 refused, 0 found by the pull only" in label
    week = admin.page.select("svg.bars")[1]
    assert "1 refused, 4 found by the pull only" in week["aria-label"]
    assert len(week.select("rect.earned")) == 1
    assert "Fit nothing yet 1" in admin.text
    assert "type: Field required" in admin.text
    row = page(world, admin, "").page.select_one("tbody tr").get_text(" ").split()
    assert "At work" in " ".join(row)
    assert row.count("1") >= 2


def test_old_events_and_those_of_other_sources_do_not_count(world: World, admin: Visitor) -> None:
    send(world)
    other_platform(world)
    with world.tools.database.write() as session:
        session.execute(update(Event).values(received_at=now() - timedelta(days=8)))
        session.add(_event(2, "x", now()))
        session.commit()
    assert "last 7 days: 0 in all" in page(world, admin).page.select("svg.bars")[1]["aria-label"]
    assert "last 24 hours: 1 in all" in page(world, admin, "2").page.select("svg.bars")[0]["aria-label"]


def _event(source_id: int, delivery_id: str, at: datetime, **more: object) -> Event:
    told = {"status": EventStatus.PROCESSED, "body": "[]", "due_at": at, "received_at": at, "occurred_at": at}
    return Event(source_id=source_id, delivery_id=delivery_id, **(told | more))


def test_a_clock_that_is_ahead_is_told(world: World, admin: Visitor) -> None:
    with world.tools.database.write() as session:
        session.add(_event(1, "a", now(), occurred_at=now() - timedelta(hours=1)))
        session.commit()
    assert "clock is ahead" not in page(world, admin).text
    with world.tools.database.write() as session:
        session.add(_event(1, "b", now(), occurred_at=now() + timedelta(seconds=90)))
        session.commit()
    assert "clock is ahead by 90 seconds at least" in page(world, admin).text


def test_a_source_that_falls_silent_is_an_alarm_until_it_speaks(world: World, admin: Visitor) -> None:
    page(world, admin, "1/edit").submit("/edit", {"alarm_after_hours": "2"})
    overview = f"{world.tool_url}/admin/"
    assert "fallen silent" not in admin.open(overview).text
    with world.tools.database.write() as session:
        session.add(_event(1, "a", now() - timedelta(hours=3)))
        session.commit()
    assert "Gradebook has fallen silent" in admin.open(overview).text
    assert "Silent" in page(world, admin).text
    assert "Silent for longer than usual: Gradebook" in admin.open(f"{world.tool_url}/admin/check/platform-1").text
    world.sweep()
    assert first_source(world).alarmed_at is not None
    # What the tool sends to itself does not end it.
    page(world, admin).submit("/test")
    assert "fallen silent" in admin.open(overview).text
    send(world)
    assert "fallen silent" not in admin.open(overview).text
    world.sweep()
    assert first_source(world).alarmed_at is None


def test_silence_is_noticed_per_source(world: World) -> None:
    elsewhere = other_platform(world)
    with world.tools.database.write() as session:
        session.execute(update(Source).values(alarm_after_hours=2))
        session.add(_event(1, "a", now() - timedelta(hours=3)))
        session.flush()
        session.add(_event(elsewhere, "a", now()))
        session.commit()
    with world.tools.database.read() as session:
        assert [source.id for source in health.silent_sources(session, now())] == [1]


# -- from the event to the badge --


def test_the_delay_is_measured_and_told_when_it_is_too_long(world: World, admin: Visitor) -> None:
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    day = timedelta(days=1)
    with world.tools.database.read() as session:
        found = delays.delay(session, now(), day)
    assert found.number == 1
    assert found.p95 is not None
    assert 0 < found.p95 < 60
    assert "Badges are slow" not in admin.open(f"{world.tool_url}/admin/").text
    with world.tools.database.write() as session:
        event = session.scalars(select(Event).order_by(Event.id.desc())).first()
        assert event is not None
        event.received_at -= timedelta(seconds=90)
        session.commit()
    assert f"up to {found.p95 + 90:.0f} seconds" in admin.open(f"{world.tool_url}/admin/").text
    assert "more than the 60 s" in page(world, admin).text
    assert "Slower than wanted" in page(world, admin, "").text


def test_badges_that_waited_for_somebody_do_not_count_as_slow(world: World) -> None:
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    award = world.award_of(LEARNER)
    with world.tools.database.write() as session:
        session.add(AwardStep(award_id=award.id, at=now(), kind="held", text="Held."))
        session.commit()
    with world.tools.database.read() as session:
        assert delays.delay(session, now(), timedelta(days=1)).number == 0


def test_what_a_rule_that_is_switched_on_brings_does_not_count(world: World) -> None:
    teacher = world.launch(TEACHER)
    world.announce()
    world.connect(teacher)
    world.make_rule(teacher).submit("/activate", {"scope": "all"})
    world.work()
    with world.tools.database.read() as session:
        assert session.scalar(select(func.count()).where(AwardStep.kind == "issued"))
        assert session.scalars(select(Event.attempts)).all() == [1]
        assert delays.delay(session, now(), timedelta(days=1)).number == 0


# -- a test event --


def test_a_test_event_arrives_and_changes_nothing(world: World, admin: Visitor) -> None:
    page(world, admin).submit("/test")
    assert "Came in Over the public address" in admin.text
    assert "It answered with status 202." in admin.text
    world.work()
    admin.follow("/events/1")
    assert "1 a test, which changes nothing" in admin.text
    assert "Work on it again" not in admin.text
    world.sweep()
    with world.tools.database.read() as session:
        assert session.scalars(select(Event.status)).one() is EventStatus.PROCESSED
        assert session.scalar(select(func.count()).select_from(Person)) == 0
        assert session.scalar(select(func.count()).select_from(Course)) == 0
    assert sources.replay(world.tools, 1, "test", now()) == 0
    assert "Events, 24 hours 0" in page(world, admin).text


def test_where_the_public_address_cannot_be_reached_the_inbox_is_tried(world: World, admin: Visitor) -> None:
    object.__setattr__(world.tools.settings, "base_url", "http://127.0.0.1:1")
    page(world, admin).submit("/test")
    assert "could not be reached from here" in admin.text
    assert "Came in Straight into the inbox" in admin.text
    assert "DNS, the firewall and the reverse proxy" in admin.text
    assert "event 1" in admin.text


def test_a_source_that_is_off_says_so_to_a_test(world: World, admin: Visitor) -> None:
    page(world, admin).submit("/enabled")
    admin.submit("/test")
    assert "answered with status 404" in admin.text
    assert "The source is switched off." in admin.text


def test_nobody_else_can_mark_a_delivery_as_a_test(world: World) -> None:
    forged = world.tools.vault.seal(f"test another {now().timestamp()}")
    stale = world.tools.vault.seal(f"test {first_source(world).public_id} {now().timestamp() - 600}")
    body = json.dumps(grade_body())
    for number, mark in enumerate(("nonsense", forged, stale)):
        at, name = now(), f"msg_{number}"
        signature = Signer(world.webhook.secret).sign(name, at, body)
        headers = {"webhook-id": name, "webhook-signature": signature, "lti-badges-test": mark}
        assert post(world, body.encode(), at=at, **headers).json()["repeat"] is False
    with world.tools.database.read() as session:
        assert session.scalars(select(Event.status)).all() == [EventStatus.RECEIVED] * 3


# -- walls --


def test_nobody_enters_without_signing_in(world: World) -> None:
    for path in ("", "1", *LOCAL_PAGES):
        for visitor in (Visitor(), world.launch(TEACHER), world.launch(LEARNER)):
            response = get(visitor, f"{world.tool_url}/admin/sources/{path}")
            assert (response.status_code, response.headers["Location"]) == (303, "/admin/sign-in"), path


def test_the_administrator_of_an_lms_reads_its_own_sources_only(world: World) -> None:
    send(world)
    elsewhere = other_platform(world)
    visitor = lms_admin(world)
    text = page(world, visitor, "").text
    assert "Gradebook" in text
    assert "Elsewhere" not in text
    assert page(world, visitor, "1").status == 200
    assert first_source(world).public_id not in visitor.page.decode()
    assert "Send a test event" not in visitor.text
    assert get(visitor, f"{world.tool_url}/admin/sources/{elsewhere}").status_code == 404
    for path in LOCAL_PAGES:
        assert get(visitor, f"{world.tool_url}/admin/sources/{path}").status_code == 404, path
    for path in FORMS:
        assert ask(visitor, world, "POST", f"/admin/sources/{path}").status_code == 404, path
    assert first_source(world).enabled


def test_a_source_of_another_installation_is_not_shown(world: World) -> None:
    with world.tools.database.write() as session:
        other = Deployment(platform_id=1, deployment_id="another", created_at=now())
        session.add(other)
        session.flush()
        session.execute(update(Source).values(deployment_id=other.id))
        session.commit()
    visitor = lms_admin(world)
    assert "Gradebook" not in page(world, visitor, "").text
    assert get(visitor, f"{world.tool_url}/admin/sources/1").status_code == 404


def test_a_sweep_at_the_full_hour_looks_at_the_delay(world: World) -> None:
    assert upkeep.sweep(world.tools, now().replace(minute=0)) == []
