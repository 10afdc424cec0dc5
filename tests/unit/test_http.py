"""Calls to the outside: never to private addresses unless allowed, never without a timeout."""

from datetime import UTC, datetime

import pytest
import requests

from lti_tool.http import new_session, retry_after
from tests.http_server import AnsweringServer, json_answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_private_addresses_are_not_called(server: AnsweringServer, host: str) -> None:
    server.answers["/"] = json_answer({})
    url = server.url.replace("127.0.0.1", host)
    with pytest.raises(requests.ConnectionError, match="private"):
        new_session().get(url)
    assert server.seen == []


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
