"""Canvas Live Events as signed JWTs: the signature, the key set, and whose events they are."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest

from lti_tool.domain.events import GradeEvent
from lti_tool.sources import KINDS
from lti_tool.sources.kind import Delivery, SignatureError, UnavailableError
from tests.http_server import AnsweringServer, json_answer
from tests.unit.sources.sources_testing import NOW, access, canvas_example, delivery, private_key, public_jwk

KIND = KINDS["canvas"]
ACCOUNT = "VicYj3cu5BIFpoZhDVU4DZumnlBrWi1grgJEzADs"


class Canvas:
    """A key set on a server of its own, and the events that are signed with its keys."""

    def __init__(self, server: AnsweringServer) -> None:
        self.server = server
        self.path = f"/{uuid4().hex}/jwks"
        self.options = {"jwks_url": server.url + self.path, "root_account_uuid": ACCOUNT}
        self.publish(public_jwk("2026-11", "november"))

    def publish(self, *keys: dict[str, Any]) -> None:
        self.server.answers[self.path] = json_answer({"keys": list(keys)})

    def read(self, sent: Delivery, seconds: int = 0) -> list[GradeEvent]:
        now = NOW + timedelta(seconds=seconds)
        return KIND.parse(KIND.verify(sent, access(options=self.options, now=now)))


@pytest.fixture
def canvas(server: AnsweringServer) -> Canvas:
    return Canvas(server)


def signed(name: str = "november", algorithm: str = "RS256", event: Any = None, **headers: Any) -> Delivery:
    key = private_key(name) if algorithm.startswith("RS") else "k" * 64
    headers = {name: value for name, value in ({"kid": "2026-11"} | headers).items() if value is not None}
    payload = event or canvas_example("grade_change")
    token = jwt.encode(payload, key, algorithm, headers)
    return delivery(token.encode())


def test_a_signed_event_is_read_as_the_bare_one_is(canvas: Canvas) -> None:
    bare = delivery(canvas_example("grade_change"), key="bare")
    assert canvas.read(signed()) == KIND.parse(KIND.verify(bare, access(["bare"])))


def test_a_signed_event_may_stand_in_quotes(canvas: Canvas) -> None:
    assert canvas.read(delivery(json.dumps(signed().body.decode()).encode() + b"\n"))


def test_what_is_stored_is_the_event_and_not_the_token(canvas: Canvas) -> None:
    payload = KIND.verify(signed(), access(options=canvas.options))
    assert json.loads(payload)["metadata"]["event_name"] == "grade_change"
    assert b"client_ip" not in payload


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda: signed("stranger"), id="another key"),
        pytest.param(lambda: signed(kid=None), id="no kid"),
        pytest.param(lambda: signed(kid="2026-12"), id="unknown kid"),
        pytest.param(lambda: signed(algorithm="HS256"), id="HS256"),
        pytest.param(lambda: signed(algorithm="RS512"), id="RS512"),
        pytest.param(lambda: delivery(signed().body[:-4] + b"AAAA"), id="changed signature"),
        pytest.param(lambda: delivery(b"a.b.c"), id="no token"),
        pytest.param(
            lambda: signed(
                event=canvas_example("grade_change")
                | {"metadata": {"event_name": "a", "event_time": "2026-11-25T12:00:00Z"}}
            ),
            id="no account",
        ),
    ],
)
def test_an_event_that_is_not_rightly_signed_is_refused(canvas: Canvas, forged: Any) -> None:
    with pytest.raises(SignatureError):
        canvas.read(forged())


@pytest.mark.parametrize("account", ["", "another"])
def test_a_signed_event_of_another_customer_of_canvas_is_refused(canvas: Canvas, account: str) -> None:
    canvas.options["root_account_uuid"] = account
    with pytest.raises(SignatureError, match="root account"):
        canvas.read(signed())


def test_the_key_set_is_fetched_once_and_again_for_a_new_key(canvas: Canvas) -> None:
    canvas.read(signed())
    canvas.read(signed(), seconds=10)
    assert canvas.server.count(canvas.path) == 1
    canvas.publish(public_jwk("2026-11", "november"), public_jwk("2026-12", "december"))
    assert canvas.read(signed("december", kid="2026-12"), seconds=60)
    assert canvas.server.count(canvas.path) == 2


def test_unknown_keys_do_not_make_us_ask_all_the_time(canvas: Canvas) -> None:
    for seconds in range(0, 60, 3):
        with pytest.raises(SignatureError, match="not in the key set"):
            canvas.read(signed(kid="nobody's"), seconds)
    assert canvas.server.count(canvas.path) == 2


def test_a_key_set_is_good_for_an_hour_and_a_withdrawn_key_for_no_longer(canvas: Canvas) -> None:
    canvas.read(signed())
    canvas.publish(public_jwk("2026-12", "december"))
    assert canvas.read(signed(), seconds=3599)
    with pytest.raises(SignatureError):
        canvas.read(signed(), seconds=3600)


def test_while_the_key_set_is_away_canvas_is_told_to_come_again(canvas: Canvas) -> None:
    answer, canvas.server.answers[canvas.path] = canvas.server.answers[canvas.path], json_answer({}, 503)
    for seconds in (0, 10):
        with pytest.raises(UnavailableError) as refused:
            canvas.read(signed(), seconds)
        assert refused.value.status == 503
    assert canvas.server.count(canvas.path) == 1
    canvas.server.answers[canvas.path] = answer
    assert canvas.read(signed(), seconds=30)


def test_known_keys_work_on_while_the_key_set_is_away(canvas: Canvas) -> None:
    canvas.read(signed())
    canvas.server.answers[canvas.path] = json_answer({}, 503)
    assert canvas.read(signed(), seconds=7200)
    with pytest.raises(UnavailableError):
        canvas.read(signed("december", kid="2026-12"), seconds=7200)


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:9/jwks", "file:///etc/passwd"])
def test_an_address_without_a_key_set_is_a_passing_fault(address: str) -> None:
    options = {"jwks_url": f"{address}?{uuid4().hex}", "root_account_uuid": ACCOUNT}
    with pytest.raises(UnavailableError):
        KIND.verify(signed(), access(options=options))
