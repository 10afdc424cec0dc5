"""Learners' own accounts: all badges in one place, the address that badges go to; and the page outside the LMS."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

from lti_tool.models import Award, Backpack, BadgeHost, LearnerVisit, Person
from lti_tool.sandbox.badgr import BadgrConfig, Fault, create_badgr
from lti_tool.sandbox.badgr.state import Assertion, BadgrState, Recipient
from lti_tool.sandbox.serving import LocalServer
from lti_tool.sandbox.visitor import Visitor
from tests.world import LEARNER, LEARNER_ADDRESS, TEACHER, World

OWN_ADDRESS = "lea@home.example.org"


def allow(tab: Visitor, state: BadgrState, name: str = "Lea Learner") -> Visitor:
    user = next(user for user in state.users.values() if user.name == name)
    return tab.submit(None, {"user": user.entity_id}, ("decision", "allow"))


def connect_tab(world: World, learner: Visitor) -> Visitor:
    """The tab behind "Connect an account" on the learner's page of accounts."""
    learner.open(f"{world.tool_url}/courses/1/mine/accounts")
    link = learner.page.select_one("a[href*='/badgr/connect']")["href"]
    return Visitor().open(str(learner.browser.absolute_url(link)))


def connect(world: World, learner: Visitor, host: str = "", state: BadgrState | None = None) -> Visitor:
    """Connect an own account; the learner is at the page of accounts then."""
    tab = connect_tab(world, learner).submit("/badgr/begin", {"host": host} if host else {})
    if host:
        tab.open(tab.page.select_one("main a.button")["href"])
    allow(tab, state or world.badgr)
    assert "Connected" in tab.text, tab.text
    return learner.open(learner.url)


def awarded(world: World) -> Visitor:
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    return world.launch(LEARNER)


def person(world: World, sub: str = LEARNER) -> Person:
    with world.tools.database.read() as session:
        return session.scalars(select(Person).where(Person.sub == sub)).one()


def give(world: World, address: str, badge: str = "Laboratory Safety") -> None:
    """Somebody awards a badge to this address outside of our tool."""
    given = next(b for b in world.badgr.badge_classes.values() if b.name == badge)
    made = Assertion(given.entity_id, Recipient(address), given.created_at, given.created_by)
    world.badgr.assertions[made.entity_id] = made


def test_badges_go_to_a_verified_address_of_ones_own(world: World) -> None:
    world.ready_course()
    learner = connect(world, world.launch(LEARNER))
    assert "verified in your account" in learner.text
    learner.submit("/address", {"address": OWN_ADDRESS})
    world.grade(LEARNER, score=9)
    world.work()
    assert world.held_by(OWN_ADDRESS) == ["Algebra I"]
    assert world.held_by(LEARNER_ADDRESS) == []


def test_a_badge_that_waits_for_an_address_goes_out_to_the_chosen_one(world: World) -> None:
    world.ready_course()
    world.grade("5", score=9)
    world.work()
    learner = connect(world, world.launch("5"))
    learner.submit("/address", {"address": OWN_ADDRESS})
    world.work()
    assert world.held_by(OWN_ADDRESS) == ["Algebra I"]


def test_another_address_later_makes_no_second_badge(world: World) -> None:
    learner = connect(world, awarded(world))
    learner.submit("/address", {"address": OWN_ADDRESS})
    world.grade(LEARNER, score=10)
    world.sweep()
    assert world.held_by(OWN_ADDRESS) == []
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


@pytest.mark.parametrize("address", ["somebody@else.example", OWN_ADDRESS.upper(), "owner@example.org"])
def test_only_verified_addresses_can_be_chosen(world: World, address: str) -> None:
    learner = connect(world, awarded(world))
    token = learner.page.select_one("input[name=csrf_token]")["value"]
    url = f"{world.tool_url}/courses/1/mine/address"
    assert learner.browser.post(url, data={"csrf_token": token, "address": address}).status_code == 400
    assert person(world).chosen_address is None


def test_an_account_without_a_verified_address_offers_none(world: World) -> None:
    learner = awarded(world)
    allow(connect_tab(world, learner).submit("/badgr/begin"), world.badgr, "Uma Unverified")
    assert "Uma Unverified" in learner.open(learner.url).text
    assert "unverified@example.org" not in learner.text


def test_all_badges_of_an_account_are_shown(world: World) -> None:
    learner = awarded(world)
    give(world, OWN_ADDRESS)
    connect(world, learner).follow("/accounts/")
    assert "Laboratory Safety" in learner.text
    assert "Loopback University" in learner.text


def test_disconnecting_forgets_the_account_and_its_address(world: World) -> None:
    world.ready_course()
    learner = connect(world, world.launch(LEARNER))
    learner.submit("/address", {"address": OWN_ADDRESS})
    learner.submit("/disconnect")
    assert person(world).chosen_address is None
    with world.tools.database.read() as session:
        assert session.scalars(select(Backpack)).all() == []
    assert world.badgr.tokens[-1].refresh_revoked


def test_an_access_token_that_has_ended_is_renewed_and_a_withdrawn_grant_is_said(world: World) -> None:
    learner = connect(world, awarded(world))
    world.badgr.end_access_tokens()
    learner.follow("/accounts/")
    assert learner.status == 200
    world.badgr.withdraw_all()
    learner.open(learner.url)
    assert "It is not connected any more" in learner.text
    assert learner.page.select_one("a[href*='/accounts/']") is None
    assert "No account is connected" in learner.submit("/disconnect").text


def test_an_address_of_two_accounts_stays_chosen_when_one_goes(world: World) -> None:
    learner = connect(world, awarded(world))
    learner.submit("/address", {"address": OWN_ADDRESS})
    with world.tools.database.write() as session:
        twin = session.scalars(select(Backpack)).one()
        named = {"user_name": "Twin", "addresses": twin.addresses, "sealed_access_token": twin.sealed_access_token}
        place = BadgeHost(
            manifest_url="https://other.example/m",
            name="Other",
            api_base="https://other.example",
            authorization_url="x",
            token_url="x",
            scopes=[],
            client_id="x",
            created_at=twin.created_at,
        )
        session.add(place)
        session.flush()
        moments = {"expires_at": twin.expires_at, "created_at": twin.created_at}
        session.add(Backpack(person_id=twin.person_id, host_id=place.id, **named, **moments))
        session.commit()
        first = twin.id
    learner.submit(f"/accounts/{first}/disconnect")
    assert person(world).chosen_address == OWN_ADDRESS


def test_somebody_elses_account_and_badge_are_out_of_reach(world: World) -> None:
    connect(world, awarded(world))
    other = connect(world, world.launch("9"))
    token = other.page.select_one("input[name=csrf_token]")["value"]
    mine = f"{world.tool_url}/courses/1/mine"
    with world.tools.database.read() as session:
        first, second = session.scalars(select(Backpack.id).order_by(Backpack.id)).all()
    assert other.open(f"{mine}/accounts/{first}").status == 404
    data = {"csrf_token": token, "account": str(second)}
    assert other.browser.post(f"{mine}/awards/{world.award_of(LEARNER).id}/push", data=data).status_code == 404
    assert other.browser.post(f"{mine}/accounts/{first}/disconnect", data=data).status_code == 404


# -- any host (Badge Connect) --


@pytest.fixture
def host() -> Iterator[tuple[str, BadgrState]]:
    """Another badge host, which the tool has never heard of: its address and what it remembers."""
    app = create_badgr(BadgrConfig(token_backoff=False, client_id="nobody"))
    with LocalServer(app) as server:
        yield server.url, app.extensions["sandbox_badgr"]


def test_a_host_is_discovered_registered_with_and_takes_a_badge(world: World, host: tuple[str, BadgrState]) -> None:
    url, state = host
    learner = awarded(world)
    connect(world, learner, url, state)
    client = next(iter(state.clients.values()))
    assert client.redirect_uris == (f"{world.tool_url}/badgr/callback",)
    # What any host says of addresses proves nothing.
    assert "verified in your account" not in learner.text
    learner.open(f"{world.tool_url}/courses/1/mine/").submit("/push")
    assert "The badge is in your account." in learner.text
    assert list(state.imported.values()) == [[world.award_of(LEARNER).open_badge_id]]
    learner.open(f"{world.tool_url}/courses/1/mine/accounts").follow("/accounts/")
    # The host names badge and issuer by their addresses only; both are shown all the same, with the proof.
    assert "Algebra I" in learner.text
    assert "Loopback University" in learner.text
    assert learner.page.select_one(f"a[href='{world.award_of(LEARNER).open_badge_id}']") is not None
    # Registered once, whoever comes next.
    connect(world, world.launch("9"), url, state)
    assert len(state.clients) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "javascript:alert(1)", "image": "javascript:alert(2)"}, "A badge"),
        ({"image": {"id": "https://images.example/1.png"}}, "https://images.example/1.png"),
        ({"badge": "http://127.0.0.1:9/gone"}, "A badge"),
        ({"badge": {"name": "Whole", "issuer": {"name": "Their School"}}}, "Their School"),
        ({"issuedOn": "yesterday"}, "cannot be understood"),
    ],
)
def test_what_a_host_tells_of_a_badge_harms_nobody(
    world: World, host: tuple[str, BadgrState], change: dict[str, object], said: str
) -> None:
    url, state = host
    learner = connect(world, world.launch(LEARNER), url, state)
    user = next(user for user in state.users.values() if user.name == "Lea Learner")
    state.imported[user.entity_id] = ["x"]
    state.pushed["x"] = {"id": "https://host.example/1", "type": "Assertion", "badge": None} | change
    learner.follow("/accounts/")
    assert learner.status in (200, 502)
    assert said in str(learner.page)
    assert "javascript:" not in str(learner.page)


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:9"])
def test_an_address_without_a_host_is_explained(world: World, address: str) -> None:
    tab = connect_tab(world, awarded(world)).submit("/badgr/begin", {"host": address})
    assert tab.status in (400, 502)
    with world.tools.database.read() as session:
        assert session.scalars(select(BadgeHost)).all() == []


def test_a_badge_goes_into_a_badgr_account_by_its_address(world: World) -> None:
    learner = connect(world, awarded(world))
    learner.open(f"{world.tool_url}/courses/1/mine/").submit("/push")
    assert list(world.badgr.imported.values()) == [[world.award_of(LEARNER).open_badge_id]]
    learner.open(f"{world.tool_url}/courses/1/mine/accounts").follow("/accounts/")
    assert "Algebra I" in learner.text


def push(world: World, learner: Visitor) -> Visitor:
    return learner.open(f"{world.tool_url}/courses/1/mine/").submit("/push")


def test_a_badge_that_is_there_already_is_there(world: World) -> None:
    learner = connect(world, awarded(world))
    for _ in range(2):
        assert "The badge is in your account." in push(world, learner).text
    assert list(world.badgr.imported.values()) == [[world.award_of(LEARNER).open_badge_id]]


@pytest.mark.parametrize("at_badgr", [True, False])
def test_a_revoked_badge_is_not_taken_along(world: World, host: tuple[str, BadgrState], at_badgr: bool) -> None:
    url, state = ("", world.badgr) if at_badgr else host
    learner = connect(world, awarded(world), url, state)
    world.badgr.assertions[world.award_of(LEARNER).assertion_id or ""].revoke("Cheated")
    push(world, learner)
    assert (learner.status, "this badge was revoked" in learner.text) == (409, True)
    assert state.imported == {}


@pytest.mark.parametrize("path", ["/v2/backpack/assertions", "/v2/backpack/import"])
def test_an_account_that_takes_no_token_at_all_has_ended(world: World, path: str) -> None:
    learner = connect(world, awarded(world))
    world.badgr.faults.add(Fault(path, status=401, times=2, body="{}"))
    if path.endswith("/import"):
        push(world, learner)
        assert "Connect it again." in learner.text
    else:
        learner.follow("/accounts/")
    assert learner.url.endswith("/mine/accounts")
    assert "It is not connected any more" in learner.text
    with world.tools.database.read() as session:
        assert session.scalars(select(Backpack)).one().dead_since is not None
    # Connecting it again is offered there, and enough.
    connect(world, learner).follow("/accounts/")
    assert learner.status == 200


def test_a_host_that_fails_says_so(world: World) -> None:
    learner = connect(world, awarded(world))
    world.badgr.faults.add(Fault("/v2/backpack/import", status=500))
    learner.open(f"{world.tool_url}/courses/1/mine/").submit("/push")
    assert learner.status in (502, 503)


# -- outside the LMS --


def sign_in(world: World, name: str = "Lea Learner") -> Visitor:
    tab = Visitor().open(f"{world.tool_url}/my/").submit("/badgr/sign-in")
    return allow(tab, world.badgr, name)


def test_own_badges_of_all_courses_are_shown_to_whoever_owns_the_address(world: World) -> None:
    awarded(world)
    with world.tools.database.write() as session:
        session.execute(update(Award).values(recipient=OWN_ADDRESS))
        session.commit()
    mine = sign_in(world)
    assert "Signed in as Lea Learner" in mine.text
    assert "Algebra I" in mine.text
    assert "Biology 101" in mine.text
    # Only who one is was asked for, and the grant has ended.
    assert world.badgr.tokens[-1].scopes == ("r:profile",)
    assert world.badgr.tokens[-1].refresh_revoked
    assert "Sign in with Badgr" in mine.submit("/sign-out").text


@pytest.mark.parametrize("name", ["Stan Staff", "Uma Unverified"])
def test_nobody_sees_anything_of_anybody_else(world: World, name: str) -> None:
    awarded(world)
    assert "Algebra I" not in sign_in(world, name).text


def test_a_visit_ends(world: World) -> None:
    awarded(world)
    mine = sign_in(world)
    with world.tools.database.write() as session:
        session.execute(update(LearnerVisit).values(expires_at=person(world).created_at))
        session.commit()
    assert "Signed in as" not in mine.open(f"{world.tool_url}/my/").text


def test_a_sign_in_lets_nobody_into_a_course(world: World) -> None:
    awarded(world)
    mine = sign_in(world, "Olive Owner")
    assert mine.open(f"{world.tool_url}/courses/1/").status == 404
    assert mine.open(f"{world.tool_url}/admin/").url.endswith("/admin/sign-in")


def test_the_pages_outside_the_lms_are_framed_by_nobody(world: World) -> None:
    visitor = Visitor().open(f"{world.tool_url}/my/")
    response = visitor.browser.session.get(visitor.url)
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "What Badges knows of you" in visitor.open(f"{world.tool_url}/privacy").text


def test_whoever_is_sent_somebody_elses_address_is_told_not_to_go_on(world: World) -> None:
    # The tab knows nothing of the browser that the course is open in.
    tab = connect_tab(world, awarded(world))
    assert "If you are not Lea Learner" in tab.text
    assert "they would see your badges" in tab.text
    tab.open(world.connect_url(world.launch(TEACHER, "3")))
    assert "If you are not Terry Teacher" in tab.text
    assert "the course would award by your account" in tab.text


def test_hosts_are_offered_to_learners_only(world: World) -> None:
    tab = Visitor().open(world.connect_url(world.launch(TEACHER)))
    assert tab.page.select_one("input[name=host]") is None
