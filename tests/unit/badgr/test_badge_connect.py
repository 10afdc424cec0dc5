"""What is asked for when the tool registers with a host by itself (RFC 7591; Open Badges 2.1, Badge Connect)."""

import json

import pytest

from lti_tool.badgr import connect
from lti_tool.badgr.discovery import Manifest
from lti_tool.badgr.errors import NonsenseAnswerError
from lti_tool.http import new_session
from tests.http_server import AnsweringServer, json_answer


def register(server: AnsweringServer, scopes: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
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
    assert register(server, offered) == ("c", "s", asked)
    told = json.loads(server.seen[0].get_data())
    assert told["scope"].split() == list(asked)
    assert told["redirect_uris"] == ["https://tool.example.org/badgr/callback"]


def test_the_rights_that_the_host_names_are_the_ones(server: AnsweringServer) -> None:
    server.answers["/register"] = json_answer({"client_id": "c", "scope": connect.SCOPES[0]}, 201)
    assert register(server, ()) == ("c", "", connect.SCOPES[:1])


@pytest.mark.parametrize("answer", [[], {}, {"client_id": ""}, {"client_id": 7}, "text"])
def test_an_answer_without_a_client_id_is_nonsense(server: AnsweringServer, answer: object) -> None:
    server.answers["/register"] = json_answer(answer, 201)
    with pytest.raises(NonsenseAnswerError):
        register(server, ())
