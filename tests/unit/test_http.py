"""Calls to the outside: never to private addresses unless allowed, never without a timeout."""

import gzip
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests
from werkzeug.wrappers import Response

from lti_tool import http as outside
from lti_tool.http import new_session, retry_after
from tests.http_server import AnsweringServer, json_answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_private_addresses_are_not_called(server: AnsweringServer, host: str) -> None:
    server.answers["/"] = json_answer({})
    url = server.url.replace("127.0.0.1", host)
    with pytest.raises(requests.ConnectionError, match="private"):
        new_session().get(url)
    assert server.seen == []


def test_private_addresses_are_not_called_through_a_proxy(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/"] = server.answers["/latest"] = json_answer({})
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    for private in ("http://169.254.169.254/latest", "http://localhost/"):
        with pytest.raises(requests.ConnectionError, match="private"):
            new_session().get(private, timeout=5)
    assert server.seen == []
    # What only the proxy can find is left to it.
    new_session().get("http://lms.invalid/", timeout=5)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("address", "is_good"),
    [
        ("192.0.43.7", True),
        ("2001:4860:4860::8888", True),
        ("64:ff9b::192.0.43.7", True),
        ("2002:c000:2b07::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("::1", False),
        ("::", False),
        ("::ffff:10.1.2.3", False),
        ("::10.1.2.3", False),
        ("fd00::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("64:ff9b::10.1.2.3", False),
        ("64:ff9b::169.254.169.254", False),
        ("64:ff9b:1::a01:203", False),
        ("2002:a01:203::1", False),
        ("2002:7f00:1::1", False),
        ("224.0.0.251", False),
        ("239.1.2.3", False),
        ("ff0e::1", False),
    ],
)
def test_who_may_be_called(address: str, is_good: bool) -> None:
    assert outside.is_public(address) is is_good


def test_allowed_for_tests_and_own_networks(server: AnsweringServer) -> None:
    server.answers["/"] = json_answer({"ok": True})
    response = new_session(allow_private_addresses=True).get(server.url + "/")
    assert response.json() == {"ok": True}
    assert server.seen[0].headers["User-Agent"].startswith("LTI-Badges/")


def test_every_call_has_a_timeout(monkeypatch: pytest.MonkeyPatch, server: AnsweringServer) -> None:
    seen = []
    original = requests.adapters.HTTPAdapter.send

    def send(self: requests.adapters.HTTPAdapter, request: object, *args: object, **kwargs: object) -> object:
        seen.append(kwargs["timeout"])
        return original(self, request, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    session = new_session(allow_private_addresses=True)
    session.get(server.url + "/")
    session.get(server.url + "/", timeout=(1, 2))
    assert seen == [(5.0, 20.0), (1, 2)]


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_is_too_long_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, server: AnsweringServer, packed: bool
) -> None:
    monkeypatch.setattr(outside, "MAXIMUM_BYTES", 100_000)
    given = b"x" * 100_001
    headers = {"Content-Encoding": "gzip"} if packed else {}
    server.answers["/long"] = lambda _: Response(gzip.compress(given) if packed else given, headers=headers)
    server.answers["/short"] = lambda _: Response(given[1:])
    session = new_session(allow_private_addresses=True)
    with pytest.raises(requests.RequestException, match="longer than 100000 bytes"):
        session.get(server.url + "/long")
    assert len(session.get(server.url + "/short").content) == 100_000
    # Who reads by themselves have a limit of their own.
    with session.get(server.url + "/long", stream=True) as response:
        assert sum(map(len, response.iter_content(65536))) == 100_001


def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch, server: AnsweringServer) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(1000):
            time.sleep(0.01)
            yield b"x"

    monkeypatch.setattr(outside, "LONGEST_ANSWER", 0.2)
    server.answers["/"] = lambda _: Response(drip())
    session = new_session(allow_private_addresses=True)
    with pytest.raises(requests.RequestException, match="not there within"):
        session.get(server.url + "/", timeout=5)
    with (
        session.get(server.url + "/", timeout=5, stream=True) as response,
        pytest.raises(requests.RequestException, match="not there within"),
    ):
        list(response.iter_content(65536))


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("99999999999999", 86400.0),
        ("Tue, 24 Nov 2026 12:01:30 GMT", 90.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2099 12:00:00 GMT", 86400.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_how_long_an_answer_asks_to_wait(told: str, seconds: float | None) -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert retry_after({"Retry-After": told}, now) == seconds
    assert retry_after({}, now) is None
