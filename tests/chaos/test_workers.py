"""Workers as real processes: killed in the worst moment, several at once; still exactly one assertion."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from lti_tool.models import AwardStatus, Connection
from lti_tool.sandbox.badgr import Fault
from tests.world import LEARNER, LEARNER_ADDRESS, World, running_world

LEASE_SECONDS = 2
PATIENCE_SECONDS = 60


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with running_world(database_url, tmp_path, delivery_lease_seconds=LEASE_SECONDS) as world:
        yield world


@contextmanager
def worker(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """`lti-badges worker` on the queue and the database of this world."""
    settings = world.tools.settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LTI_BADGES_")} | {
        "LTI_BADGES_BASE_URL": settings.base_url,
        "LTI_BADGES_DATABASE_URL": settings.database_url,
        "LTI_BADGES_QUEUE_URL": settings.queue_url,
        "LTI_BADGES_SECRET_KEYS": settings.secret_keys[0].get_secret_value(),
        "LTI_BADGES_ALLOW_PRIVATE_ADDRESSES": "true",
        "LTI_BADGES_DELIVERY_LEASE_SECONDS": str(LEASE_SECONDS),
        "LTI_BADGES_LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen([sys.executable, "-m", "lti_tool", "worker"], env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, f"this did not happen in time: {what}"
        time.sleep(0.05)


def is_issued(world: World) -> bool:
    return world.award_of(LEARNER).status is AwardStatus.ISSUED


# Where the first worker is killed: each time Badgr is slow enough for that.
MOMENTS = {
    "while it looks whether the badge is there": Fault("/assertions$", "delay", "GET", delay=30),
    "before Badgr has awarded": Fault("/assertions$", "delay", "POST", delay=30),
    "between Badgr's answer and our record": Fault("/assertions$", "delay", "POST", after_work=True, delay=30),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_is_killed(world: World, moment: str) -> None:
    world.ready_course()
    world.badgr.faults.add(MOMENTS[moment])
    with worker(world) as first:
        world.grade(LEARNER, score=10)
        wait_for(lambda: world.badgr.faults.struck > 0, "the first worker waits for Badgr")
        first.kill()
        first.wait()
    assert world.award_of(LEARNER).status is AwardStatus.SENDING
    had_it = bool(world.held_by(LEARNER_ADDRESS))
    time.sleep(LEASE_SECONDS)
    with worker(world):
        wait_for(lambda: is_issued(world), "the second worker finishes the award")
    (assertion,) = world.badgr.live_assertions(LEARNER_ADDRESS)
    award = world.award_of(LEARNER)
    assert award.assertion_id == assertion.entity_id
    assert had_it == ("Badgr already has it; nothing was sent." in award.steps[-1].text)


def test_a_worker_is_killed_while_it_renews_the_connection(world: World) -> None:
    teacher = world.ready_course()
    world.badgr.end_access_tokens()
    with world.tools.database.write() as session:
        # Nothing else is due at Badgr: it is the award that needs a new token.
        session.execute(update(Connection).values(changes_checked_at=datetime.now(UTC)))
        session.commit()
    world.badgr.faults.add(Fault("/o/token", "delay", "POST", after_work=True, delay=30))
    with worker(world) as first:
        world.grade(LEARNER, score=10)
        wait_for(lambda: world.badgr.faults.struck > 0, "the first worker waits for Badgr")
        first.kill()
        first.wait()
    # The new tokens are lost with the worker, and the old ones are used up: somebody has to connect again.
    with world.tools.database.write() as session:
        session.execute(update(Connection).values(refresh_lease_until=None))
        session.commit()
    time.sleep(LEASE_SECONDS)
    with worker(world):
        wait_for(lambda: world.award_of(LEARNER).status is AwardStatus.HELD, "the second worker finds out")
        world.connect(teacher.open(world.course_url(teacher)))
        wait_for(lambda: is_issued(world), "it goes on where it stopped")
    assert len(world.badgr.live_assertions(LEARNER_ADDRESS)) == 1


@pytest.mark.parametrize("after_work", [True, False])
def test_a_worker_is_killed_while_it_revokes(world: World, after_work: bool) -> None:
    teacher = world.ready_course()
    world.grade(LEARNER, score=10)
    world.work()
    award = world.award_of(LEARNER)
    teacher.open(f"{world.course_url(teacher)}awards/{award.id}").submit("/revoke", {"reason": "Wrong person"})
    world.badgr.faults.add(Fault("/v2/assertions/", "delay", "DELETE", after_work=after_work, delay=30))
    with worker(world) as first:
        wait_for(lambda: world.badgr.faults.struck > 0, "the first worker waits for Badgr")
        first.kill()
        first.wait()
    # Where Badgr has done it, another thread of the worker may have read so in the feed of changes.
    known = {AwardStatus.REVOKING, AwardStatus.REVOKED} if after_work else {AwardStatus.REVOKING}
    assert world.award_of(LEARNER).status in known
    time.sleep(LEASE_SECONDS)
    with worker(world):
        wait_for(lambda: world.award_of(LEARNER).status is AwardStatus.REVOKED, "the second worker finishes it")
    assert world.held_by(LEARNER_ADDRESS) == []
    assert world.badgr.assertions[award.assertion_id or ""].revocation_reason == "Wrong person"


def test_a_worker_killed_in_the_middle_of_an_event(world: World) -> None:
    world.ready_course()
    with worker(world) as first:
        wait_for(lambda: world.queue.huey.pending_count() == 0, "the worker is up")
        first.kill()
        first.wait()
    world.grade(LEARNER, score=10)
    # The message is lost with the worker that took it; the row is not.
    world.queue.huey.flush()
    with worker(world):
        wait_for(lambda: bool(world.held_by(LEARNER_ADDRESS)), "the sweep finds the event")
        wait_for(lambda: is_issued(world), "the award is recorded")
    assert len(world.badgr.live_assertions(LEARNER_ADDRESS)) == 1


def test_three_workers_and_every_webhook_three_times(world: World) -> None:
    world.ready_course()
    learners = ["4", "7", "9", "10", "11", "12", "13", "14", "15"]
    deliveries = [world.lms.grade("2", sub, "quiz-1", score=9) for sub in learners]
    for delivery in deliveries:
        world.lms.outbox.wait(delivery.id)
    with worker(world), worker(world), worker(world):
        for delivery in deliveries * 2:
            world.lms.outbox.wait(world.lms.outbox.send_again(delivery.id).id)
            # As if every message came several times, too.
            world.queue.sweep()
        wait_for(lambda: len(world.badgr.live_assertions()) >= len(learners) + 2, "everybody has the badge")
        wait_for(lambda: all(world.award_of(sub).status is AwardStatus.ISSUED for sub in learners), "all recorded")
    addresses = [assertion.recipient.identity for assertion in world.badgr.live_assertions()]
    assert len(addresses) == len(set(addresses)) == len(learners) + 2
    for sub in learners:
        assert [step.kind for step in world.award_of(sub).steps].count("opened") == 1


def test_a_worker_told_to_stop_finishes_what_it_does(world: World) -> None:
    world.ready_course()
    world.badgr.faults.add(Fault("/assertions$", "delay", "POST", after_work=True, delay=1.5))
    with worker(world) as process:
        world.grade(LEARNER, score=10)
        wait_for(lambda: bool(world.held_by(LEARNER_ADDRESS)), "the worker reaches Badgr")
        process.terminate()
        process.wait(20)
    assert is_issued(world)
