"""What the client makes of every way in which a Badgr server can fail."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from werkzeug.wrappers import Request, Response

from lti_tool.badgr import oauth
from lti_tool.badgr.assertions import NewAward
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import (
    BadgrError,
    BlockedError,
    ClientRejectedError,
    DuplicateAwardError,
    GrantRejectedError,
    InvalidRequestError,
    InvalidScopeError,
    NonsenseAnswerError,
    NotFoundError,
    ServerFaultError,
    SignInThrottledError,
    ThrottledError,
    UnauthorizedError,
    UnreachableError,
    from_token_response,
)
from lti_tool.badgr.types import ServerAddress
from lti_tool.http import new_session
from tests.http_server import AnsweringServer, json_answer

AWARDS = "/v2/badgeclasses/b/assertions"
NOT_THERE = '{"status": {"success": false, "description": "entity not found or insufficient privileges"}}'
HTML = "<!doctype html><h1>We're sorry</h1>"
DUPLICATE = '{"validationErrors": ["A previous award of this badge already exists for this recipient."]}'


@pytest.fixture
def client(server: AnsweringServer) -> BadgrClient:
    return BadgrClient(server.url, "token", new_session(allow_private_addresses=True), timeout=(5, 10))


def failed_award(client: BadgrClient) -> BadgrError:
    with pytest.raises(BadgrError) as caught:
        client.award("b", NewAward("a@example.org"))
    return caught.value


@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "retryable", "in_doubt", "wait"),
    [
        (500, {}, HTML, ServerFaultError, True, True, None),
        (502, {"Retry-After": "7"}, HTML, ServerFaultError, True, True, 7),
        (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, HTML, ServerFaultError, True, True, None),
        (504, {}, "", ServerFaultError, True, True, None),
        (302, {"Location": "/maintenance"}, "", ServerFaultError, True, False, None),
        (301, {"Location": "https://elsewhere.example/"}, "", ServerFaultError, True, False, None),
        (429, {"Retry-After": "30"}, "{}", ThrottledError, True, False, 30),
        (429, {}, '{"expires": 16}', ThrottledError, True, False, 16),
        (429, {}, HTML, ThrottledError, True, False, None),
        (401, {}, HTML, UnauthorizedError, False, False, None),
        (404, {}, NOT_THERE, NotFoundError, False, False, None),
        (403, {}, NOT_THERE, NotFoundError, False, False, None),
        # What a proxy or a firewall says is no word of Badgr's.
        (404, {}, HTML, BlockedError, True, True, None),
        (403, {}, HTML, BlockedError, True, True, None),
        (404, {}, "[]", BlockedError, True, True, None),
        (408, {}, "", BlockedError, True, True, None),
        (425, {"Retry-After": "9"}, NOT_THERE, BlockedError, True, True, 9),
        (429, {}, '{"expires": NaN}', ThrottledError, True, False, 3600),
        (
            503,
            {"Retry-After": "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"},
            HTML,
            ServerFaultError,
            True,
            True,
            None,
        ),
        (503, {"Retry-After": "Fri, 31 Dec 99999 23:59:59 GMT"}, HTML, ServerFaultError, True, True, None),
        (400, {}, DUPLICATE, DuplicateAwardError, False, False, None),
        (400, {}, HTML, InvalidRequestError, False, False, None),
        (400, {}, "", InvalidRequestError, False, False, None),
        (405, {}, '{"fieldErrors": "Method not allowed"}', InvalidRequestError, False, False, None),
        (200, {}, HTML, NonsenseAnswerError, True, True, None),
        (200, {}, "", NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": []}', NonsenseAnswerError, True, True, None),
        (
            200,
            {},
            '{"status": {"success": false, "description": "queued"}, "result": [{"entityId": "1"}]}',
            NonsenseAnswerError,
            True,
            True,
            None,
        ),
        (201, {}, '{"result": [{"entityId": null}]}', NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": [{"entityId": ""}]}', NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": [{"entityId": 7}]}', NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": [{"entityId": "a\\u0000"}]}', NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": [{"entityId": "' + "x" * 256 + '"}]}', NonsenseAnswerError, True, True, None),
        (
            201,
            {},
            '{"result": [{"entityId": "1", "recipient": {"identity": "b@example.org"}}]}',
            NonsenseAnswerError,
            True,
            True,
            None,
        ),
        (201, {}, "[" * 100_000, NonsenseAnswerError, True, True, None),
        (
            201,
            {},
            '{"result": [{"entityId": "1", "expires": "9999-12-31T23:59:59-10:00"}]}',
            NonsenseAnswerError,
            True,
            True,
            None,
        ),
        (201, {}, '{"result": [{"entityId": "1"}, {"entityId": "2"}]}', NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": ["text"]}', NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": [{"no": "id"}]}', NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": [{"entityId": "1", "recipient": "text"}]}', NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": [{"entityId": "1", "issuedOn": "never"}]}', NonsenseAnswerError, True, True, None),
        (201, {}, '[{"entityId": "1"}]', NonsenseAnswerError, True, True, None),
        (204, {}, "", NonsenseAnswerError, True, True, None),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html; charset=utf-8"])
def test_answers(
    server: AnsweringServer,
    client: BadgrClient,
    status: int,
    headers: dict[str, str],
    body: str,
    error: type[BadgrError],
    retryable: bool,
    in_doubt: bool,
    wait: float | None,
    content_type: str,
) -> None:
    server.answers[AWARDS] = lambda _: Response(body, status, headers, content_type=content_type)
    caught = failed_award(client)
    assert type(caught) is error
    assert (caught.retryable, caught.in_doubt, caught.retry_after) == (retryable, in_doubt, wait)
    assert caught.advice
    assert len(server.seen) == 1  # No redirect was followed and nothing was sent twice.


def test_a_wait_until_a_date_is_understood(server: AnsweringServer, client: BadgrClient) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    server.answers[AWARDS] = lambda _: Response("{}", 429, {"Retry-After": until})
    wait = failed_award(client).retry_after
    assert wait is not None
    assert 295 < wait <= 300


def test_reading_is_never_in_doubt(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers["/v2/issuers"] = json_answer({}, 500)
    with pytest.raises(ServerFaultError) as caught:
        client.issuers()
    assert not caught.value.in_doubt


def test_unknown_members_and_missing_ones_do_no_harm(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers[AWARDS] = json_answer({"timestamp": 1, "warnings": [], "result": [{"entityId": "x", "new": {}}]})
    assert client.award("b", NewAward("a@example.org")).entity_id == "x"


@pytest.mark.parametrize(
    "recipient",
    [{}, None, {"identity": "A@Example.org"}, {"identity": "sha256$abc"}, {"plaintextIdentity": "a@example.org"}],
)
def test_an_answer_need_not_say_whose_it_is(server: AnsweringServer, client: BadgrClient, recipient: object) -> None:
    server.answers[AWARDS] = json_answer({"result": [{"entityId": "x", "recipient": recipient}]})
    assert client.award("b", NewAward("a@example.org")).entity_id == "x"


NO_SUCCESS = {"status": {"success": False, "description": "search is down"}, "result": []}


@pytest.mark.parametrize(
    ("path", "read"),
    [
        (AWARDS, lambda client: client.find_assertions("b", "a@example.org")),
        ("/v2/issuers", lambda client: client.issuers()),
        ("/v2/assertions/changed", lambda client: client.changed_assertions("2026")),
    ],
)
def test_what_did_not_work_is_not_read_as_nothing(
    server: AnsweringServer, client: BadgrClient, path: str, read: Callable[[BadgrClient], object]
) -> None:
    server.answers[path] = json_answer(NO_SUCCESS)
    with pytest.raises(NonsenseAnswerError, match="search is down"):
        read(client)


def test_a_revocation_that_badgr_does_not_confirm_is_in_doubt(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers["/v2/assertions/a"] = json_answer({"result": [{"entityId": "a", "revoked": False}]})
    with pytest.raises(NonsenseAnswerError) as caught:
        client.revoke("a", "Copied")
    assert caught.value.in_doubt


def test_only_addresses_of_the_web_are_taken(server: AnsweringServer, client: BadgrClient) -> None:
    told = {"entityId": "x", "openBadgeId": "javascript:alert(1)", "image": {"id": "https://badgr.example/x.png"}}
    server.answers[AWARDS] = json_answer({"result": [told]})
    made = client.award("b", NewAward("a@example.org"))
    assert (made.open_badge_id, made.image) == ("", "https://badgr.example/x.png")


def test_an_odd_change_keeps_nobody_from_learning_of_the_others(server: AnsweringServer, client: BadgrClient) -> None:
    entries = [{"entityId": "x", "issuedOn": "0000-00-00T00:00:00"}, "text", {"entityId": "y"}]
    server.answers["/v2/assertions/changed"] = json_answer({"result": entries, "timestamp": "later"})
    changes = client.changed_assertions("2026")
    assert ([one.entity_id for one in changes.assertions], changes.odd, changes.until) == (["y"], 2, "later")


def test_badgrs_own_words_are_kept(server: AnsweringServer, client: BadgrClient) -> None:
    told = {
        "status": {"success": False, "description": "bad request"},
        "fieldErrors": {"recipient": {"non_field_errors": ["Enter a valid address."]}, "image": "No picture."},
        "validationErrors": ["Something else."],
    }
    server.answers[AWARDS] = json_answer(told, 400)
    caught = failed_award(client)
    assert isinstance(caught, InvalidRequestError)
    assert caught.faults == ("Something else.", "recipient: Enter a valid address.", "image: No picture.")
    assert "Enter a valid address." in caught.advice


def test_no_word_of_badgrs_is_one_that_a_database_cannot_keep(server: AnsweringServer, client: BadgrClient) -> None:
    server.answers[AWARDS] = json_answer({"validationErrors": ["No \0 such \ud800 thing."]}, 400)
    assert failed_award(client).advice == "Badgr refused it: No  such ? thing."


def test_a_slow_server_is_in_doubt(server: AnsweringServer) -> None:
    wait = threading.Event()
    client = BadgrClient(server.url, "token", new_session(allow_private_addresses=True), timeout=(5, 0.3))

    def slow(request: Request) -> Response:
        wait.wait(5)
        return Response("{}")

    server.answers[AWARDS] = slow
    caught = failed_award(client)
    wait.set()
    assert isinstance(caught, UnreachableError)
    assert (caught.retryable, caught.in_doubt) == (True, True)


def test_a_connection_that_was_never_made_is_in_no_doubt() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    caught = failed_award(BadgrClient(url, "token", new_session(allow_private_addresses=True)))
    assert isinstance(caught, UnreachableError)
    assert (caught.retryable, caught.in_doubt) == (True, False)


@contextlib.contextmanager
def broken_server(answer: bytes) -> Iterator[str]:
    """Reads a request, says `answer`, and resets the connection."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    "answer", [b"", b'HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"resu', b"nonsense\r\n\r\n"]
)
def test_a_broken_connection_is_in_doubt(answer: bytes) -> None:
    with broken_server(answer) as url:
        caught = failed_award(BadgrClient(url, "token", new_session(allow_private_addresses=True)))
    assert isinstance(caught, UnreachableError)
    assert (caught.retryable, caught.in_doubt) == (True, True)


@pytest.mark.parametrize(
    ("told", "at_least", "at_most"),
    [
        (9223372036854775807, 3000, 4000),
        (1e300, 3000, 4000),
        ("60", 0, 0),
        ("soon", 0, 0),
        (-1, 0, 0),
        (None, 0, 0),
        ([], 0, 0),
    ],
)
def test_whatever_a_renewal_says_of_its_end_its_tokens_are_kept(
    server: AnsweringServer, told: object, at_least: int, at_most: int
) -> None:
    now = datetime.now(UTC)
    server.answers["/o/token"] = json_answer({"access_token": "a", "refresh_token": "r", "expires_in": told})
    address = ServerAddress(server.url, server.url, "client", "secret")
    pair = oauth.refresh(address, new_session(allow_private_addresses=True), "former", now)
    assert (pair.access_token, pair.refresh_token) == ("a", "r")
    assert pair.expires_at > now
    assert at_least <= (pair.expires_at - now).days <= at_most


@pytest.mark.parametrize("token", [None, "", 5, ["a"]])
def test_a_renewal_without_a_token_is_none(server: AnsweringServer, token: object) -> None:
    server.answers["/o/token"] = json_answer({"access_token": token})
    with pytest.raises(NonsenseAnswerError):
        oauth.refresh(ServerAddress(server.url, server.url, "c", "s"), new_session(True), "former", datetime.now(UTC))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, '{"error": "invalid_grant"}', GrantRejectedError),
        (401, '{"error": "invalid_grant"}', GrantRejectedError),
        (401, '{"error": "invalid_client"}', ClientRejectedError),
        (400, '{"error": "invalid client_secret"}', ClientRejectedError),
        (401, HTML, ClientRejectedError),
        (400, '{"error": "invalid_scope"}', InvalidScopeError),
        (400, '{"error": "invalid scope requested"}', InvalidScopeError),
        (400, '{"error": "invalid_request"}', InvalidRequestError),
        (400, HTML, InvalidRequestError),
        (500, HTML, ServerFaultError),
        (302, "", ServerFaultError),
        (429, '{"expires": 4}', SignInThrottledError),
    ],
)
def test_token_answers(status: int, body: str, error: type[BadgrError]) -> None:
    response = requests.Response()
    response.status_code = status
    response._content = body.encode()
    assert type(from_token_response(response)) is error


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        # What the maintained fork answers for every refresh (mint-o-badges, mainsite/oauth2_api.py).
        (401, '{"error": "Token refresh failed!"}', GrantRejectedError),
        (401, '{"error": "invalid_client"}', ClientRejectedError),
        (401, '{"error": "invalid client_id"}', ClientRejectedError),
        (401, HTML, ClientRejectedError),
        (400, '{"error": "invalid_request"}', InvalidRequestError),
    ],
)
def test_answers_to_a_refresh(status: int, body: str, error: type[BadgrError]) -> None:
    response = requests.Response()
    response.status_code = status
    response._content = body.encode()
    assert type(from_token_response(response, is_refresh=True)) is error
