"""Codes that no server has given: nobody can make Badgr wait for everybody by sending them."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import delete

from lti_tool.models import TokenWait
from lti_tool.sandbox.badgr import BadgrConfig, Fault
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import sign_in_limits
from tests.functional.test_learners_own import allow, connect_tab
from tests.world import LEARNER, LEARNER_ADDRESS, World, running_world


@pytest.fixture
def strict(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A Badgr that makes everybody wait after refused codes, as the real one does."""
    with running_world(database_url, tmp_path, badgr=BadgrConfig(token_backoff=True)) as world:
        yield world


def send(world: World, code: str, bot: Visitor | None = None) -> Visitor:
    """Come back from the consent page of the public sign-in with this code."""
    bot = (bot or Visitor()).open(f"{world.tool_url}/my/").submit("/badgr/sign-in")
    state = parse_qs(urlsplit(bot.url).query)["state"][0]
    return bot.open(f"{world.tool_url}/badgr/callback?code={code}&state={state}")


def forget_waits(world: World) -> None:
    with world.tools.database.write() as session:
        session.execute(delete(TokenWait))
        session.commit()


def test_a_short_wait_is_not_waited_for_a_stranger(world: World) -> None:
    world.badgr.faults.add(Fault("/o/token", status=429, body='{"error": "login attempts throttled", "expires": 3}'))
    started = time.monotonic()
    tab = Visitor().open(f"{world.tool_url}/my/").submit("/badgr/sign-in")
    assert allow(tab, world.badgr).status == 502
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("code", ["", "%20", "%C3%A4", "x" * 4097])
def test_what_is_no_code_is_not_sent(world: World, code: str) -> None:
    before = world.token_calls()
    tab = send(world, code)
    assert (tab.status, "no code that could be used" in tab.text) == (400, True)
    assert world.token_calls() == before


def test_a_stranger_cannot_stop_the_awards(strict: World) -> None:
    strict.ready_course()
    strict.badgr.end_access_tokens()
    before = strict.token_calls()
    started = time.monotonic()
    for number in range(6):
        send(strict, f"forged-{number}")
        strict.badgr.backoffs.clear()
        forget_waits(strict)
    # Nobody is waited for in a thread that others need.
    assert time.monotonic() - started < 15
    assert send(strict, "forged").status == 409
    assert strict.token_calls() - before <= sign_in_limits.OF_ONE
    strict.grade(LEARNER, score=9)
    strict.work()
    strict.tick()
    assert strict.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_strangers_together_have_a_limit_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in_limits, "OF_ONE", 100)
    before = world.token_calls()
    answers = [send(world, f"forged-{number}").status for number in range(8)]
    assert answers == [502] * 6 + [409] * 2
    assert world.token_calls() - before == sign_in_limits.OF_STRANGERS
    # Whoever comes from a course has a limit of their own.
    learner = world.launch(LEARNER)
    tab = connect_tab(world, learner).submit("/badgr/begin")
    assert "Connected" in allow(tab, world.badgr).text


def test_who_is_let_in_and_what_badgr_itself_cannot_do_does_not_count(world: World) -> None:
    for status in (503, 503, 503, 503):
        world.badgr.faults.add(Fault("/o/token", status=status))
        assert send(world, "x").status == 502
    for _ in range(4):
        tab = Visitor().open(f"{world.tool_url}/my/").submit("/badgr/sign-in")
        assert "Signed in as" in allow(tab, world.badgr).text


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
    ],
)
def test_who_an_address_stands_for(address: str, network: str) -> None:
    assert sign_in_limits.network(address) == network
