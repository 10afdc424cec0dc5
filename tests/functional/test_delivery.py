"""Exactly one assertion, whatever goes wrong between the tool and Badgr; and the time line tells the story."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from lti_tool.models import Award, AwardStatus
from lti_tool.sandbox.badgr import Fault
from lti_tool.services import delivery
from tests.world import BIOLOGY, LEARNER, LEARNER_ADDRESS, World, running_world

POST, GET = "POST", "GET"
ASSERTIONS = "/assertions$"
HTML = "<!doctype html><h1>Maintenance</h1>"
EMPTY = '{"status":{"success":true,"description":"ok"},"result":[]}'
THROTTLED = {"status": 429, "body": "{}", "headers": {"Retry-After": "1"}}

FAULTS = {
    "500 before the award": Fault(ASSERTIONS, method=POST),
    "500 after the award": Fault(ASSERTIONS, method=POST, after_work=True),
    "502 before": Fault(ASSERTIONS, method=POST, status=502),
    "502 after": Fault(ASSERTIONS, method=POST, status=502, after_work=True),
    "504 after": Fault(ASSERTIONS, method=POST, status=504, after_work=True),
    "504 before": Fault(ASSERTIONS, method=POST, status=504),
    "503 with Retry-After": Fault(ASSERTIONS, method=POST, status=503, headers={"Retry-After": "1"}),
    "429": Fault(ASSERTIONS, method=POST, **THROTTLED),  # type: ignore[arg-type]
    "reset before": Fault(ASSERTIONS, "reset", POST),
    "reset after": Fault(ASSERTIONS, "reset", POST, after_work=True),
    "truncated answer": Fault(ASSERTIONS, "truncate", POST, after_work=True),
    "HTML with 200 before": Fault(ASSERTIONS, method=POST, status=200, body=HTML),
    "HTML with 201 after": Fault(ASSERTIONS, method=POST, status=201, body=HTML, after_work=True),
    "empty result after": Fault(ASSERTIONS, method=POST, status=201, body=EMPTY, after_work=True),
    "redirect to maintenance": Fault(ASSERTIONS, method=POST, status=302, headers={"Location": "/maintenance"}),
    "look-up fails": Fault(ASSERTIONS, method=GET),
    "look-up is nonsense": Fault(ASSERTIONS, method=GET, status=200, body=HTML),
    "timeout before": Fault(ASSERTIONS, "delay", POST, delay=5),
    "timeout after": Fault(ASSERTIONS, "delay", POST, after_work=True, delay=5),
    "timeout of the look-up": Fault(ASSERTIONS, "delay", GET, delay=5),
    "reset of the look-up": Fault(ASSERTIONS, "reset", GET),
    "truncated look-up": Fault(ASSERTIONS, "truncate", GET, after_work=True),
    "429 without a time": Fault(ASSERTIONS, method=POST, status=429, body="{}"),
    "429 of the look-up": Fault(ASSERTIONS, method=GET, status=429, body="{}"),
    "the token is refused": Fault(ASSERTIONS, method=POST, status=401, body="{}"),
    "JSON that is no envelope": Fault(ASSERTIONS, method=POST, status=201, body="[1]", after_work=True),
    "an error that names nothing": Fault(ASSERTIONS, method=POST, status=500, body="", after_work=True),
    "three failures in a row": Fault(ASSERTIONS, method=POST, after_work=False, times=3),
}


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A tool that does not wait long for Badgr."""
    with running_world(database_url, tmp_path, badgr_timeout_seconds=3) as world:
        yield world


@pytest.mark.parametrize("name", FAULTS)
def test_exactly_one_assertion(world: World, name: str) -> None:
    world.ready_course()
    world.badgr.faults.add(FAULTS[name])
    posted = world.grade(LEARNER, score=9)
    world.work()
    for _ in range(5):
        world.lms.outbox.wait(world.lms.outbox.send_again(posted.id).id)
        world.tick()
    award = world.award_of(LEARNER)
    (assertion,) = world.badgr.live_assertions(LEARNER_ADDRESS)
    assert (award.status, award.assertion_id) == (AwardStatus.ISSUED, assertion.entity_id)
    assert award.steps[0].kind == "opened"
    assert award.steps[-1].kind == "issued"
    assert assertion.entity_id in award.steps[-1].text


INVALID_GRANT = '{"error": "invalid_grant"}'


def withdraw(world: World) -> None:
    world.badgr.withdraw_all()


def lose_the_refresh(world: World) -> None:
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", "reset", after_work=True))


def fail_the_refresh(world: World) -> None:
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", status=500))


def lose_the_answer_and_the_grant(world: World) -> None:
    """The award is made, its answer lost, and nobody can look any more."""
    world.badgr.faults.add(Fault(ASSERTIONS, "delay", GET, delay=0))
    world.badgr.faults.add(Fault(ASSERTIONS, "reset", POST, after_work=True))
    world.badgr.faults.add(Fault(ASSERTIONS, method=GET, status=401, body="{}"))
    world.badgr.faults.add(Fault("/o/token", status=400, body=INVALID_GRANT))


def delete_the_badge_class(world: World) -> None:
    badge = next(b for b in world.badgr.badge_classes.values() if b.name == "Algebra I")
    world.badgr.badge_classes[badge.entity_id] = replace(badge, issuer_id="nowhere")


def leave_the_issuer(world: World) -> None:
    for issuer in world.badgr.issuers.values():
        issuer.staff.clear()


# What goes wrong, and what the award is until somebody has mended it.
MEANWHILE = {
    "the grant is withdrawn": (withdraw, AwardStatus.HELD),
    "the refresh is answered and lost": (lose_the_refresh, AwardStatus.PENDING),
    "the refresh fails": (fail_the_refresh, AwardStatus.PENDING),
    "the answer and the grant are lost": (lose_the_answer_and_the_grant, AwardStatus.HELD),
    "the badge class is deleted": (delete_the_badge_class, AwardStatus.FAILED),
    "the account leaves the issuer": (leave_the_issuer, AwardStatus.FAILED),
}


@pytest.mark.parametrize("name", MEANWHILE)
def test_exactly_one_assertion_after_somebody_has_mended_it(world: World, name: str) -> None:
    teacher = world.ready_course()
    go_wrong, until_then = MEANWHILE[name]
    before = {b.entity_id: b for b in world.badgr.badge_classes.values()}
    staff = {issuer.entity_id: dict(issuer.staff) for issuer in world.badgr.issuers.values()}
    go_wrong(world)
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is until_then
    world.badgr.badge_classes.update(before)
    for issuer in world.badgr.issuers.values():
        issuer.staff.update(staff[issuer.entity_id])
    world.tick()
    award = world.award_of(LEARNER)
    if award.status is AwardStatus.HELD:
        world.connect(teacher.open(world.course_url(teacher)))
    elif award.status is AwardStatus.FAILED:
        teacher.open(f"{world.course_url(teacher)}awards/{award.id}").submit("/retry")
    world.work()
    world.tick()
    award = world.award_of(LEARNER)
    (assertion,) = world.badgr.live_assertions(LEARNER_ADDRESS)
    assert (award.status, award.assertion_id) == (AwardStatus.ISSUED, assertion.entity_id)
    kinds = [step.kind for step in award.steps]
    assert (kinds[0], kinds[-1]) == ("opened", "issued")
    assert {"retry", "held", "failed"} & set(kinds)


def test_after_a_lost_answer_the_story_is_told(world: World) -> None:
    world.ready_course()
    world.badgr.faults.add(Fault(ASSERTIONS, "reset", POST, after_work=True))
    world.grade(LEARNER, score=9)
    world.work()
    assert "Badgr's answer got lost" in world.award_of(LEARNER).steps[-1].text


def test_while_one_worker_is_sending_another_keeps_away(world: World) -> None:
    world.ready_course()
    world.grade(LEARNER, score=9)
    now = datetime.now(UTC)
    world.badgr.faults.add(Fault(ASSERTIONS, "delay", POST, after_work=True, delay=2.0))
    with ThreadPoolExecutor(1) as first_worker:
        first = first_worker.submit(world.work)
        while not world.held_by(LEARNER_ADDRESS):
            time.sleep(0.02)
        seen = len(world.badgr.requests)
        assert delivery.deliver(world.tools, world.award_of(LEARNER).id, now) is None
        assert len(world.badgr.requests) == seen
        first.result()
    assert [step.kind for step in world.award_of(LEARNER).steps].count("sending") == 1


def test_a_worker_that_comes_too_late_does_not_write_over_the_outcome(world: World) -> None:
    world.ready_course()
    world.grade(LEARNER, score=9)
    # The first worker is so slow that its lease runs out; then Badgr's late answer is a refusal.
    world.badgr.faults.add(Fault(ASSERTIONS, method=POST, status=400, body="{}", delay=2.0))
    with ThreadPoolExecutor(1) as first_worker:
        first = first_worker.submit(world.work)
        while not world.badgr.faults.are_over:
            time.sleep(0.02)
        after_the_lease = datetime.now(UTC) + timedelta(seconds=world.tools.settings.delivery_lease_seconds + 1)
        assert delivery.deliver(world.tools, world.award_of(LEARNER).id, after_the_lease) is AwardStatus.ISSUED
        first.result()
    award = world.award_of(LEARNER)
    assert (award.status, award.steps[-1].kind) == (AwardStatus.ISSUED, "issued")
    assert len(world.badgr.live_assertions(LEARNER_ADDRESS)) == 1


def test_a_badge_that_is_there_already_is_not_sent_again(world: World) -> None:
    teacher = world.ready_course()
    badge = next(b for b in world.badgr.badge_classes.values() if b.name == "Algebra I")
    by_hand = next(a for a in world.badgr.live_assertions() if a.badge_class_id == badge.entity_id)
    by_hand.recipient.identity = LEARNER_ADDRESS
    world.grade(LEARNER, score=9)
    world.work()
    assert len(world.badgr.live_assertions(LEARNER_ADDRESS)) == 1
    award = world.award_of(LEARNER)
    assert award.assertion_id == by_hand.entity_id
    teacher.open(f"{world.course_url(teacher)}awards/{award.id}")
    assert "Badgr already has it; nothing was sent." in teacher.text


def test_a_refusal_for_good_says_why_and_can_be_sent_again(world: World) -> None:
    teacher = world.ready_course()
    refusal = (
        '{"status":{"success":false,"description":"bad request"},"result":[],'
        '"fieldErrors":{"recipient":{"non_field_errors":["Enter a valid email address."]}},"validationErrors":[]}'
    )
    world.badgr.faults.add(Fault(ASSERTIONS, method=POST, status=400, body=refusal))
    world.grade(LEARNER, score=9)
    world.work()
    world.tick()
    award = world.award_of(LEARNER)
    assert award.status is AwardStatus.FAILED
    assert "Not accepted by Badgr (1 award)" in teacher.open(world.course_url(teacher)).text
    teacher.open(f"{world.course_url(teacher)}awards/{award.id}")
    assert "Enter a valid email address." in teacher.text
    teacher.submit("/retry")
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_a_badge_class_that_is_gone_is_explained(world: World) -> None:
    world.ready_course()
    gone = next(b for b in world.badgr.badge_classes.values() if b.name == "Algebra I")
    world.badgr.badge_classes[gone.entity_id].issuer_id = "elsewhere"
    world.grade(LEARNER, score=9)
    world.work()
    award = world.award_of(LEARNER)
    assert award.status is AwardStatus.FAILED
    assert "may not use it" in (award.advice or "")


def test_the_address_is_sent_in_lower_case_and_found_with_a_plus(world: World) -> None:
    _, member = world.lms.member(BIOLOGY, LEARNER)
    world.lms.enrol(BIOLOGY, replace(member, person=replace(member.person, email="Lea+Badges@Example.ORG")))
    world.ready_course()
    world.badgr.faults.add(Fault(ASSERTIONS, "reset", POST, after_work=True))
    world.grade(LEARNER, score=9)
    world.work()
    world.tick()
    assert world.held_by("lea+badges@example.org") == ["Algebra I"]
    assert world.award_of(LEARNER).status is AwardStatus.ISSUED


def test_a_badge_that_is_over_when_it_is_sent_is_found_again_after_a_lost_answer(world: World) -> None:
    world.ready_course(badge="First Aid")
    world.grade(LEARNER, score=9)
    # Only the event is worked on yet; the award waits in the queue.
    world.queue.huey.execute(world.queue.huey.dequeue())
    # It was achieved long ago, and is good for a year.
    with world.tools.database.write() as session:
        session.execute(update(Award).values(achieved_at=datetime(2020, 1, 1, tzinfo=UTC)))
        session.commit()
    world.badgr.faults.add(Fault(ASSERTIONS, "reset", POST, after_work=True))
    world.work()
    world.tick()
    (made,) = [a for a in world.badgr.assertions.values() if a.recipient.identity == LEARNER_ADDRESS]
    award = world.award_of(LEARNER)
    assert (award.status, award.assertion_id) == (AwardStatus.ISSUED, made.entity_id)
    assert made.expires is not None
    assert made.expires.year == 2021
