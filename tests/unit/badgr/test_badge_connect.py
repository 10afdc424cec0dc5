"""What is asked for when the tool registers with a host by itself (RFC 7591; Open Badges 2.1, Badge Connect)."""

import json
from datetime import UTC, datetime

import pytest
import requests

from lti_tool.badgr import connect, discovery, oauth
from lti_tool.badgr.connect import Registration
from lti_tool.badgr.discovery import Manifest
from lti_tool.badgr.errors import BadgrError, InvalidRequestError, NonsenseAnswerError
from lti_tool.badgr.types import ServerAddress
from lti_tool.http import new_session
from tests.http_server import AnsweringServer, json_answer


def register(server: AnsweringServer, scopes: tuple[str, ...]) -> Registration:
    url = server.url
    host = Manifest(f"{url}/m", "Host", url, f"{url}/authorize", f"{url}/token", f"{url}/register", scopes)
    callback = "https://tool.example.org/badgr/callback"
    return connect.register(new_session(True), host, "https://tool.example.org", callback, "1.0")


@pytest.mark.parametrize(
    ("offered", "asked"),
    [
        ((), connect.SCOPES),
        (connect.SCOPES, connect.SCOPES),
        (connect.SCOPES[:1], connect.SCOPES[:1]),
        ((*connect.SCOPES, "offline_access", "rw:issuer"), (*connect.SCOPES, "offline_access")),
    ],
)
def test_only_what_the_host_offers_and_we_use_is_asked_for(
    server: AnsweringServer, offered: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    server.answers["/register"] = json_answer({"client_id": "c", "client_secret": "s"}, 201)
    assert register(server, offered) == Registration("c", "s", asked)
    told = json.loads(server.seen[0].get_data())
    assert told["scope"].split() == list(asked)
    assert told["redirect_uris"] == ["https://tool.example.org/badgr/callback"]
    # Badgr registers nobody who wants to sign in otherwise.
    assert told["token_endpoint_auth_method"] == "client_secret_basic"


def test_the_rights_that_the_host_names_are_the_ones(server: AnsweringServer) -> None:
    server.answers["/register"] = json_answer({"client_id": "c", "scope": connect.SCOPES[0]}, 201)
    assert register(server, ()) == Registration("c", "", connect.SCOPES[:1])


@pytest.mark.parametrize("answer", [[], {}, {"client_id": ""}, {"client_id": 7}, "text"])
def test_an_answer_without_a_client_id_is_nonsense(server: AnsweringServer, answer: object) -> None:
    server.answers["/register"] = json_answer(answer, 201)
    with pytest.raises(NonsenseAnswerError):
        register(server, ())


@pytest.mark.parametrize(
    ("told", "method", "ends_at"),
    [
        ({}, "client_secret_basic", None),
        ({"token_endpoint_auth_method": "client_secret_post"}, "client_secret_post", None),
        ({"client_secret_expires_at": 0}, "client_secret_basic", None),
        ({"client_secret_expires_at": 1_800_000_000}, "client_secret_basic", datetime(2027, 1, 15, 8, tzinfo=UTC)),
        ({"client_secret_expires_at": 10**30}, "client_secret_basic", None),
        ({"client_secret_expires_at": "soon"}, "client_secret_basic", None),
    ],
)
def test_how_to_sign_in_and_until_when_is_as_the_host_says(
    server: AnsweringServer, told: dict[str, object], method: str, ends_at: datetime | None
) -> None:
    server.answers["/register"] = json_answer({"client_id": "c", "client_secret": "s"} | told, 201)
    given = register(server, ())
    assert (given.auth_method, given.secret_ends_at) == (method, ends_at)


def test_why_a_host_does_not_register_is_said(server: AnsweringServer) -> None:
    server.answers["/register"] = json_answer({"error": "x", "error_description": "logo_uri: Not a picture."}, 400)
    with pytest.raises(InvalidRequestError, match="Not a picture"):
        register(server, ())


@pytest.mark.parametrize(
    ("is_basic", "header", "fields"),
    [(True, "Basic YzpzJTJCJTJG", set()), (False, None, {"client_id", "client_secret"})],
)
def test_key_and_secret_are_sent_as_was_registered(
    server: AnsweringServer, is_basic: bool, header: str | None, fields: set[str]
) -> None:
    server.answers["/token"] = json_answer({"access_token": "a", "refresh_token": "r"})
    address = ServerAddress("", server.url, "c", "s+/", "", f"{server.url}/token", is_basic=is_basic)
    oauth.refresh(address, new_session(True), "r", datetime.now(UTC))
    seen = server.seen[0]
    assert seen.headers.get("Authorization") == header
    assert seen.form.keys() - {"grant_type", "refresh_token"} == fields


def test_a_manifest_is_not_followed_out_of_https(monkeypatch: pytest.MonkeyPatch) -> None:
    hop, end = requests.Response(), requests.Response()
    hop.url, end.url, end.status_code, end.history = "https://a.example/", "http://a.example/m", 200, [hop]
    http = requests.Session()
    monkeypatch.setattr(http, "get", lambda *_, **__: end)
    with pytest.raises(BadgrError, match="without https"):
        discovery.manifest(http, "https://a.example")
