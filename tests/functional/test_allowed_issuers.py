"""An institution's account that is limited to some issuers: nothing goes out in the name of another, by no way."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from lti_tool.models import AwardStatus, Course, HoldReason, Person
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import by_hand, copies, grants, rules
from tests.functional.test_accounts import connect_institution, course, only_connection, root
from tests.world import CHEMISTRY, CLOSE, LEARNER, LEARNER_ADDRESS, TEACHER, World


def issuer_id(world: World, name: str) -> str:
    return next(issuer.entity_id for issuer in world.badgr.issuers.values() if issuer.name == name)


def allow(world: World, *names: str) -> None:
    ids = [issuer_id(world, name) for name in names]
    grants.allow_issuers(world.tools, only_connection(world).id, ids, "root", datetime.now(UTC))


@pytest.fixture
def teacher(world: World) -> Visitor:
    """A teacher of a course that awards by the institution's account."""
    connect_institution(world, root(world))
    world.announce()
    teacher = world.launch(TEACHER)
    return teacher.follow("/connections").submit("/use")


def test_an_award_of_another_issuer_waits_until_it_is_allowed(world: World, teacher: Visitor) -> None:
    world.make_rule(teacher).submit("/activate", {"scope": "all"})
    allow(world, "Otto's College")
    world.grade(LEARNER, score=9)
    world.work()
    award = world.award_of(LEARNER)
    assert (award.status, award.hold_reason) == (AwardStatus.HELD, HoldReason.ISSUER_NOT_ALLOWED)
    assert "does not allow this issuer" in teacher.open(world.course_url(teacher)).text
    assert "your institution has to allow it first" in world.launch(LEARNER).text
    allow(world, "Otto's College", "Loopback University")
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_a_draft_that_is_switched_on_later_is_no_way_round(world: World, teacher: Visitor) -> None:
    draft = world.make_rule(teacher)
    allow(world, "Otto's College")
    # The choice is gone, too: nothing new is made for it.
    assert course(world, 1).issuer_entity_id is None
    draft.open(draft.url).submit("/activate", {"scope": "all"})
    world.work()
    assert world.badgr.assertions == {}


def test_an_issuer_that_was_chosen_before_is_no_way_round(world: World, teacher: Visitor) -> None:
    teacher.open(world.course_url(teacher) + "issuer")
    teacher.submit("/issuer", {"issuer": issuer_id(world, "Loopback University")})
    allow(world, "Otto's College")
    teacher.open(world.course_url(teacher) + "rules/new")
    assert teacher.url.endswith("/issuer")
    assert "Loopback University" not in teacher.text


def test_another_issuer_may_still_be_chosen_where_it_is_allowed(world: World, teacher: Visitor) -> None:
    world.make_rule(teacher)
    allow(world, "Loopback University")
    assert course(world, 1).issuer_name == "Loopback University"


def test_no_new_issuer_is_made_by_a_limited_account(world: World, teacher: Visitor) -> None:
    teacher.open(world.course_url(teacher) + "issuer")
    assert "Make a new issuer" in teacher.text
    teacher.open(world.course_url(teacher) + "issuers/new")
    allow(world, "Loopback University")
    number = len(world.badgr.issuers)
    teacher.submit(None, {"name": "Own", "url": "https://own.example.org/", "email": "owner@example.org"})
    assert (teacher.status, "for some issuers only" in teacher.text) == (409, True)
    assert len(world.badgr.issuers) == number
    assert "Make a new issuer" not in teacher.open(world.course_url(teacher) + "issuer").text


def test_a_copied_rule_is_no_way_round(world: World) -> None:
    world.ready_course()
    connect_institution(world, root(world))
    with world.tools.database.write() as session:
        mine = session.scalars(select(Course)).one()
        limited = grants.choices(session, mine, 0)[-1].id
        session.commit()
    grants.allow_issuers(world.tools, limited, [issuer_id(world, "Otto's College")], "root", datetime.now(UTC))
    world.launch(TEACHER, CHEMISTRY)
    with world.tools.database.write() as session:
        other = session.scalars(select(Course.id).where(Course.context_id == CHEMISTRY)).one()
        session.execute(update(Course).where(Course.id == other).values(connection_id=limited))
        session.commit()
    copied = copies.copy_to(world.tools, 1, 1, other, 1, datetime.now(UTC))
    rules.activate(world.tools, other, copied, 1, datetime.now(UTC), also_earned_before=True)
    before = len(world.badgr.assertions)
    with world.tools.database.read() as session:
        learner = session.scalars(select(Person.id).where(Person.sub == CLOSE)).one()
    by_hand.carry_out(world.tools, other, copied, [by_hand.Line(learner, "award", "x")], 1, datetime.now(UTC))
    world.work()
    world.tick()
    assert world.award_of(CLOSE).hold_reason is HoldReason.ISSUER_NOT_ALLOWED
    assert len(world.badgr.assertions) == before
