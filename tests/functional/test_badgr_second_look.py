"""What else a Badgr server may do to an award: other clocks, keys that are wrong for a while, waits without measure."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from lti_tool.models import (
    Award,
    AwardStatus,
    Backpack,
    BadgrServer,
    Connection,
    Course,
    HoldReason,
    Person,
    Rule,
    TokenWait,
)
from lti_tool.sandbox.badgr import BadgrConfig, create_badgr
from lti_tool.sandbox.faults import Fault
from lti_tool.sandbox.serving import LocalServer, _Quiet
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import backpacks, badgr_servers, changes, connections, grants, revocation
from lti_tool.services.badgr_servers import BadgrServerData
from tests.functional.test_learners_own import allow, awarded, connect_tab, give, person
from tests.functional.test_links_and_columns import scores_in
from tests.world import CHEMISTRY, CLOSE, LEARNER, LEARNER_ADDRESS, TEACHER, World

AWARDS = "/assertions$"
NEW = "lea.new@example.org"
BEHIND = timedelta(minutes=5)


def now() -> datetime:
    return datetime.now(UTC)


def tick(world: World, times: int = 4) -> None:
    for _ in range(times):
        world.tick()


def in_doubt(world: World) -> None:
    """Badgr has made the badge, its answer got lost, and nobody could look."""
    world.ready_course()
    world.badgr.faults.add(Fault(AWARDS, "delay", "GET", delay=0))
    world.badgr.faults.add(Fault(AWARDS, "reset", "POST", after_work=True))
    world.badgr.faults.add(Fault(AWARDS, method="GET", status=502))
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.PENDING


def move(world: World, address: str) -> None:
    with world.tools.database.write() as session:
        session.execute(update(Person).where(Person.sub == LEARNER).values(email=address))
        session.commit()


def revoke(world: World) -> None:
    revocation.request(world.tools, 1, world.award_of(LEARNER).id, "Copied", "Terry", now())


@pytest.fixture
def late(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A Badgr whose clock is behind ours."""
    port = int(world.badgr_url.rsplit(":", 1)[1])

    def told(self: Any, _timestamp: float | None = None) -> str:
        return format_datetime(now() - (BEHIND if self.server.server_port == port else timedelta(0)), usegmt=True)

    monkeypatch.setattr(_Quiet, "date_time_string", told)
    return world


def test_the_clock_of_the_server_is_known_before_its_dates_are_compared(late: World) -> None:
    """Else what was revoked there, of an award whose answer got lost, would be awarded again."""
    in_doubt(late)
    (made,) = late.badgr.live_assertions(LEARNER_ADDRESS)
    made.created_at -= BEHIND
    made.revoked, made.revocation_reason = True, "Cheated"
    tick(late)
    assert late.badgr.live_assertions(LEARNER_ADDRESS) == []
    assert late.award_of(LEARNER).status is AwardStatus.REVOKED


def test_an_address_that_changes_while_nobody_can_look_brings_no_second_badge(world: World) -> None:
    in_doubt(world)
    move(world, NEW)
    world.badgr.faults.add(Fault(AWARDS, method="GET", status=502))
    world.tick()
    tick(world)
    award = world.award_of(LEARNER)
    assert award.status is AwardStatus.ISSUED
    assert (world.held_by(LEARNER_ADDRESS), world.held_by(NEW)) == (["Algebra I"], [])
    # It is said where it is.
    assert award.recipient == LEARNER_ADDRESS


def test_what_is_taken_back_is_looked_for_at_every_address(world: World) -> None:
    in_doubt(world)
    move(world, NEW)
    world.badgr.faults.add(Fault(AWARDS, method="GET", status=502))
    world.tick()
    revoke(world)
    tick(world)
    assert world.award_of(LEARNER).status is AwardStatus.REVOKED
    assert world.held_by(LEARNER_ADDRESS) == []


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, '{"error": "invalid_client"}'), (403, "<h1>Forbidden</h1>"), (400, '{"error": "invalid client_secret"}')],
)
def test_a_key_that_is_wrong_for_a_while_loses_nothing(world: World, status: int, body: str) -> None:
    awarded(world)
    revoke(world)
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", status=status, body=body, times=2))
    world.grade(CLOSE, score=9)
    world.work()
    assert world.award_of(CLOSE).status is AwardStatus.PENDING
    # An administrator has corrected it.
    world.badgr.faults.clear()
    tick(world)
    assert world.award_of(CLOSE).status is AwardStatus.ISSUED
    assert world.award_of(LEARNER).status is AwardStatus.REVOKED
    assert world.held_by(LEARNER_ADDRESS) == []


@pytest.mark.parametrize("wait", ["31536000", "999999999999"])
def test_a_wait_without_measure_is_not_waited(world: World, wait: str) -> None:
    world.ready_course()
    world.badgr.faults.add(Fault(AWARDS, method="GET", status=503, body="{}", headers={"Retry-After": wait}))
    world.grade(LEARNER, score=9)
    world.work()
    award = world.award_of(LEARNER)
    assert award.status is AwardStatus.PENDING
    assert award.due_at < now() + timedelta(hours=2)


def test_a_wait_without_measure_at_the_sign_in_is_not_waited(world: World) -> None:
    world.ready_course()
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", status=429, body='{"error": "x", "expires": 31536000}'))
    world.grade(LEARNER, score=9)
    world.work()
    with world.tools.database.read() as session:
        until = session.scalars(select(TokenWait.until)).one()
    assert until < now() + timedelta(hours=2)


def test_a_lifetime_of_more_than_999_days_ends_too(world: World) -> None:
    badge = next(b for b in world.badgr.badge_classes.values() if b.name == "Algebra I")
    badge.expires = {"amount": 1095, "duration": "days"}
    teacher = world.ready_course()
    teacher.open(f"{world.course_url(teacher)}badges/{badge.entity_id}")
    teacher.submit(None, {"description": "Only the description is new"})
    after = world.badgr.badge_classes[badge.entity_id]
    assert (after.description, after.expires) == ("Only the description is new", {"amount": 1095, "duration": "days"})
    world.grade(LEARNER, score=9)
    world.work()
    award = world.award_of(LEARNER)
    assert award.expires_at is not None
    assert timedelta(days=1090) < award.expires_at - now() < timedelta(days=1097)


def test_an_address_that_badgr_refused_is_tried_again_when_it_changes(world: World) -> None:
    world.ready_course()
    fault = {"fieldErrors": {"recipient": ["Enter a valid email address."]}, "validationErrors": []}
    world.badgr.faults.add(Fault(AWARDS, method="POST", status=400, body=json.dumps(fault)))
    move(world, "lea@ex\u00e4mple.org")
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.FAILED
    # The LMS tells the right one at the next launch.
    world.launch(LEARNER)
    tick(world)
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_a_server_that_gives_no_new_refresh_token_goes_on_with_the_former(world: World) -> None:
    world.ready_course()

    def stored() -> Connection:
        with world.tools.database.read() as session:
            return session.scalars(select(Connection)).one()

    live = world.tools.vault.open(stored().sealed_access_token)
    with world.tools.database.write() as session:
        session.execute(update(Connection).values(expires_at=now()))
        session.commit()
    answer = {"access_token": live, "expires_in": 3600, "token_type": "Bearer"}
    world.badgr.faults.add(Fault("/o/token", status=200, body=json.dumps(answer)))
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.ISSUED
    assert stored().sealed_refresh_token is not None


def test_connecting_again_ends_the_grant_before(world: World) -> None:
    teacher = world.ready_course()
    world.connect(teacher.open(world.course_url(teacher) + "connections/"))
    assert [token.refresh_revoked for token in world.badgr.tokens] == [True, False]
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.ISSUED


def test_a_renewal_while_it_is_disconnected_leaves_no_grant(world: World) -> None:
    world.ready_course()
    with world.tools.database.read() as session:
        row = session.scalars(select(Connection)).one()
    token = world.tools.vault.open(row.sealed_access_token)
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/revoke_token/", "delay", delay=4.0))
    with ThreadPoolExecutor(1) as other:
        running = other.submit(grants.disconnect, world.tools, row.id, "Terry", now())
        while not world.badgr.faults.are_over:
            time.sleep(0.02)
        connections.access_token(world.tools, row.id, now(), refused=token)
        assert running.result()
    assert all(token.refresh_revoked for token in world.badgr.tokens)


def own_account(world: World) -> Backpack:
    with world.tools.database.read() as session:
        return session.scalars(select(Backpack)).one()


def test_another_own_account_in_place_of_the_wrong_one_leaves_nothing_of_it(world: World) -> None:
    learner = awarded(world)
    allow(connect_tab(world, learner).submit("/badgr/begin"), world.badgr, "Olive Owner")
    first = world.badgr.tokens[-1]
    learner.open(f"{world.tool_url}/courses/1/mine/accounts").submit("/address", {"address": "owner@example.org"})
    assert person(world).chosen_address == "owner@example.org"
    allow(connect_tab(world, learner).submit("/badgr/begin"), world.badgr, "Lea Learner")
    assert own_account(world).user_name == "Lea Learner"
    assert first.refresh_revoked
    assert person(world).chosen_address is None


def test_a_renewal_of_the_account_before_does_not_come_back_to_life(world: World) -> None:
    learner = awarded(world)
    allow(connect_tab(world, learner).submit("/badgr/begin"), world.badgr, "Olive Owner")
    row = own_account(world)
    give(world, "owner@example.org", "Laboratory Safety")
    world.badgr.end_access_tokens()
    tab = connect_tab(world, learner).submit("/badgr/begin")
    lea = next(user for user in world.badgr.users.values() if user.name == "Lea Learner")
    world.badgr.faults.add(Fault("/o/token", "delay", after_work=True, delay=4.0))
    with ThreadPoolExecutor(1) as other:
        running = other.submit(backpacks.badges, world.tools, row.person_id, row.id, now())
        while not world.badgr.faults.are_over:
            time.sleep(0.02)
        tab.submit(None, {"user": lea.entity_id}, ("decision", "allow"))
        assert "Connected" in tab.text
        running.result()
    shown = backpacks.badges(world.tools, row.person_id, row.id, now())
    assert "Laboratory Safety" not in {badge.name for badge in shown}


def test_a_state_that_is_no_ascii_is_refused_in_words(world: World) -> None:
    tab = connect_tab(world, awarded(world)).submit("/badgr/begin")
    answer = tab.browser.get(f"{world.tool_url}/badgr/callback?state=%C3%A9&code=x", allow_redirects=False)
    assert answer.status_code == 400


def connect_to(world: World, teacher: Visitor, name: str, users: Any) -> None:
    """Connect the course to the server of this name."""
    tab = Visitor().open(world.connect_url(teacher.open(world.course_url(teacher) + "connections/")))
    with world.tools.database.read() as session:
        server_id = session.scalars(select(BadgrServer.id).where(BadgrServer.name == name)).one()
    tab.submit("/badgr/begin", {"server": str(server_id)})
    user = next(user for user in users.values() if user.name == "Olive Owner")
    tab.submit(None, {"user": user.entity_id}, ("decision", "allow"))
    with world.tools.database.write() as session:
        # As choosing an issuer there does.
        session.execute(update(Course).values(issuer_role="owner"))
        session.commit()


def test_no_server_is_asked_about_the_badges_of_another(world: World) -> None:
    teacher = world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    app = create_badgr(BadgrConfig())
    with LocalServer(app) as other:
        state = app.extensions["sandbox_badgr"]
        config = BadgrConfig()
        data = BadgrServerData("Second", other.url, other.url, config.client_id, config.client_secret)
        badgr_servers.save(world.tools, data, now(), check=False)
        connect_to(world, teacher, "Second", state.users)
        revoke(world)
        world.grade(CLOSE, score=9)
        world.work()
        tick(world, 2)
        with world.tools.database.read() as session:
            newest = session.scalars(select(Connection.id).order_by(Connection.id.desc())).first()
        changes.look(world.tools, newest or 0, now())
        issued = world.award_of(LEARNER).assertion_id or ""
        paths = [request.path for request in state.requests]
        assert not [path for path in paths if issued in path or ("/badgeclasses/" in path and "/assertions" in path)]
    assert world.award_of(CLOSE).hold_reason is HoldReason.OTHER_SERVER
    assert world.award_of(LEARNER).status is AwardStatus.REVOKING
    # Connected to the first one again, everything goes on.
    with world.tools.database.read() as session:
        first = session.scalars(select(BadgrServer.name).where(BadgrServer.name != "Second")).one()
    connect_to(world, teacher, first, world.badgr.users)
    world.work()
    tick(world)
    assert world.award_of(CLOSE).status is AwardStatus.ISSUED
    assert world.award_of(LEARNER).status is AwardStatus.REVOKED


def test_a_badge_that_one_account_does_not_see_is_not_gone_for_the_others(world: World) -> None:
    teacher = world.ready_course()
    chemistry = world.launch(TEACHER, CHEMISTRY)
    world.connect(chemistry)
    world.make_rule(chemistry)
    chemistry.submit("/activate", {"scope": "all"})
    world.work()
    world.connect(chemistry.open(world.course_url(chemistry) + "connections/"), "Otto Outsider")
    with world.tools.database.read() as session:
        otto = session.scalars(select(Connection.id).where(Connection.badgr_user_name == "Otto Outsider")).one()
    changes.look(world.tools, otto, now())
    assert "This badge is not at Badgr any more" not in teacher.open(f"{world.course_url(teacher)}rules/1").text


def column_of(world: World) -> str:
    with world.tools.database.read() as session:
        url = session.get_one(Rule, 1).line_item_url
    assert url is not None
    return url


def test_who_has_lost_the_badge_has_no_point_any_more(world: World) -> None:
    world.ready_course().submit("/column")
    world.work()
    world.grade(LEARNER, score=9)
    world.work()
    assert scores_in(world, column_of(world))[LEARNER] == 1
    revoke(world)
    world.work()
    tick(world, 1)
    assert scores_in(world, column_of(world))[LEARNER] == 0


def test_a_score_that_waited_is_not_given_for_a_badge_that_was_taken_back(world: World) -> None:
    world.ready_course().submit("/column")
    world.work()
    world.lms.faults.add(Fault("/scores$", method="POST", status=503))
    world.grade(LEARNER, score=9)
    world.work()
    assert LEARNER not in scores_in(world, column_of(world))
    revoke(world)
    world.work()
    tick(world, 1)
    assert scores_in(world, column_of(world)).get(LEARNER) in (None, 0)
    with world.tools.database.read() as session:
        assert session.scalars(select(Award.score_due_at).where(Award.score_due_at.is_not(None))).all() == []
