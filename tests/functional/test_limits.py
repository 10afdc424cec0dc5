"""How much is asked of a Badgr server at once, and how it is left alone when it asks for that."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from lti_tool.badgr.errors import (
    BadgrError,
    InvalidRequestError,
    NotFoundError,
    ServerFaultError,
    SignInRefusedError,
    SignInThrottledError,
    ThrottledError,
    UnreachableError,
)
from lti_tool.models import AwardStatus, BadgrServer
from lti_tool.sandbox.badgr import Fault
from lti_tool.services import revocation, throttle
from tests.functional.test_accounts import root
from tests.world import CLOSE, LEARNER, World

LISTING = "/assertions$"
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def server(world: World) -> BadgrServer:
    with world.tools.database.read() as session:
        return session.scalars(select(BadgrServer)).one()


def change(world: World, **values: object) -> None:
    with world.tools.database.write() as session:
        session.execute(update(BadgrServer).values(**values))
        session.commit()


def note(world: World, *errors: BadgrError | None) -> BadgrServer:
    for error in errors:
        throttle.note(world.tools, server(world).id, error, NOW)
    return server(world)


TROUBLE = UnreachableError("x")


@pytest.mark.parametrize(("asked", "kept"), [(3000.0, 3000), (7200.0, 3600), (None, 30)])
def test_a_wait_is_kept_as_long_as_it_was_asked_for(world: World, asked: float | None, kept: int) -> None:
    after = note(world, ThrottledError("x", retry_after=asked))
    assert after.asked_until == NOW + timedelta(seconds=kept)
    assert throttle.left_alone_until(after, NOW) == after.asked_until


def test_no_success_of_anybody_ends_a_wait(world: World) -> None:
    after = note(world, TROUBLE, ThrottledError("x", retry_after=300), ThrottledError("x", retry_after=10), None)
    assert (after.failures, after.asked_until) == (0, NOW + timedelta(seconds=300))


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (SignInThrottledError("x", retry_after=5), 5),
        (SignInRefusedError("x", retry_after=300), 5),
        (ThrottledError("x", retry_after=5), 5),
        (TROUBLE, 6),
        (NotFoundError("x"), 0),
        (InvalidRequestError("x"), 0),
        (None, 0),
    ],
)
def test_only_an_answer_of_the_api_shows_that_it_is_back(world: World, error: BadgrError | None, failures: int) -> None:
    after = note(world, *[TROUBLE] * 5, error)
    assert after.failures == failures
    assert (after.closed_until is None) == (failures == 0)


def test_a_wait_of_a_server_under_maintenance_is_everybodys(world: World) -> None:
    assert note(world, ServerFaultError("x", status=503)).asked_until is None
    change(world, failures=0)
    world.ready_course()
    world.badgr.faults.add(Fault(LISTING, method="GET", status=503, body="{}", headers={"Retry-After": "300"}))
    world.grade(LEARNER, score=9)
    world.work()
    before = len(world.badgr.requests)
    world.grade(CLOSE, score=9)
    world.work()
    assert len(world.badgr.requests) == before
    assert "It has asked to be left alone" in root(world).open(f"{world.tool_url}/admin/badgr/").text
    world.tick()
    assert world.award_of(CLOSE).status is AwardStatus.ISSUED


# -- revocations --


def two_revocations(world: World) -> list[int]:
    world.ready_course()
    for sub in (LEARNER, CLOSE):
        world.grade(sub, score=9)
    world.work()
    found = [world.award_of(sub).id for sub in (LEARNER, CLOSE)]
    for award_id in found:
        revocation.request(world.tools, 1, award_id, "Copied", "Terry", datetime.now(UTC))
    return found


def test_a_revocation_takes_a_place_in_the_minute(world: World) -> None:
    change(world, max_per_minute=100)
    first, second = two_revocations(world)
    change(world, max_per_minute=1, minute_started_at=datetime.now(UTC), sent_in_minute=0)
    assert revocation.revoke(world.tools, first, datetime.now(UTC)) is AwardStatus.REVOKED
    before = len(world.badgr.requests)
    assert revocation.revoke(world.tools, second, datetime.now(UTC)) is None
    assert len(world.badgr.requests) == before
    world.tick()
    assert world.award_of(CLOSE).status is AwardStatus.REVOKED


def test_one_revocation_at_a_time_tries_whether_a_server_is_back(world: World) -> None:
    ids = two_revocations(world)
    change(world, failures=7)
    world.badgr.faults.add(Fault("/v2/assertions/", "delay", delay=1, times=9))

    def revoke(award_id: int) -> AwardStatus | None:
        return revocation.revoke(world.tools, award_id, datetime.now(UTC))

    with ThreadPoolExecutor(2) as workers:
        assert sorted(map(str, workers.map(revoke, ids))) == ["None", "revoked"]
