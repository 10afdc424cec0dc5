"""Answers that no Badgr should give: "issued" and "revoked" are said of what is so, and nothing hangs or is lost."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from lti_tool.models import Award, AwardStatus, Connection, Course, Person, Repeat, RuleVersion
from lti_tool.sandbox.faults import Fault
from lti_tool.services import changes, revocation
from tests.functional.test_learners_own import give
from tests.world import LEARNER, LEARNER_ADDRESS, World

AWARDS = "/assertions$"
NO_SUCCESS = json.dumps({"status": {"success": False, "description": "queued"}, "result": [{"entityId": "pending-1"}]})
NOTHING = json.dumps({"status": {"success": False, "description": "search is down"}, "result": []})
GOOD = {"success": True, "description": "ok"}


def now() -> datetime:
    return datetime.now(UTC)


def tick(world: World, times: int = 4) -> None:
    for _ in range(times):
        world.tick()


def altered(path: str, find: str, by: str = "", method: str | None = None, times: int = 9) -> Fault:
    """The right answer, with something else in place of a part of it."""
    return Fault(path, "alter", method, times, after_work=True, find=find, body=by)


def look(world: World, after: timedelta = timedelta(hours=1)) -> None:
    with world.tools.database.read() as session:
        connection_id = session.scalars(select(Connection.id)).one()
    changes.look(world.tools, connection_id, now() + after)


def issued(world: World) -> Award:
    """The learner's award, which Badgr has issued as it stands there."""
    award = world.award_of(LEARNER)
    (made,) = world.badgr.live_assertions(LEARNER_ADDRESS)
    assert (award.status, award.assertion_id) == (AwardStatus.ISSUED, made.entity_id)
    return award


@pytest.mark.parametrize(
    "body",
    [
        NO_SUCCESS,
        json.dumps({"status": GOOD, "result": [{"entityId": None}]}),
        json.dumps({"status": GOOD, "result": [{"entityId": "THEIRS", "recipient": {"identity": "b@example.org"}}]}),
        "[" * 100_000,
    ],
    ids=["no success", "no id", "somebody else's", "without measure"],
)
@pytest.mark.parametrize("after_work", [True, False])
def test_only_what_badgr_has_is_said_to_be_issued(world: World, body: str, after_work: bool) -> None:
    world.ready_course()
    give(world, "b@example.org", "Algebra I")
    theirs = world.badgr.live_assertions("b@example.org")[0].entity_id
    answer = body.replace("THEIRS", theirs)
    world.badgr.faults.add(Fault(AWARDS, method="POST", status=201, body=answer, after_work=after_work))
    world.grade(LEARNER, score=9)
    world.work()
    # No worker has broken off.
    assert world.award_of(LEARNER).status is not AwardStatus.SENDING
    tick(world)
    issued(world)


@pytest.mark.parametrize("body", [NOTHING, "[" * 100_000], ids=["no success", "without measure"])
def test_an_answer_that_says_nothing_is_not_read_as_nothing_there(world: World, body: str) -> None:
    """The badge is made, its answer lost, and the award taken back: it is at Badgr whatever the search says."""
    world.ready_course()
    world.badgr.faults.add(Fault(AWARDS, "reset", "POST", after_work=True))
    world.badgr.faults.add(Fault(AWARDS, "delay", "GET", delay=0))
    world.badgr.faults.add(Fault(AWARDS, method="GET", status=502))
    world.grade(LEARNER, score=9)
    world.work()
    revocation.request(world.tools, 1, world.award_of(LEARNER).id, "Copied", "Terry", now())
    world.badgr.faults.add(Fault(AWARDS, method="GET", status=200, body=body))
    world.tick()
    assert world.award_of(LEARNER).status is AwardStatus.PENDING
    tick(world)
    assert world.award_of(LEARNER).status is AwardStatus.REVOKED
    assert world.held_by(LEARNER_ADDRESS) == []


def test_roles_are_not_forgotten_because_a_list_did_not_work(world: World) -> None:
    world.ready_course()
    world.badgr.faults.add(Fault("/v2/issuers$", status=200, body=NOTHING))
    look(world)
    with world.tools.database.read() as session:
        assert session.get_one(Course, 1).issuer_role == "owner"


def test_each_time_means_once_each_time_where_badgr_tells_no_date(world: World) -> None:
    world.ready_course()
    no_date = altered(AWARDS, r'"createdAt":"[^"]*",', times=99)
    world.badgr.faults.add(no_date)
    world.grade(LEARNER, score=9)
    world.work()
    with world.tools.database.write() as session:
        session.execute(update(RuleVersion).values(repeat=Repeat.EACH_TIME))
        session.commit()
    world.grade(LEARNER, score=1)
    world.work()
    world.badgr.faults.clear()
    world.badgr.faults.add(Fault(AWARDS, "reset", "POST", after_work=True))
    world.badgr.faults.add(no_date)
    world.grade(LEARNER, score=10)
    world.work()
    tick(world)
    with world.tools.database.read() as session:
        own = session.scalars(select(Award).join(Person).where(Person.sub == LEARNER)).all()
    assert [award.status for award in own] == [AwardStatus.ISSUED, AwardStatus.ISSUED]
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"] * 2


def test_a_renewal_that_is_good_for_ever_loses_nothing(world: World) -> None:
    world.ready_course()
    world.badgr.end_access_tokens()
    world.badgr.faults.add(altered("/o/token", r'"expires_in": ?\d+', '"expires_in": 9223372036854775807'))
    world.grade(LEARNER, score=9)
    world.work()
    issued(world)


def test_no_address_but_of_the_web_becomes_a_link(world: World) -> None:
    world.ready_course()
    world.badgr.faults.add(altered(AWARDS, r'"openBadgeId":"[^"]*"', '"openBadgeId":"javascript:alert(1)"'))
    world.grade(LEARNER, score=9)
    world.work()
    issued(world)
    assert not world.launch(LEARNER).page.select("a[href^=javascript]")


def test_an_end_that_an_answer_leaves_out_stays(world: World) -> None:
    no_end = altered("assertions", r'"expires":"?[^,"]*"?,', times=99)
    world.badgr.faults.add(no_end)
    world.ready_course(badge="First Aid")
    world.grade(LEARNER, score=9)
    world.work()
    end = issued(world).expires_at
    assert end is not None
    world.badgr.assertions[issued(world).assertion_id or ""].changed_at = now()
    look(world)
    assert world.award_of(LEARNER).expires_at == end
    # But one that is taken away at Badgr is gone.
    world.badgr.faults.clear()
    made = world.badgr.assertions[issued(world).assertion_id or ""]
    made.expires, made.changed_at = None, now()
    look(world, timedelta(hours=2))
    assert world.award_of(LEARNER).expires_at is None


@pytest.mark.parametrize("status", [403, 404, 408, 425])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refusal_that_is_not_badgrs_own_is_waited_for(world: World, status: int, method: str) -> None:
    """A firewall or a proxy says no: that passes."""
    world.ready_course()
    world.badgr.faults.add(Fault(AWARDS, method=method, status=status))
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.PENDING
    tick(world)
    issued(world)
