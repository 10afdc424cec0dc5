"""Plays the recorded answers of a real Badgr server to our client (badgr/EXCHANGES.md)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from werkzeug.wrappers import Request, Response

from lti_tool.badgr import discovery, oauth
from lti_tool.badgr.assertions import NewAward
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import (
    BadgrError,
    ClientRejectedError,
    DuplicateAwardError,
    GrantRejectedError,
    InvalidRequestError,
    NotFoundError,
    SignInThrottledError,
    UnauthorizedError,
)
from lti_tool.badgr.types import Alignment, Lifetime, NewBadgeClass, NewIssuer, Role, ServerAddress
from lti_tool.http import new_session
from tests.contract.recorded import exchange
from tests.http_server import Answer, AnsweringServer

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
ALGEBRA = "UbWWh2U4QjKYrB0TA_sdGQ"
AWARDS = f"/v2/badgeclasses/{ALGEBRA}/assertions"
BACK = "http://127.0.0.1:5000/badgr/callback"


def replay(section: int, title: str, here: str = "") -> Answer:
    """The recorded answer, with the address of the recorded server replaced by `here`."""
    told = exchange(section, title)
    headers = {
        name: value.replace("http://127.0.0.1:18000", here)
        for name, value in told.headers.items()
        if name in {"Content-Type", "Link", "Location"}
    }
    return lambda _: Response(told.body, told.status, headers)


@pytest.fixture
def http() -> requests.Session:
    return new_session(allow_private_addresses=True)


@pytest.fixture
def client(server: AnsweringServer, http: requests.Session) -> BadgrClient:
    return BadgrClient(server.url + "/", "the-token", http)


@pytest.fixture
def address(server: AnsweringServer) -> ServerAddress:
    return ServerAddress("https://badgr.example", server.url, "lti-tool", "se:cret")


# -- OAuth 2 --


def test_the_consent_address() -> None:
    server = ServerAddress("https://badgr.example", "https://api.badgr.example", "lti-tool", "secret")
    verifier = oauth.new_verifier()
    url = urlsplit(oauth.authorization_url(server, BACK, ["r:profile", "rw:issuer"], "the state", verifier))
    assert (url.scheme, url.netloc, url.path) == ("https", "badgr.example", "/auth/oauth2/authorize")
    assert parse_qs(url.query) == {
        "response_type": ["code"],
        "client_id": ["lti-tool"],
        "redirect_uri": [BACK],
        "scope": ["r:profile rw:issuer"],
        "state": ["the state"],
        "code_challenge": [create_s256_code_challenge(verifier)],
        "code_challenge_method": ["S256"],
    }


def exchange_code(address: ServerAddress, http: requests.Session) -> Any:
    return oauth.exchange_code(address, http, "the-code", BACK, "verifier", frozenset({"r:profile"}), NOW)


def test_a_code_becomes_tokens(server: AnsweringServer, address: ServerAddress, http: requests.Session) -> None:
    server.answers["/o/token"] = replay(2, "client_secret_post")
    told = exchange(2, "client_secret_post").json
    pair = exchange_code(address, http)
    assert (pair.access_token, pair.refresh_token) == (told["access_token"], told["refresh_token"])
    assert pair.scopes == frozenset(told["scope"].split())
    assert pair.expires_at == NOW + timedelta(seconds=told["expires_in"])
    assert told["access_token"] not in repr(pair)
    [request] = server.seen
    # A secret with a colon breaks a Basic header at this server; in the form it does not.
    assert "Authorization" not in request.headers
    assert request.mimetype == "application/x-www-form-urlencoded"
    assert request.query_string == b""
    assert request.form.to_dict() == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "redirect_uri": BACK,
        "code_verifier": "verifier",
        "client_id": "lti-tool",
        "client_secret": "se:cret",
    }


@pytest.mark.parametrize(
    ("section", "title", "error", "retryable", "wait"),
    [
        (2, "the same code again", GrantRejectedError, False, None),
        (2, "unknown code", GrantRejectedError, False, None),
        (
            2,
            "and once more at once, from the same address: backoff (note: content type, no Retry-After)",
            SignInThrottledError,
            True,
            2,
        ),
        (2, "wrong secret, Basic", ClientRejectedError, False, None),
        (2, "wrong secret, in the body", ClientRejectedError, False, None),
        (2, "unknown client", ClientRejectedError, False, None),
        (2, "JSON body (not read by this server)", InvalidRequestError, False, None),
        (4, "the OLD refresh token", GrantRejectedError, False, None),
        (4, "an unknown refresh token", GrantRejectedError, False, None),
        (4, "another application's refresh token", GrantRejectedError, False, None),
        (5, "a GOOD refresh token of another user while the address is in backoff", SignInThrottledError, True, 32),
        (6, "the revoked refresh token", GrantRejectedError, False, None),
        (
            22,
            "refresh again after the answer to the first refresh was lost (read timeout)",
            GrantRejectedError,
            False,
            None,
        ),
    ],
)
def test_refused_token_requests(
    server: AnsweringServer,
    address: ServerAddress,
    http: requests.Session,
    section: int,
    title: str,
    error: type[BadgrError],
    retryable: bool,
    wait: float | None,
) -> None:
    server.answers["/o/token"] = replay(section, title)
    with pytest.raises(error) as caught:
        oauth.refresh(address, http, "refresh-token", NOW)
    assert type(caught.value) is error
    assert (caught.value.retryable, caught.value.retry_after) == (retryable, wait)


def test_a_refresh_gives_a_new_pair(server: AnsweringServer, address: ServerAddress, http: requests.Session) -> None:
    server.answers["/o/token"] = replay(4, "first refresh")
    told = exchange(4, "first refresh").json
    pair = oauth.refresh(address, http, "old", NOW)
    assert (pair.access_token, pair.refresh_token) == (told["access_token"], told["refresh_token"])
    assert server.seen[0].form["refresh_token"] == "old"


def test_revoking_uses_the_refresh_token_and_the_slash(
    server: AnsweringServer, address: ServerAddress, http: requests.Session
) -> None:
    title = "revoke the refresh token (note the trailing slash; /o/revoke_token without it is redirected, next)"
    server.answers["/o/revoke_token/"] = replay(6, title)
    oauth.revoke(address, http, "refresh-token")
    [request] = server.seen
    assert (request.form["token"], request.form["token_type_hint"]) == ("refresh-token", "refresh_token")


# -- reading --


def test_the_profile(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers["/v2/users/self"] = replay(8, "own profile")
    profile = client.profile()
    assert profile.name == "Olive Owner"
    assert [(e.address, e.verified, e.primary) for e in profile.emails] == [("owner@example.org", True, True)]
    assert server.seen[0].headers["Authorization"] == "Bearer the-token"


def test_roles_stand_in_the_staff_list(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers["/v2/issuers"] = replay(9, "list")
    server.answers["/v2/users/self"] = replay(8, "own profile")
    [issuer] = [i for i in client.issuers() if i.name == "Loopback University"]
    assert issuer.role_of(client.profile().entity_id) is Role.OWNER
    assert sorted(m.role for m in issuer.staff) == [Role.EDITOR, Role.OWNER, Role.STAFF]
    assert issuer.role_of("a stranger") is None


def test_paging_follows_the_link(server: AnsweringServer, client: BadgrClient) -> None:
    pages = {
        None: replay(10, "paged: first page", server.url),
        "more": replay(10, "paged: the `next` link", server.url),
    }
    path = urlsplit(exchange(10, "paged: first page").target).path
    server.answers[path] = lambda request: pages["more" if "cursor" in request.args else None](request)
    found = client.badge_classes(path.split("/")[3])
    told = exchange(10, "paged: first page").json["result"] + exchange(10, "paged: the `next` link").json["result"]
    assert [b.entity_id for b in found] == [b["entityId"] for b in told]
    assert all("cursor" in request.args for request in server.seen[1:])


@pytest.mark.parametrize("prefix", ["", "/badgr"])
@pytest.mark.parametrize("named", ["http://api.old-name.example", "https://127.0.0.1", "", "?"])
def test_the_next_page_is_asked_for_at_our_own_address(
    server: AnsweringServer, http: requests.Session, named: str, prefix: str
) -> None:
    """A server behind a proxy names itself as it sees itself; its token goes nowhere else."""
    client = BadgrClient(server.url + prefix, "the-token", http)
    first, second = exchange(10, "paged: first page"), exchange(10, "paged: the `next` link")
    path = urlsplit(first.target).path
    link = f'<{named}{"cursor=x" if named == "?" else path + "?cursor=x"}>; rel="next"'

    def page(request: Request) -> Response:
        return Response(second.body) if "cursor" in request.args else Response(first.body, headers={"Link": link})

    server.answers[prefix + path] = page
    found = client.badge_classes(path.split("/")[3])
    assert [b.entity_id for b in found] == [b["entityId"] for b in first.json["result"] + second.json["result"]]
    assert [request.headers["Authorization"] for request in server.seen] == ["Bearer the-token"] * 2


def test_a_next_page_elsewhere_gets_no_token(server: AnsweringServer, client: BadgrClient) -> None:
    elsewhere = AnsweringServer()
    try:
        path = urlsplit(exchange(10, "paged: first page").target).path
        server.answers[path] = replay(10, "paged: first page", elsewhere.url)
        # Our own server knows that page as little; it gives the first one again and again.
        with pytest.raises(BadgrError):
            client.badge_classes(path.split("/")[3])
        assert elsewhere.seen == []
        assert len(server.seen) == 2
    finally:
        elsewhere.stop()


def test_a_recipient_is_found_by_the_encoded_address(server: AnsweringServer, client: BadgrClient) -> None:
    told = exchange(12, "filter by recipient")
    server.answers[AWARDS] = replay(12, "filter by recipient")
    recipient = told.json["result"][0]["recipient"]["plaintextIdentity"]
    found = client.find_assertions(ALGEBRA, f" {recipient.upper()} ")
    assert [a.entity_id for a in found] == [a["entityId"] for a in told.json["result"]]
    assert server.seen[0].args["recipient"] == recipient
    client.find_assertions(ALGEBRA, "Ann+Badges@Example.org")
    assert b"recipient=ann%2Bbadges%40example.org" in server.seen[1].query_string


def test_assertions_of_others_are_left_out(server: AnsweringServer, client: BadgrClient) -> None:
    # A server that does not know the filter would answer with everybody's.
    server.answers[AWARDS] = replay(12, "filter by recipient")
    assert client.find_assertions(ALGEBRA, "somebody.else@example.org") == []


def test_a_recipient_is_recognised_by_the_hash_alone(server: AnsweringServer, client: BadgrClient) -> None:
    told = exchange(12, "filter by recipient").json
    plain, *_ = (entry["recipient"].pop("plaintextIdentity") for entry in told["result"])
    server.answers[AWARDS] = lambda _: Response(json.dumps(told))
    assert len(client.find_assertions(ALGEBRA, plain)) == len(told["result"])
    assert client.find_assertions(ALGEBRA, "x" + plain) == []


# -- awarding --


def test_an_award(server: AnsweringServer, client: BadgrClient) -> None:
    told = exchange(11, "minimal")
    server.answers[AWARDS] = replay(11, "minimal")
    achieved = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    address = told.json["result"][0]["recipient"]["plaintextIdentity"]
    award = NewAward(f" {address.upper()} ", achieved, "5 < 6 ![x](y)", "https://lms.example.org/attempt/1")
    assertion = client.award(ALGEBRA, award)
    assert assertion.entity_id == told.json["result"][0]["entityId"]
    assert assertion.belongs_to(address)
    assert server.seen[0].get_json() == {
        "recipient": {"identity": address, "type": "email", "hashed": True},
        "allowDuplicateAwards": False,
        "notify": False,
        "issuedOn": "2024-05-06T07:08:09Z",
        "narrative": "5 &lt; 6 ! [x](y)",
        "evidence": [{"url": "https://lms.example.org/attempt/1"}],
    }


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(days=1), None])
def test_no_date_is_sent_that_the_server_could_find_in_the_future(
    server: AnsweringServer, client: BadgrClient, ahead: timedelta | None
) -> None:
    server.answers[AWARDS] = replay(11, "minimal")
    address = exchange(11, "minimal").json["result"][0]["recipient"]["plaintextIdentity"]
    client.award(ALGEBRA, NewAward(address, None if ahead is None else datetime.now(UTC) + ahead))
    assert server.seen[0].get_json().keys() == {"recipient", "allowDuplicateAwards", "notify"}


@pytest.mark.parametrize(
    ("section", "title", "error", "words"),
    [
        (11, "again with allowDuplicateAwards=false", DuplicateAwardError, "already"),
        (11, "not an e-mail address", InvalidRequestError, "valid email"),
        (11, "issuedOn in the future", InvalidRequestError, "in the past"),
        (11, "identity missing", InvalidRequestError, "identity"),
        (23, "internationalised address", InvalidRequestError, "valid email"),
        (7, "no Authorization", UnauthorizedError, "token"),
        (7, "unknown bearer token", UnauthorizedError, "token"),
        (7, "valid token, scope missing: **401? 403? 404?**", NotFoundError, "role"),
        (12, "as outsider", NotFoundError, "role"),
    ],
)
def test_refused_awards_say_why(
    server: AnsweringServer, client: BadgrClient, section: int, title: str, error: type[BadgrError], words: str
) -> None:
    server.answers[AWARDS] = replay(section, title)
    with pytest.raises(error) as caught:
        client.award(ALGEBRA, NewAward("a@example.org"))
    assert type(caught.value) is error
    assert words in caught.value.advice.lower()
    assert (caught.value.retryable, caught.value.in_doubt) == (False, False)


# -- making and changing, revoking, changes, the backpack, discovery --

TOLD = NewBadgeClass(
    name="Full class",
    description="Everything set",
    image="data:image/png;base64,iVBORw0KGgo=",
    criteria_narrative="Do *it* <b> ![x](y).",
    criteria_url="https://university.example.org/c",
    tags=("a", "b"),
    alignments=(Alignment("T", "https://std.example.org/1", "c"),),
    lifetime=Lifetime(6, "months"),
)


def test_a_badge_class_is_made_with_every_field(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers["/v2/issuers/i/badgeclasses"] = replay(10, "create, all fields")
    made = client.create_badge_class("i", TOLD)
    assert (made.lifetime, made.tags, made.alignments[0].name) == (Lifetime(6, "months"), ("a", "b"), "T")
    sent, recorded = server.seen[-1].json, json.loads(exchange(10, "create, all fields").request_body)
    assert sent is not None
    assert sent.keys() == recorded.keys()
    assert sent["expires"] == recorded["expires"]
    # What Badgr would strip or refuse is written so that it stays.
    assert sent["criteriaNarrative"] == "Do *it* &lt;b> ! [x](y)."


def test_a_badge_class_is_changed(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers["/v2/badgeclasses/b"] = replay(10, "update (image left out: kept)")
    assert client.update_badge_class("b", TOLD).name == "Full class renamed"
    assert server.seen[-1].method == "PUT"


@pytest.mark.parametrize(
    ("title", "fault"),
    [
        ("create: image missing", "image: Valid image file or data URI required."),
        ("create: bad expires", 'duration: "eons" is not a valid choice.'),
        ("create: name and description missing", "name: This field is required."),
    ],
)
def test_a_refused_badge_class_says_why(server: AnsweringServer, client: BadgrClient, title: str, fault: str) -> None:
    server.answers["/v2/issuers/i/badgeclasses"] = replay(10, title)
    with pytest.raises(InvalidRequestError) as refused:
        client.create_badge_class("i", TOLD)
    assert fault in refused.value.faults


def test_an_issuer_is_made(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers["/v2/issuers"] = replay(9, "create")
    made = client.create_issuer(NewIssuer("Second", "https://second.example.org", "owner@example.org", "d"))
    assert made.role_of("PNgP7i59Qcyql99UFuJy3g") is Role.OWNER
    assert made.email == "owner@example.org"
    # The staff is never sent: a given list would remove members.
    assert "staff" not in (server.seen[-1].json or {})


def test_an_assertion_is_revoked_with_its_reason_in_the_body(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers["/v2/assertions/a"] = replay(13, "revoke")
    revoked = client.revoke("a", "Grade corrected" + "x" * 300)
    assert (revoked.revoked, revoked.revocation_reason, revoked.is_live) == (True, "Grade corrected", False)
    sent = server.seen[-1]
    assert (sent.method, len((sent.json or {})["revocation_reason"])) == ("DELETE", 255)


def test_revoking_as_staff_is_not_found(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers["/v2/assertions/a"] = replay(13, "revoke as staff")
    with pytest.raises(NotFoundError):
        client.revoke("a", "reason")


def test_changes_are_read_page_by_page_from_the_given_moment(server: AnsweringServer, client: BadgrClient) -> None:
    recorded = exchange(15, "since=").json
    last = recorded | {"pagination": {"hasNext": False, "nextResults": None}, "timestamp": "later"}
    more = recorded | {"pagination": {"hasNext": True, "nextResults": f"{server.url}/more"}}
    server.answers["/v2/assertions/changed"] = lambda _: Response(json.dumps(more), 200)
    server.answers["/more"] = lambda _: Response(json.dumps(last), 200)
    changes = client.changed_assertions("2026-11-23T18:10:42.532743+00:00")
    assert len(changes.assertions) == 2
    # Where the first page was read: what happens meanwhile comes again.
    assert changes.until == recorded["timestamp"]
    assert b"since=2026-11-23T18%3A10%3A42.532743%2B00%3A00" in server.seen[0].query_string


def test_more_changes_are_asked_for_at_our_own_address(server: AnsweringServer, client: BadgrClient) -> None:
    recorded = exchange(15, "since=").json
    body = recorded | {"pagination": {"hasNext": True, "nextResults": "https://elsewhere.example/more?cursor=x"}}
    server.answers["/v2/assertions/changed"] = lambda _: Response(json.dumps(body), 200)
    server.answers["/more"] = lambda _: Response(json.dumps(recorded | {"pagination": {"hasNext": False}}), 200)
    assert len(client.changed_assertions("2026").assertions) == 2
    assert [request.path for request in server.seen] == ["/v2/assertions/changed", "/more"]


@pytest.mark.parametrize("title", ["list (all verified addresses of the user)", "expanded"])
def test_a_backpack_is_read(server: AnsweringServer, client: BadgrClient, title: str) -> None:
    body = json.loads(exchange(16, title).body.split("\n...[cut")[0])
    server.answers["/v2/backpack/assertions"] = lambda _: Response(json.dumps(body), 200)
    badge = client.backpack()[0]
    if title == "expanded":
        assert (badge.name, badge.issuer_name) == ("Algebra I", "Loopback University")
    assert badge.url.startswith("http://127.0.0.1:18000/public/assertions/")


def test_the_addresses_are_found_from_one(server: AnsweringServer, http: requests.Session) -> None:
    server.answers["/.well-known/badgeconnect.json"] = replay(6, "Badge Connect discovery", server.url)
    server.answers["/bcv1/manifest/127.0.0.1:14200"] = replay(6, "Badge Connect manifest")
    found = discovery.addresses(http, server.url + "/")
    assert (found.ui_url, found.api_url) == ("https://127.0.0.1:14200", "http://127.0.0.1:18000")


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"badgeConnectAPI": [{"apiBase": "javascript:x"}]}'])
def test_a_host_without_a_manifest_is_said_so(server: AnsweringServer, http: requests.Session, body: str) -> None:
    server.answers["/.well-known/badgeconnect.json"] = lambda _: Response(body, 200)
    with pytest.raises(BadgrError):
        discovery.manifest(http, server.url)


@pytest.mark.parametrize(
    ("section", "title", "works"),
    [
        (2, "unknown code", True),
        (2, "wrong secret, in the body", False),
        (2, "unknown client", False),
    ],
)
def test_a_key_is_tried_before_it_is_saved(
    server: AnsweringServer, http: requests.Session, address: ServerAddress, section: int, title: str, works: bool
) -> None:
    server.answers["/o/token"] = replay(section, title)
    if works:
        oauth.check_client(address, http, BACK)
    else:
        with pytest.raises(ClientRejectedError):
            oauth.check_client(address, http, BACK)


@pytest.mark.parametrize(
    ("told", "start", "end"),
    [
        ({"amount": 1, "duration": "months"}, "2026-01-31", "2026-02-28"),
        ({"amount": 1, "duration": "years"}, "2024-02-29", "2025-02-28"),
        ({"amount": 2, "duration": "weeks"}, "2026-01-01", "2026-01-15"),
        ({"amount": 30, "duration": "days"}, "2026-01-01", "2026-01-31"),
        ({"amount": None, "duration": None}, "2026-01-01", None),
        ({"amount": 0, "duration": "days"}, "2026-01-01", None),
        ({"amount": 1, "duration": "month"}, "2026-01-31", "2026-02-28"),
        ({"amount": "2", "duration": "Weeks"}, "2026-01-01", "2026-01-15"),
        ({"amount": 30.0, "duration": "day"}, "2026-01-01", "2026-01-31"),
        ({"amount": 1.5, "duration": "days"}, "2026-01-01", None),
        ({"amount": True, "duration": "days"}, "2026-01-01", None),
        ({"amount": 1, "duration": "eons"}, "2026-01-01", None),
        ("forever", "2026-01-01", None),
    ],
)
def test_the_lifetime_of_a_badge_is_ours_to_compute(told: object, start: str, end: str | None) -> None:
    lifetime = Lifetime.parse(told)
    moment = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert (lifetime.end(moment).date().isoformat() if lifetime else None) == end
