"""Tokens that are renewed, refused and given back while several people and processes are at it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from lti_tool import http as outside
from lti_tool.badgr import client
from lti_tool.errors import InvalidInputError
from lti_tool.models import AwardStatus, Backpack, Connection, TokenWait
from lti_tool.sandbox.badgr import BadgrConfig, Fault
from lti_tool.services import backpacks, badge_hosts, badgr_servers, connections
from lti_tool.services.badgr_servers import BadgrServerData
from tests.functional.test_learners_own import connect as connect_own
from tests.functional.test_learners_own import connect_tab
from tests.world import LEARNER, LEARNER_ADDRESS, TEACHER, World, running_world

REFUSED = '{"error": "invalid_grant"}'
THROTTLED = '{"error_description": "Too many", "error": "login attempts throttled", "expires": 600}'


def connection(world: World) -> Connection:
    with world.tools.database.read() as session:
        return session.scalars(select(Connection)).one()


def change(world: World, **values: object) -> None:
    with world.tools.database.write() as session:
        session.execute(update(Connection).values(**values))
        session.commit()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def working(world: World) -> Iterator[None]:
    """Work in another thread, as another process would."""
    with ThreadPoolExecutor(1) as other:
        running = other.submit(world.work)
        yield
        running.result()


def test_workers_that_are_refused_together_renew_once(world: World) -> None:
    world.ready_course()
    world.badgr.end_access_tokens()
    refused, before = world.tools.vault.open(connection(world).sealed_access_token), world.token_calls()
    world.badgr.faults.add(Fault("/o/token", "delay", after_work=True, delay=0.3))

    def renew(_: int) -> str:
        return connections.access_token(world.tools, connection(world).id, datetime.now(UTC), refused=refused)

    with ThreadPoolExecutor(4) as workers:
        tokens = set(workers.map(renew, range(4)))
    assert tokens == {world.badgr.tokens[-1].access}
    assert world.token_calls() == before + 1
    # Who comes later with the refused token gets the present one, and asks nobody.
    assert renew(0) in tokens
    assert world.token_calls() == before + 1


def test_a_token_is_renewed_before_its_recorded_end(world: World) -> None:
    world.ready_course()
    before = world.token_calls()
    change(world, expires_at=datetime.now(UTC) + timedelta(minutes=4))
    world.grade(LEARNER, score=9)
    world.work()
    assert world.token_calls() == before + 1
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_a_refused_refresh_token_is_never_tried_again(world: World) -> None:
    world.ready_course()
    world.badgr.withdraw_all()
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.HELD
    before = world.token_calls()
    world.grade("9", score=10)
    world.tick()
    world.tick()
    assert world.token_calls() == before


def test_a_dead_connection_is_told_once_however_much_waits(world: World) -> None:
    teacher = world.ready_course()
    world.badgr.withdraw_all()
    for sub in (LEARNER, "9", "10"):
        world.grade(sub, score=10)
    world.work()
    page = teacher.open(world.course_url(teacher)).text
    assert page.count("The connection to Badgr has ended") == 1
    assert "Held: no Badgr connection" not in page
    world.connect(teacher)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == world.held_by("rosa@example.org") == ["Algebra I"]


def test_whoever_connects_again_while_the_old_grant_is_refused_stays_connected(world: World) -> None:
    teacher = world.ready_course()
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", status=400, body=REFUSED, delay=1))
    world.grade(LEARNER, score=9)
    with working(world):
        wait_for(lambda: world.badgr.faults.are_over)
        world.connect(teacher.open(world.course_url(teacher) + "connections/"))
    assert connection(world).is_alive
    world.tick()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_disconnecting_in_the_middle_of_a_renewal_leaves_no_token_behind(world: World) -> None:
    teacher = world.ready_course()
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", "delay", after_work=True, delay=4))
    known = len(world.badgr.tokens)
    world.grade(LEARNER, score=9)
    with working(world):
        wait_for(lambda: len(world.badgr.tokens) > known)
        teacher.open(world.course_url(teacher) + "connections/").submit("/disconnect")
    assert connection(world).sealed_refresh_token is None
    assert world.badgr.tokens[-1].refresh_revoked
    assert world.award_of(LEARNER).status is AwardStatus.HELD


def test_nobody_takes_over_a_renewal_whose_answer_may_still_come() -> None:
    longest = connections.CONNECT_SECONDS + sum(client.TIMEOUT) + outside.LONGEST_ANSWER
    assert connections.LEASE.total_seconds() > longest


def test_an_answer_that_came_too_late_revives_what_was_given_up_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LEASE", timedelta(seconds=0.3))
    world.ready_course()
    world.badgr.end_access_tokens()
    token, known = world.tools.vault.open(connection(world).sealed_access_token), len(world.badgr.tokens)
    world.badgr.faults.add(Fault("/o/token", "delay", after_work=True, delay=2))

    def renew() -> str:
        return connections.access_token(world.tools, connection(world).id, datetime.now(UTC), refused=token)

    with ThreadPoolExecutor(1) as slow:
        first = slow.submit(renew)
        wait_for(lambda: len(world.badgr.tokens) > known)
        wait_for(
            lambda: (connection(world).refresh_lease_until or datetime.max.replace(tzinfo=UTC)) < datetime.now(UTC)
        )
        with pytest.raises(connections.ConnectionDeadError):
            renew()
        world.grade(LEARNER, score=9)
        world.work()
        assert world.award_of(LEARNER).status is AwardStatus.HELD
        assert first.result() == world.badgr.tokens[-1].access
    assert connection(world).is_alive
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_a_refresh_that_the_fork_refuses_ends_the_connection(world: World) -> None:
    teacher = world.ready_course()
    world.badgr.end_access_tokens()
    before = world.token_calls()
    world.badgr.faults.add(Fault("/o/token", status=401, times=9, body='{"error": "Token refresh failed!"}'))
    world.grade(LEARNER, score=9)
    world.work()
    world.tick()
    assert world.token_calls() == before + 1
    assert "The connection to Badgr has ended" in teacher.open(world.course_url(teacher)).text


def test_a_wait_of_the_token_address_holds_for_every_key_and_every_learner_there(world: World) -> None:
    world.ready_course()
    learner = connect_own(world, world.launch(LEARNER))
    config = BadgrConfig()
    second = BadgrServerData("Second key", world.badgr_url, world.badgr_url, config.client_id, config.client_secret)
    badgr_servers.save(world.tools, second, datetime.now(UTC), check=False)
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", status=429, body=THROTTLED))
    world.grade(LEARNER, score=9)
    world.work()
    with world.tools.database.read() as session:
        assert [wait.origin for wait in session.scalars(select(TokenWait))] == [world.badgr_url]
    before = world.token_calls()
    learner.follow("/accounts/")
    assert (learner.status, "asked us to wait" in learner.text) == (502, True)
    assert "asked us to wait" in world.connect(world.launch(TEACHER, "3")).text
    assert world.token_calls() == before
    with world.tools.database.read() as session:
        assert session.scalars(select(Backpack)).one().dead_since is None


# -- a grant that cannot be renewed --


def test_a_token_that_cannot_be_renewed_is_used_until_it_is_refused(world: World) -> None:
    teacher = world.ready_course()
    change(world, sealed_refresh_token=None, expires_at=datetime.now(UTC) - timedelta(minutes=1))
    world.grade(LEARNER, score=9)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    world.badgr.end_access_tokens()
    world.grade("9", score=10)
    world.work()
    assert not connection(world).is_alive
    assert "The connection to Badgr has ended" in teacher.open(world.course_url(teacher)).text


def test_a_grant_without_a_refresh_token_is_ended_by_its_access_token(world: World) -> None:
    teacher = world.ready_course()
    change(world, sealed_refresh_token=None)
    teacher.open(world.course_url(teacher) + "connections/").submit("/disconnect")
    assert world.badgr.tokens[-1].access_revoked


# -- too few rights --


@pytest.fixture
def meagre(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A Badgr that tells this tool who somebody is, and nothing else."""
    config = BadgrConfig(scopes=("r:profile",), token_backoff=False)
    with running_world(database_url, tmp_path, badgr=config) as world:
        yield world


def test_a_grant_with_too_few_rights_is_given_back(meagre: World) -> None:
    assert "missing: rw:issuer" in meagre.connect(meagre.launch(TEACHER)).text
    assert meagre.badgr.tokens[-1].refresh_revoked


def test_a_learner_is_told_of_too_few_rights_at_once(meagre: World) -> None:
    tab = connect_tab(meagre, meagre.launch(LEARNER)).submit("/badgr/begin")
    user = next(user for user in meagre.badgr.users.values() if user.name == "Lea Learner")
    tab.submit(None, {"user": user.entity_id}, ("decision", "allow"))
    assert "missing: r:backpack, rw:backpack" in tab.text
    with meagre.tools.database.read() as session:
        assert session.scalars(select(Backpack)).all() == []


# -- learners' own accounts --


def test_two_tabs_of_a_learner_renew_once(world: World) -> None:
    connect_own(world, world.launch(LEARNER))
    with world.tools.database.read() as session:
        backpack = session.scalars(select(Backpack)).one()
    world.badgr.end_access_tokens()
    before = world.token_calls()
    # The second comes when the first has used the refresh token up and does not have the answer yet.
    world.badgr.faults.add(Fault("/o/token", "delay", after_work=True, delay=0.5))

    def look(_: int) -> int:
        return len(backpacks.badges(world.tools, backpack.person_id, backpack.id, datetime.now(UTC)))

    with ThreadPoolExecutor(3) as tabs:
        list(tabs.map(look, range(3)))
    assert world.token_calls() == before + 1
    with world.tools.database.read() as session:
        assert session.scalars(select(Backpack)).one().dead_since is None


@pytest.mark.parametrize("address", ["http://badges.example.org", "ftp://badges.example.org", "badges.example.org"])
def test_a_badge_host_without_https_is_refused(world: World, address: str) -> None:
    public = world.tools.settings.model_copy(update={"allow_private_addresses": False})
    tools = replace(world.tools, settings=public)
    with pytest.raises(InvalidInputError, match=r"^address: must"):
        badge_hosts.enter(tools, address, f"{world.tool_url}/badgr/callback", datetime.now(UTC))
