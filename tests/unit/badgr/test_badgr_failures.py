"""What the client makes of every way in which a Badgr server can fail."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
from werkzeug.wrappers import Request, Response

from lti_tool.badgr.assertions import NewAward
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import (
    BadgrError,
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
from lti_tool.http import new_session
from tests.http_server import AnsweringServer, json_answer

AWARDS = "/v2/badgeclasses/b/assertions"
HTML = "<!doctype html><h1>We're sorry</h1>"
DUPLICATE = '{"validationErrors": ["A previous award of this badge already exists for this recipient."]}'


@pytest.fixture
def client(server: AnsweringServer) -> BadgrClient:
    return BadgrClient(server.url, "token", new_session(allow_private_addresses=True), timeout=(0.5, 0.3))


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
        (404, {}, HTML, NotFoundError, False, False, None),
        (400, {}, DUPLICATE, DuplicateAwardError, False, False, None),
        (400, {}, HTML, InvalidRequestError, False, False, None),
        (400, {}, "", InvalidRequestError, False, False, None),
        (405, {}, '{"fieldErrors": "Method not allowed"}', InvalidRequestError, False, False, None),
        (200, {}, HTML, NonsenseAnswerError, True, True, None),
        (200, {}, "", NonsenseAnswerError, True, True, None),
        (201, {}, '{"result": []}', NonsenseAnswerError, True, True, None),
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


def test_a_slow_server_is_in_doubt(server: AnsweringServer, client: BadgrClient) -> None:
    wait = threading.Event()

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
