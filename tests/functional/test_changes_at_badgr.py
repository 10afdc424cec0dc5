"""What is changed, deleted, given away or given back at Badgr is noticed, whatever else is odd there."""

import copy
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from lti_tool.models import Award, AwardStatus, BadgrServer, Connection, Course
from lti_tool.sandbox.badgr import BadgrConfig, create_badgr
from lti_tool.sandbox.badgr.state import Recipient
from lti_tool.sandbox.faults import Fault
from lti_tool.sandbox.serving import LocalServer
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import badgr_servers, changes, revocation
from lti_tool.services.badgr_servers import BadgrServerData
from tests.world import CHEMISTRY, CLOSE, LEARNER, LEARNER_ADDRESS, TEACHER, World

NO_FEED = Fault("/changed", status=404, times=99)


def now() -> datetime:
    return datetime.now(UTC)


def connection(world: World) -> int:
    with world.tools.database.read() as session:
        return session.scalars(select(Connection.id).order_by(Connection.id)).first() or 0


def look(world: World, hours: int = 1) -> None:
    changes.look(world.tools, connection(world), now() + timedelta(hours=hours))


def tick(world: World, times: int = 3) -> None:
    for _ in range(times):
        world.tick()


@pytest.fixture
def two(world: World) -> World:
    """Two learners have the badge."""
    world.ready_course()
    for sub in (LEARNER, CLOSE):
        world.grade(sub, score=9)
    world.work()
    return world


def id_of(world: World, sub: str) -> str:
    return world.award_of(sub).assertion_id or ""


def test_a_server_with_the_same_ids_says_nothing_of_this_one(world: World) -> None:
    """Somebody has made a copy of Badgr for trying things out, and has revoked a badge there."""
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    app = create_badgr(BadgrConfig(token_backoff=False))
    with LocalServer(app) as server:
        state = app.extensions["sandbox_badgr"]
        state.users, state.issuers = world.badgr.users, world.badgr.issuers
        state.badge_classes = world.badgr.badge_classes
        state.assertions = {key: copy.copy(made) for key, made in world.badgr.assertions.items()}
        state.assertions[id_of(world, LEARNER)].revoke("A trial")
        config = BadgrConfig()
        data = BadgrServerData("Copy", server.url, server.url, config.client_id, config.client_secret)
        badgr_servers.save(world.tools, data, now(), check=False)
        tab = Visitor().open(world.connect_url(world.launch(TEACHER, CHEMISTRY)))
        with world.tools.database.read() as session:
            server_id = session.scalars(select(BadgrServer.id).where(BadgrServer.name == "Copy")).one()
        tab.submit("/badgr/begin", {"server": str(server_id)})
        owner = next(user for user in state.users.values() if user.name == "Olive Owner")
        tab.submit(None, {"user": owner.entity_id}, ("decision", "allow"))
        with world.tools.database.write() as session:
            other = session.scalars(select(Connection).where(Connection.server_id == server_id)).one()
            other.changes_until = "2020-01-01T00:00:00+00:00"
            session.commit()
        changes.look(world.tools, other.id, now())
        assert [request.path for request in state.requests if "/changed" in request.path]
    assert world.award_of(LEARNER).status is AwardStatus.ISSUED


@pytest.mark.parametrize("has_feed", [True, False])
def test_one_odd_badge_keeps_nobody_from_learning_of_the_others(two: World, has_feed: bool) -> None:
    odd = f'("entityId":"{id_of(two, LEARNER)}".*?"issuedOn":")[^"]*'
    two.badgr.assertions[id_of(two, CLOSE)].revoke("Cheated")
    if not has_feed:
        two.badgr.faults.add(NO_FEED)
    two.badgr.faults.add(Fault("assertions", "alter", "GET", 99, after_work=True, find=odd, body=r"\g<1>0000-00-00"))
    for hours in (1, 2):
        look(two, hours)
    assert two.award_of(CLOSE).status is AwardStatus.REVOKED
    assert two.award_of(LEARNER).status is AwardStatus.ISSUED


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 400, "body": "{}"}, {"kind": "reset"}])
def test_one_that_cannot_be_asked_for_keeps_nobody_from_their_turn(two: World, fault: dict[str, object]) -> None:
    two.badgr.assertions[id_of(two, CLOSE)].revoke("Cheated")
    with two.tools.database.write() as session:
        session.get_one(Award, two.award_of(LEARNER).id).checked_at = now() - timedelta(days=2)
        session.commit()
    two.badgr.faults.add(NO_FEED)
    two.badgr.faults.add(Fault(f"/v2/assertions/{id_of(two, LEARNER)}$", times=99, **fault))  # type: ignore[arg-type]
    for hours in (1, 2):
        look(two, hours)
    assert two.award_of(CLOSE).status is AwardStatus.REVOKED
    with two.tools.database.read() as session:
        assert session.scalars(select(BadgrServer.closed_until)).one() is None


def test_one_badge_class_that_cannot_be_read_keeps_no_role_from_being_known(two: World) -> None:
    two.badgr.faults.add(Fault("/v2/badgeclasses/[^/]*$", status=500, times=9))
    for issuer in two.badgr.issuers.values():
        issuer.staff.clear()
    look(two)
    with two.tools.database.read() as session:
        assert session.get_one(Course, 1).issuer_role is None


def test_a_badge_that_was_deleted_is_noticed_beside_a_feed(two: World) -> None:
    del two.badgr.assertions[id_of(two, LEARNER)]
    for hours in (1, 2):
        look(two, hours)
    kinds = [step.kind for step in two.award_of(LEARNER).steps]
    assert kinds.count("unseen") == 1
    assert "unseen" not in [step.kind for step in two.award_of(CLOSE).steps]


def test_a_badge_that_was_given_to_another_address_is_shown_there(two: World) -> None:
    made = two.badgr.assertions[id_of(two, LEARNER)]
    made.recipient, made.changed_at = Recipient("New@Example.org"), now()
    for hours in (1, 2):
        look(two, hours)
    award = two.award_of(LEARNER)
    assert (award.status, award.recipient) == (AwardStatus.ISSUED, "new@example.org")
    assert [step.text for step in award.steps].count(changes.MOVED) == 1


def test_that_it_was_given_away_is_told_once_where_only_a_hash_is_told(two: World) -> None:
    made = two.badgr.assertions[id_of(two, LEARNER)]
    made.recipient = Recipient("new@example.org")
    plain = Fault("assertions", "alter", "GET", 99, after_work=True, find=r'"plaintextIdentity":"[^"]*",', body="")
    two.badgr.faults.add(plain)
    for hours in (1, 2):
        look(two, hours)
    award = two.award_of(LEARNER)
    assert award.recipient == LEARNER_ADDRESS
    assert [step.text for step in award.steps].count(changes.MOVED) == 1


def test_a_role_that_comes_back_lets_go_out_what_was_refused_for_it(world: World) -> None:
    world.ready_course()
    staff = {issuer.entity_id: dict(issuer.staff) for issuer in world.badgr.issuers.values()}
    for issuer in world.badgr.issuers.values():
        issuer.staff.clear()
    world.grade(LEARNER, score=9)
    world.work()
    look(world)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.FAILED
    for issuer in world.badgr.issuers.values():
        issuer.staff.update(staff[issuer.entity_id])
    look(world, 2)
    tick(world)
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    assert world.award_of(LEARNER).status is AwardStatus.ISSUED


def test_so_does_a_badge_class(world: World) -> None:
    world.ready_course()
    badge = next(b for b in world.badgr.badge_classes.values() if b.name == "Algebra I")
    world.badgr.badge_classes.pop(badge.entity_id)
    world.grade(LEARNER, score=9)
    world.work()
    look(world)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.FAILED
    world.badgr.badge_classes[badge.entity_id] = badge
    look(world, 2)
    tick(world)
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_what_was_refused_for_itself_is_not_asked_for_again(world: World) -> None:
    world.ready_course()
    world.badgr.faults.add(Fault("/assertions$", method="POST", status=400, body='{"validationErrors": ["No."]}'))
    world.grade(LEARNER, score=9)
    world.work()
    look(world)
    tick(world)
    assert world.award_of(LEARNER).status is AwardStatus.FAILED


def test_the_role_that_counts_is_the_one_in_the_badges_own_issuer(two: World) -> None:
    """The course has gone over to an issuer in which the account is only staff."""
    with two.tools.database.write() as session:
        session.execute(update(Course).values(issuer_entity_id="another", issuer_role="staff"))
        session.commit()
    teacher = two.launch(TEACHER)
    teacher.open(f"{two.course_url(teacher)}awards/{two.award_of(LEARNER).id}")
    assert teacher.page.select_one("form[action*='/revoke']") is not None
    revocation.request(two.tools, 1, two.award_of(LEARNER).id, "Copied", "Terry", now())
    two.work()
    assert two.held_by(LEARNER_ADDRESS) == []
