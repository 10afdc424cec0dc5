"""Two people and one address, for a while or for good: nobody gets, keeps or loses a badge because of the other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from lti_tool.models import Award, AwardStatus, Connection, Person, RevokedBy
from lti_tool.sandbox.badgr.state import Assertion
from lti_tool.sandbox.faults import Fault
from lti_tool.services import changes, revocation
from tests.world import BIOLOGY, CLOSE, LEARNER, LEARNER_ADDRESS, World

AWARDS = "/assertions$"
WRONG, RIGHT = "carl@example.org", "lea.new@example.org"


def now() -> datetime:
    return datetime.now(UTC)


def tick(world: World, times: int = 4) -> None:
    for _ in range(times):
        world.tick()


def set_address(world: World, sub: str, address: str) -> None:
    with world.tools.database.write() as session:
        session.execute(update(Person).where(Person.sub == sub).values(email=address))
        session.commit()


def revoke(world: World, sub: str) -> None:
    revocation.request(world.tools, 1, world.award_of(sub).id, "Copied", "Terry", now())


def the_assertion(world: World, address: str) -> Assertion:
    (found,) = world.badgr.live_assertions(address)
    return found


@pytest.fixture
def mixed_up(world: World) -> World:
    """The LMS told Lea's address wrong while Badgr was away: it was Carl's, who has his badge by now."""
    world.ready_course()
    set_address(world, LEARNER, WRONG)
    world.badgr.faults.add(Fault(AWARDS, method="GET", status=502))
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.PENDING
    assert world.held_by(WRONG) == []
    set_address(world, LEARNER, RIGHT)
    set_address(world, CLOSE, WRONG)
    return world


def test_nobody_is_given_somebody_elses_badge(mixed_up: World) -> None:
    mixed_up.grade(CLOSE, score=9)
    mixed_up.work()
    tick(mixed_up)
    assert (mixed_up.held_by(WRONG), mixed_up.held_by(RIGHT)) == (["Algebra I"], ["Algebra I"])
    assert mixed_up.award_of(LEARNER).assertion_id != mixed_up.award_of(CLOSE).assertion_id


def test_nor_one_whose_answer_is_still_under_way(mixed_up: World) -> None:
    # Carl's badge is made, its answer lost, and nobody could look: no award names it yet.
    mixed_up.badgr.faults.add(Fault(AWARDS, "delay", "GET", delay=0))
    mixed_up.badgr.faults.add(Fault(AWARDS, "reset", "POST", after_work=True))
    mixed_up.badgr.faults.add(Fault(AWARDS, method="GET", status=502))
    mixed_up.grade(CLOSE, score=9)
    mixed_up.work()
    assert mixed_up.award_of(CLOSE).status is AwardStatus.PENDING
    tick(mixed_up)
    assert (mixed_up.held_by(WRONG), mixed_up.held_by(RIGHT)) == (["Algebra I"], ["Algebra I"])
    assert mixed_up.award_of(CLOSE).assertion_id == the_assertion(mixed_up, WRONG).entity_id
    assert mixed_up.award_of(LEARNER).assertion_id == the_assertion(mixed_up, RIGHT).entity_id


def test_what_is_taken_back_in_doubt_takes_nothing_from_anybody_else(mixed_up: World) -> None:
    mixed_up.grade(CLOSE, score=9)
    mixed_up.work()
    revoke(mixed_up, LEARNER)
    tick(mixed_up)
    assert mixed_up.award_of(LEARNER).status is AwardStatus.REVOKED
    assert mixed_up.held_by(WRONG) == ["Algebra I"]
    assert mixed_up.award_of(CLOSE).status is AwardStatus.ISSUED


@pytest.fixture
def shared(world: World) -> World:
    """Two accounts with one address: to Badgr they are one holder, of one assertion."""
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    set_address(world, CLOSE, LEARNER_ADDRESS)
    world.grade(CLOSE, score=9)
    world.work()
    assert world.award_of(CLOSE).assertion_id == world.award_of(LEARNER).assertion_id
    return world


def test_taking_a_badge_from_one_leaves_it_to_the_other(shared: World) -> None:
    revoke(shared, CLOSE)
    tick(shared)
    taken = shared.award_of(CLOSE)
    assert taken.status is AwardStatus.REVOKED
    assert "somebody else who uses the same address has earned it too" in taken.steps[-1].text
    with shared.tools.database.read() as session:
        connection_id = session.scalars(select(Connection.id)).one()
    changes.look(shared.tools, connection_id, now() + timedelta(hours=1))
    assert shared.award_of(LEARNER).status is AwardStatus.ISSUED
    assert shared.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_when_the_last_one_loses_it_it_goes(shared: World) -> None:
    for sub in (CLOSE, LEARNER):
        revoke(shared, sub)
        tick(shared)
    assert shared.held_by(LEARNER_ADDRESS) == []
    assert shared.award_of(LEARNER).status is AwardStatus.REVOKED


def test_it_can_be_earned_again_by_who_lost_it_only_here(shared: World) -> None:
    with shared.tools.database.write() as session:
        award = session.get_one(Award, shared.award_of(CLOSE).id)
        revocation.start(session, award, "Fallen", "The rule", RevokedBy.FALL, now())
        session.commit()
    tick(shared)
    shared.grade(CLOSE, score=10)
    shared.work()
    tick(shared)
    with shared.tools.database.read() as session:
        own = session.scalars(select(Award).join(Person).where(Person.sub == CLOSE).order_by(Award.number)).all()
    assert [award.status for award in own] == [AwardStatus.REVOKED, AwardStatus.ISSUED]
    assert shared.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_what_was_revoked_of_one_is_no_word_on_the_other(world: World) -> None:
    """The other's award was waiting since before that assertion was made: it is not the one that was lost."""
    world.ready_course()
    set_address(world, CLOSE, "")
    world.grade(CLOSE, score=9)
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(CLOSE).status is AwardStatus.HELD
    revoke(world, LEARNER)
    tick(world)
    assert world.held_by(LEARNER_ADDRESS) == []
    _, member = world.lms.member(BIOLOGY, CLOSE)
    world.lms.enrol(BIOLOGY, replace(member, person=replace(member.person, email=LEARNER_ADDRESS)))
    world.launch(CLOSE)
    tick(world)
    assert world.award_of(CLOSE).status is AwardStatus.ISSUED
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
