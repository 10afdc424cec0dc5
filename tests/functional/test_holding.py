"""Awards that wait, and what lets them go; both sides see why."""

from dataclasses import replace

from lti_tool.models import AwardStatus, HoldReason
from tests.world import BIOLOGY, FORMER, LEARNER, LEARNER_ADDRESS, NO_MAIL, TEACHER, World


def give_address(world: World, sub: str, address: str) -> None:
    _, member = world.lms.member(BIOLOGY, sub)
    world.lms.enrol(BIOLOGY, replace(member, person=replace(member.person, email=address)))


def test_without_an_address_the_award_waits_and_both_sides_see_it(world: World) -> None:
    teacher = world.ready_course()
    world.grade(NO_MAIL, score=10)
    world.work()
    assert world.award_of(NO_MAIL).hold_reason is HoldReason.NO_EMAIL
    assert "Held: no e-mail address (1 award)" in teacher.open(world.course_url(teacher)).text
    learner = world.launch(NO_MAIL)
    assert "Earned, held" in learner.text
    assert "your LMS does not tell us your e-mail address" in learner.text
    assert len(world.badgr.live_assertions()) == 2


def test_the_award_goes_out_when_the_address_is_known(world: World) -> None:
    world.ready_course()
    world.grade(NO_MAIL, score=10)
    world.work()
    give_address(world, NO_MAIL, "noor@example.org")
    world.launch(NO_MAIL)
    assert world.held_by("noor@example.org") == ["Algebra I"]
    kinds = [step.kind for step in world.award_of(NO_MAIL).steps]
    assert kinds == ["opened", "held", "released", "sending", "issued"]


def test_somebody_the_lms_has_not_confirmed_waits(world: World) -> None:
    world.ready_course()
    _, member = world.lms.member(BIOLOGY, LEARNER)
    stranger = replace(member, person=replace(member.person, sub="77", email="new@example.org"))
    world.lms.enrol(BIOLOGY, stranger)
    # The roster was read a moment ago: this learner joined after that.
    world.grade("77", score=10)
    world.work()
    assert world.award_of("77").hold_reason is HoldReason.NOT_ON_ROSTER
    world.launch("77")
    assert world.held_by("new@example.org") == ["Algebra I"]


def test_a_test_student_earns_nothing(world: World) -> None:
    world.ready_course()
    learner = world.launch("22")
    assert "test student" in learner.text
    world.grade("22", score=10)
    world.work()
    assert len(world.badgr.live_assertions()) == 2


def test_who_has_left_gets_nothing(world: World) -> None:
    teacher = world.ready_course()
    world.grade(FORMER, score=10)
    world.work()
    assert world.award_of(FORMER).hold_reason is HoldReason.NOT_A_LEARNER
    assert world.held_by("yann@example.org") == []
    assert "Held: not a learner (1 award)" in teacher.open(world.course_url(teacher)).text


def test_without_a_connection_awards_wait_and_connecting_sends_them(world: World) -> None:
    world.ready_course()
    world.badgr.withdraw_all()
    world.grade(LEARNER, score=10)
    world.work()
    award = world.award_of(LEARNER)
    assert (award.status, award.hold_reason) == (AwardStatus.HELD, HoldReason.NO_CONNECTION)
    calls = world.token_calls()
    teacher = world.launch(TEACHER)
    assert "The connection to Badgr has ended" in teacher.text
    assert "none is lost" in teacher.text
    learner = world.launch(LEARNER)
    assert "not connected to Badgr at the moment" in learner.text
    world.tick()
    # A refused refresh token is never tried again: each try would block everybody else's (BADGR.md §1.6).
    assert world.token_calls() == calls
    world.connect(teacher)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
