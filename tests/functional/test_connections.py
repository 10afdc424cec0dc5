"""The connection to Badgr: consent, tokens, refresh, and everything that goes wrong with them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from lti_tool.models import Connection
from lti_tool.sandbox.badgr import BadgrConfig, Fault
from lti_tool.sandbox.visitor import Visitor
from tests.world import LEARNER, LEARNER_ADDRESS, TEACHER, World, running_world


def connection(world: World) -> Connection:
    with world.tools.database.read() as session:
        return session.scalars(select(Connection)).one()


def test_tokens_are_sealed(world: World) -> None:
    world.ready_course()
    pair = world.badgr.tokens[-1]
    with world.tools.database.read() as session:
        stored = str(session.execute(text("select * from connection")).all())
        servers = str(session.execute(text("select * from badgr_server")).all())
    assert pair.access not in stored
    assert pair.refresh not in stored
    assert world.badgr.config.client_secret not in servers
    assert world.tools.vault.open(connection(world).sealed_access_token) == pair.access


def test_an_access_token_that_has_ended_is_refreshed(world: World) -> None:
    world.ready_course()
    world.badgr.end_access_tokens()
    before = world.token_calls()
    world.grade(LEARNER, score=10)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    assert world.token_calls() == before + 1
    assert world.tools.vault.open(connection(world).sealed_access_token) == world.badgr.tokens[-1].access


def test_a_refresh_that_fails_for_a_while_is_tried_again(world: World) -> None:
    world.ready_course()
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", status=503))
    world.grade(LEARNER, score=10)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == []
    assert connection(world).is_alive
    world.tick()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_a_refresh_whose_answer_is_lost_ends_the_connection(world: World) -> None:
    # Badgr has rotated the token and we did not get the new one: only a person can mend that (BADGR.md §1.4).
    world.ready_course()
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", "reset", after_work=True))
    world.grade(LEARNER, score=10)
    world.work()
    world.tick()
    assert not connection(world).is_alive
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    assert "The connection to Badgr has ended" not in teacher.open(teacher.url).text


def test_a_throttled_token_address_is_left_alone_until_it_said(world: World) -> None:
    world.ready_course()
    world.badgr.end_access_tokens()
    body = '{"error_description": "Too many", "error": "login attempts throttled", "expires": 600}'
    world.badgr.faults.add(Fault("/o/token", status=429, body=body))
    world.grade(LEARNER, score=10)
    world.work()
    before = world.token_calls()
    world.grade("9", score=10)
    world.work()
    assert world.token_calls() == before
    world.tick()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    assert world.held_by("rosa@example.org") == ["Algebra I"]


def test_an_answer_that_was_not_begun_here_is_refused(world: World) -> None:
    stranger = Visitor().open(f"{world.tool_url}/badgr/callback?code=x&state=y")
    assert stranger.status == 400
    assert "This answer was not expected" in stranger.text


def test_an_answer_counts_once(world: World) -> None:
    teacher = world.launch(TEACHER)
    tab = world.connect(teacher)
    assert "Connected" in tab.page.h1.text
    tab.open(tab.url)
    assert tab.status == 400


@pytest.mark.parametrize("ticket", ["", "nonsense", "WzEsMV0.aaaa.bbbb"])
def test_a_forged_ticket_is_refused(world: World, ticket: str) -> None:
    tab = Visitor().open(f"{world.tool_url}/badgr/connect?ticket={ticket}")
    assert tab.status == 400
    assert "This link has ended" in tab.text


def test_a_code_that_badgr_refuses_is_explained(world: World) -> None:
    teacher = world.launch(TEACHER)
    world.badgr.faults.add(Fault("/o/token", status=400, body='{"error": "invalid_grant"}'))
    tab = world.connect(teacher)
    assert tab.status == 502
    assert "Badgr did not complete the connection" in tab.text


@pytest.fixture
def meagre(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A Badgr that does not let this tool award."""
    config = BadgrConfig(scopes=("r:profile",), token_backoff=False)
    with running_world(database_url, tmp_path, badgr=config) as world:
        yield world


def test_too_few_rights_are_said_at_once(meagre: World) -> None:
    teacher = meagre.launch(TEACHER)
    tab = meagre.connect(teacher)
    assert "missing: rw:issuer" in tab.text
    assert "Connect to Badgr" in teacher.open(teacher.url).text


def test_a_staff_member_may_award(world: World) -> None:
    world.announce()
    teacher = world.launch(TEACHER)
    world.connect(teacher, user="Stan Staff")
    world.make_rule(teacher).submit("/activate")
    world.work()
    assert world.held_by("ola@example.org") == ["Algebra I"]


def test_an_account_without_issuers_is_told_what_to_do(world: World) -> None:
    teacher = world.launch(TEACHER)
    world.connect(teacher, user="Otto Outsider")
    world.badgr.issuers.clear()
    teacher.open(teacher.url).follow("/issuer")
    assert "This Badgr account is in no issuer" in teacher.text
