"""Awards that are taken back although nobody knows whether Badgr has them: it is found out, and said as it is."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from lti_tool.models import AwardStatus, Enrolment, Person
from lti_tool.sandbox.faults import Fault
from lti_tool.services import revocation
from tests.world import LEARNER, LEARNER_ADDRESS, World

AWARDS = "/assertions$"


@pytest.fixture
def doubtful(world: World) -> World:
    """Badgr has made the badge, its answer got lost, and nobody could look."""
    world.ready_course()
    world.badgr.faults.add(Fault("/assertions", method="POST", kind="reset", after_work=True))
    world.badgr.faults.add(Fault(AWARDS, method="GET", kind="delay", delay=0))
    world.badgr.faults.add(Fault(AWARDS, method="GET", status=502))
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.PENDING
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    return world


def revoke(world: World) -> None:
    revocation.request(world.tools, 1, world.award_of(LEARNER).id, "Copied", "Terry", datetime.now(UTC))


def tick(world: World, times: int = 4) -> None:
    for _ in range(times):
        world.tick()


def test_the_learner_has_left_the_course(doubtful: World) -> None:
    """Nothing is sent to them any more, but what was sent is looked for."""
    with doubtful.tools.database.write() as session:
        found = select(Enrolment).join(Person).where(Person.sub == LEARNER, Enrolment.course_id == 1)
        session.scalars(found).one().active = False
        session.commit()
    doubtful.tick()
    assert doubtful.award_of(LEARNER).status is AwardStatus.HELD
    revoke(doubtful)
    tick(doubtful)
    assert doubtful.held_by(LEARNER_ADDRESS) == []
    assert doubtful.award_of(LEARNER).status is AwardStatus.REVOKED


def test_badgr_has_refused_to_be_asked(doubtful: World) -> None:
    doubtful.badgr.faults.add(Fault(AWARDS, method="GET", status=400))
    doubtful.tick()
    assert doubtful.award_of(LEARNER).status is AwardStatus.FAILED
    revoke(doubtful)
    tick(doubtful)
    assert doubtful.held_by(LEARNER_ADDRESS) == []
    assert doubtful.award_of(LEARNER).status is AwardStatus.REVOKED


def test_as_long_as_badgr_cannot_be_asked_nobody_says_revoked(doubtful: World) -> None:
    doubtful.badgr.faults.add(Fault(AWARDS, method="GET", status=400, times=2))
    doubtful.tick()
    revoke(doubtful)
    doubtful.tick()
    assert doubtful.award_of(LEARNER).status is AwardStatus.FAILED
    # A teacher who asks once more, when it is well again, gets what they wanted.
    teacher = doubtful.launch("3")
    teacher.open(f"{doubtful.course_url(teacher)}awards/{doubtful.award_of(LEARNER).id}").submit("/retry")
    tick(doubtful)
    assert doubtful.held_by(LEARNER_ADDRESS) == []
    assert doubtful.award_of(LEARNER).status is AwardStatus.REVOKED


def test_another_address_meanwhile_does_not_bring_a_second_badge(doubtful: World) -> None:
    with doubtful.tools.database.write() as session:
        session.execute(update(Person).where(Person.sub == LEARNER).values(email="lea.new@example.org"))
        session.commit()
    tick(doubtful)
    award = doubtful.award_of(LEARNER)
    assert award.status is AwardStatus.ISSUED
    assert (doubtful.held_by(LEARNER_ADDRESS), doubtful.held_by("lea.new@example.org")) == (["Algebra I"], [])
