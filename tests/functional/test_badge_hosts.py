"""Hosts that learners enter by themselves: registered with once and anew, taken at their word for themselves only."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from lti_tool.errors import InvalidInputError
from lti_tool.models import Backpack, BadgeHost, BadgrServer, Connection
from lti_tool.sandbox.badgr import Fault
from lti_tool.sandbox.badgr.state import BadgrState
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import badge_hosts, badgr_servers
from tests.functional.test_accounts import root
from tests.functional.test_learners_own import allow, awarded, connect, connect_tab, host
from tests.http_server import AnsweringServer, json_answer
from tests.world import CLOSE, LEARNER, World

__all__ = ["host"]

THROTTLED = '{"error": "login attempts throttled", "expires": 600}'


@pytest.fixture
def stranger() -> Iterator[AnsweringServer]:
    """A host that somebody runs to get at what others allow."""
    server = AnsweringServer()
    server.answers["/register"] = json_answer({"client_id": "c", "client_secret": "s"}, 201)
    yield server
    server.stop()


def manifest(server: AnsweringServer, **addresses: str) -> None:
    own = {"apiBase": server.url, "tokenUrl": f"{server.url}/token", "registrationUrl": f"{server.url}/register"}
    told = {"name": "Badges", "authorizationUrl": f"{server.url}/authorize"} | own | addresses
    server.answers["/.well-known/badgeconnect.json"] = json_answer({"badgeConnectAPI": [told]})


def begin(world: World, url: str, sub: str = LEARNER) -> Visitor:
    return connect_tab(world, world.launch(sub)).submit("/badgr/begin", {"host": url})


def hosts(world: World) -> list[BadgeHost]:
    with world.tools.database.read() as session:
        return list(session.scalars(select(BadgeHost)))


def change(world: World, **values: object) -> None:
    with world.tools.database.write() as session:
        session.execute(update(BadgeHost).values(**values))
        session.commit()


# -- whom the host speaks for --


@pytest.mark.parametrize("name", ["apiBase", "tokenUrl", "registrationUrl"])
def test_a_host_that_sends_to_another_is_not_followed(world: World, stranger: AnsweringServer, name: str) -> None:
    awarded(world)
    manifest(stranger, **{name: f"{world.lms_url}/x"})
    tab = begin(world, stranger.url)
    assert (tab.status, "sends to another address" in tab.text) == (400, True)
    assert stranger.count("/register") == 0
    assert hosts(world) == []


def test_nobody_gets_what_is_allowed_at_a_known_server(world: World, stranger: AnsweringServer) -> None:
    # Anybody can register at Badgr in the name of this tool; the code would go to whoever did (RFC 9700 §4.4).
    awarded(world)
    manifest(stranger, authorizationUrl=f"{world.badgr_url}/auth/oauth2/authorize")
    tab = begin(world, stranger.url)
    assert (tab.status, "to which it does not belong" in tab.text) == (400, True)
    assert hosts(world) == []


@pytest.mark.parametrize("consent", ["https://badgr.com/auth/oauth2/authorize", "https://badges.parchment.com/x"])
def test_nor_at_a_hosted_region(world: World, stranger: AnsweringServer, consent: str) -> None:
    manifest(stranger, authorizationUrl=consent)
    with pytest.raises(InvalidInputError, match="does not belong"):
        badge_hosts.enter(world.tools, stranger.url, f"{world.tool_url}/badgr/callback", datetime.now(UTC))


def test_both_addresses_are_named_and_two_of_them_are_warned_of(world: World, stranger: AnsweringServer) -> None:
    awarded(world)
    manifest(stranger)
    own = stranger.url.removeprefix("http://")
    tab = begin(world, stranger.url)
    assert f"added at {own}" in tab.text
    assert "two different addresses" not in tab.text
    manifest(stranger, authorizationUrl="https://consent.example/authorize")
    tab = begin(world, stranger.url)
    assert "allow it at consent.example" in tab.text
    assert f"added at {own}" in tab.text
    assert "two different addresses" in tab.text


# -- a registration that is of no use any more --


def test_the_registration_signs_in_by_a_header(world: World, host: tuple[str, BadgrState]) -> None:
    url, state = host
    connect(world, awarded(world), url, state)
    assert hosts(world)[0].auth_method == "client_secret_basic"
    assert hosts(world)[0].redirect_uri == f"{world.tool_url}/badgr/callback"


@pytest.mark.parametrize(
    "values",
    [
        {"secret_ends_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"redirect_uri": "https://before.example.org/badgr/callback"},
        {"token_url": "https://before.example.org/token"},
    ],
)
def test_what_has_ended_or_moved_is_registered_anew(
    world: World, host: tuple[str, BadgrState], values: dict[str, object]
) -> None:
    url, state = host
    learner = connect(world, awarded(world), url, state)
    change(world, **values)
    connect(world, learner, url, state)
    assert len(state.clients) == 2
    assert hosts(world)[0].client_id == list(state.clients)[-1]
    learner.follow("/accounts/")
    assert learner.status == 200


def test_what_was_registered_before_is_used_on(world: World, host: tuple[str, BadgrState]) -> None:
    url, state = host
    connect(world, awarded(world), url, state)
    change(world, redirect_uri=None, auth_method="client_secret_post")
    connect(world, world.launch("9"), url, state)
    assert len(state.clients) == 1


def test_a_host_that_has_forgotten_the_tool_is_asked_and_registered_with_again(
    world: World, host: tuple[str, BadgrState]
) -> None:
    url, state = host
    learner = connect(world, awarded(world), url, state)
    again = "It says that it does not know this tool"
    # As long as it knows the tool nothing is made anew, whatever anybody says.
    tab = connect_tab(world, learner).submit("/badgr/begin", {"host": url})
    tab.submit("/badgr/begin", None, ("again", "yes"))
    assert len(state.clients) == 1
    state.clients.clear()
    assert again in tab.text
    tab.submit("/badgr/begin", None, ("again", "yes"))
    tab.open(tab.page.select_one("main a.button")["href"])
    assert "Connected" in allow(tab, state).text
    assert len(state.clients) == 1


def test_a_host_that_refuses_the_registration_is_registered_with_again(
    world: World, host: tuple[str, BadgrState]
) -> None:
    url, state = host
    learner = connect(world, awarded(world), url, state)
    state.clients.clear()
    state.end_access_tokens()
    learner.follow("/accounts/")
    assert "It is not connected any more" in learner.text
    connect(world, learner, url, state)
    assert len(state.clients) == 1
    learner.follow("/accounts/")
    assert learner.status == 200


def test_an_administrator_removes_a_host_with_its_accounts(world: World, host: tuple[str, BadgrState]) -> None:
    url, state = host
    learner = connect(world, awarded(world), url, state)
    admin = root(world).open(f"{world.tool_url}/admin/badgr/")
    assert "1 account of learners" in admin.text
    admin.submit("/remove")
    assert hosts(world) == []
    with world.tools.database.read() as session:
        assert session.scalars(select(Backpack)).all() == []
    assert "No account is connected" in learner.open(learner.url).text
    connect(world, learner, url, state)
    assert len(hosts(world)) == 1


# -- waits at the token address --


def test_a_wait_holds_for_a_host_and_a_server_at_one_address(world: World) -> None:
    learner = connect(world, awarded(world), world.badgr_url, world.badgr)
    world.badgr.end_access_tokens()
    world.badgr.faults.add(Fault("/o/token", status=429, body=THROTTLED))
    learner.follow("/accounts/")
    before = world.token_calls()
    world.grade(CLOSE, score=9)
    world.work()
    assert world.token_calls() == before
    with world.tools.database.read() as session:
        assert session.scalars(select(Connection)).one().is_alive


def test_trying_a_key_respects_a_wait_and_notes_one(world: World) -> None:
    with world.tools.database.read() as session:
        server_id = session.scalars(select(BadgrServer.id)).one()
    now = datetime.now(UTC)
    world.badgr.faults.add(Fault("/o/token", status=429, body=THROTTLED))
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="left alone for 600 seconds"):
            badgr_servers.try_key(world.tools, server_id, now)
    assert world.token_calls() == 1
    badgr_servers.try_key(world.tools, server_id, now + timedelta(seconds=601))
