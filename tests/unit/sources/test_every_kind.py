"""What holds for every kind of source, whatever is sent to it."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from lti_tool.domain.events import GradeEvent
from lti_tool.sources import KINDS
from lti_tool.sources.kind import Delivery, MalformedError, SignatureError, SourceKind
from tests.unit.sources.sources_testing import access

# What the tool makes by itself is not posted by a sender with a secret.
POSTED = {name: kind for name, kind in KINDS.items() if name not in ("pull", "notices")}
EVERY_KIND = pytest.mark.parametrize("kind", POSTED.values(), ids=POSTED.keys())
UUID = "457f0c26-a1a5-11ed-afe6-0242ac140007"
# Words that make the kinds look closer.
WORDS = [
    "grade_change",
    "course_completed",
    "submission_updated",
    "quiz_submitted",
    "GradeEvent",
    "Graded",
    "AssessmentEvent",
    "Submitted",
    "http://adlnet.gov/expapi/verbs/scored",
    "\\core\\event\\user_graded",
    "\\mod_quiz\\event\\attempt_submitted",
    "2026-11-25T12:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "21070000000000048",
]


def members(found: Any) -> set[str]:
    """The names of all members in some JSON."""
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return {*(found if isinstance(found, dict) else ()), *(name for each in inner for name in members(each))}


EXAMPLES = [kind.example("whsec_YWFh", {}, datetime.now(UTC)) for kind in KINDS.values() if kind.example]
NAMES = sorted({name for example in EXAMPLES for name in members(json.loads(example.body))})
TEXTS = st.sampled_from([*WORDS, UUID, "", "\0", "\ud800"]) | st.text(max_size=20)
NUMBERS = st.integers() | st.sampled_from([10**40, 10**400, -(10**4000), -1, 0, 2**63]) | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | TEXTS, inner, max_size=8),
    max_leaves=40,
)


def secret_and_options(kind: SourceKind) -> tuple[str, dict[str, str]]:
    return kind.new_secret(), {option.name: "" for option in kind.options}


def shown(kind: SourceKind, secret: str, body: bytes) -> Delivery:
    """A delivery of this body that shows the secret where this kind looks for it."""
    assert kind.example is not None
    now = datetime.now(UTC)
    example = kind.example(secret, {}, now)
    headers = dict(example.headers)
    if "webhook-signature" in headers:
        with suppress(UnicodeDecodeError):
            headers["webhook-signature"] = Webhook(secret).sign(headers["webhook-id"], now, body.decode())
    if kind.shown_in == "body":
        headers["authorization"] = f"Bearer {secret}"
    return replace(example, headers=headers, body=body)


def read(kind: SourceKind, sent: Delivery, secret: str, options: Mapping[str, str] | None = None) -> list[GradeEvent]:
    payload = kind.verify(sent, access([secret], options, now=datetime.now(UTC)))
    delivery_id = kind.delivery_id(sent, payload)
    assert 0 < len(delivery_id) <= 255
    assert_storable(payload.decode(), delivery_id)
    if kind.answer is not None:
        kind.answer(payload, 1, False)
    return kind.parse(payload)


def assert_storable(*texts: str) -> None:
    for text in texts:
        assert "\0" not in text
        text.encode()


def assert_sound(events: list[GradeEvent]) -> None:
    for event in events:
        assert event.course
        assert event.person
        assert event.occurred_at.utcoffset() is not None
        ids = [*event.course, *event.person]
        assert all(0 < len(found.value) <= 255 for found in ids)
        assert 0 < len(event.activity.external_id) <= 500 + len("canvas:assignment:")
        assert len(event.activity.title) <= 500
        assert len(event.activity.kind) <= 20
        assert_storable(*(found.value for found in ids))
        assert_storable(event.activity.external_id, event.activity.title, event.activity.kind)


@EVERY_KIND
def test_the_example_of_a_kind_is_taken_and_tells_something(kind: SourceKind) -> None:
    assert kind.example is not None
    secret, options = secret_and_options(kind)
    now = datetime.now(UTC)
    sent = kind.example(secret, options, now)
    events = read(kind, sent, secret, options)
    assert len(events) == 1
    assert_sound(events)
    assert abs((events[0].occurred_at - now).total_seconds()) < 1
    assert events[0].activity.title in {"Test event", ""}
    payload = kind.verify(sent, access([secret], options))
    another = kind.example(secret, options, now)
    assert kind.delivery_id(another, kind.verify(another, access([secret], options))) != kind.delivery_id(sent, payload)


@EVERY_KIND
def test_the_example_of_a_kind_is_refused_with_another_secret(kind: SourceKind) -> None:
    assert kind.example is not None
    sent = kind.example(kind.new_secret(), {}, datetime.now(UTC))
    with pytest.raises(SignatureError):
        kind.verify(sent, access([kind.new_secret()]))
    with pytest.raises(SignatureError):
        kind.verify(sent, access([]))


@EVERY_KIND
def test_a_kind_explains_itself(kind: SourceKind) -> None:
    assert kind.label
    assert kind.shown_in in {"header", "query", "basic", "body"}
    assert len({option.name for option in kind.options}) == len(kind.options)
    assert all(option.label and option.hint.endswith(".") for option in kind.options)


@EVERY_KIND
@given(
    body=st.binary(max_size=200),
    headers=st.dictionaries(st.sampled_from(["authorization", "webhook-id"]), TEXTS),
    key=TEXTS,
)
@settings(max_examples=50, deadline=None)
def test_whatever_a_stranger_sends_is_refused(kind: SourceKind, body: bytes, headers: dict[str, str], key: str) -> None:
    with pytest.raises((SignatureError, MalformedError)):
        kind.verify(Delivery(headers, {"key": key}, body), access([kind.new_secret()]))


@EVERY_KIND
@given(body=st.binary(max_size=200) | JSON.map(lambda found: json.dumps(found).encode()))
@settings(max_examples=200, deadline=None)
def test_whatever_comes_with_the_secret_is_read_or_refused(kind: SourceKind, body: bytes) -> None:
    secret = kind.new_secret()
    with suppress(MalformedError, SignatureError):
        assert_sound(read(kind, shown(kind, secret, body), secret))


def changed(found: Any, place: int, value: Any) -> Any:
    """The same JSON with another value at one of its places, counted from the outside."""
    places: list[tuple[Any, Any]] = []
    rest = [found]
    while rest:
        inner = rest.pop()
        keys = inner.keys() if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
        places += [(inner, key) for key in keys]
        rest += [inner[key] for key in keys]
    inner, key = places[place % len(places)]
    inner[key] = value
    return found


@EVERY_KIND
@given(place=st.integers(0, 40), value=JSON)
@settings(max_examples=300, deadline=None)
def test_an_example_with_any_value_anywhere_is_read_or_refused(kind: SourceKind, place: int, value: Any) -> None:
    assert kind.example is not None
    secret = kind.new_secret()
    body = changed(json.loads(kind.example(secret, {}, datetime.now(UTC)).body), place, value)
    with suppress(MalformedError, SignatureError):
        assert_sound(read(kind, shown(kind, secret, json.dumps(body).encode()), secret))


@EVERY_KIND
@pytest.mark.parametrize("text", ["\0", "\ud800", "x\udfff"])
def test_what_a_database_cannot_keep_does_not_get_through(kind: SourceKind, text: str) -> None:
    assert kind.example is not None
    secret = kind.new_secret()
    sent = kind.example(secret, {}, datetime.now(UTC))
    body = json.dumps(json.loads(sent.body)).replace("test-", json.dumps(text)[1:-1]).replace("Test event", "test-")
    body = body.replace("10000000000001", json.dumps(text)[1:-1])
    with pytest.raises(MalformedError, match="NUL"):
        read(kind, shown(kind, secret, body.encode()), secret)


@EVERY_KIND
def test_what_is_nested_deeper_than_anybody_means_is_refused(kind: SourceKind) -> None:
    assert kind.example is not None
    secret, now = kind.new_secret(), datetime.now(UTC)
    said = json.loads(kind.example(secret, {}, now).body)

    def send(depth: int) -> None:
        more = json.dumps((said[0] if isinstance(said, list) else said) | {"more": 0})
        deep = more.replace('"more": 0', '"more": ' + '{"a":' * depth + "[" + "]" + "}" * depth)
        read(kind, shown(kind, secret, deep.encode()), secret)

    # With the outermost object and the list in the middle.
    send(62)
    with pytest.raises(MalformedError, match="more than 64"):
        send(63)


@EVERY_KIND
def test_what_a_kind_keeps_is_only_what_it_reads(kind: SourceKind) -> None:
    assert kind.example is not None
    secret = kind.new_secret()
    said = json.loads(kind.example(secret, {}, datetime.now(UTC)).body)
    payload = kind.verify(shown(kind, secret, json.dumps(noted(said)).encode()), access([secret]))
    assert b"Terry Teacher" not in payload
    assert len(kind.parse(payload)) == 1


def noted(found: Any) -> Any:
    """The same JSON with something in every object that nobody asks for."""
    if isinstance(found, list):
        return [noted(inner) for inner in found]
    if isinstance(found, dict):
        # A name in several languages has one member for each.
        more = {name: inner if name == "name" else noted(inner) for name, inner in found.items()}
        return more | {"note": "Terry Teacher"}
    return found


@EVERY_KIND
def test_deep_nesting_and_long_numbers_are_refused(kind: SourceKind) -> None:
    secret = kind.new_secret()
    for body in (b"[" * 200_000, b'{"a":' * 200_000, b"9" * 5000, b'{"data": ' + b"9" * 5000 + b"}"):
        with pytest.raises(MalformedError):
            read(kind, shown(kind, secret, body), secret)


def test_a_secret_of_nothing_opens_nothing() -> None:
    empty = base64.b64encode(b":").decode()
    for kind in POSTED.values():
        with pytest.raises(SignatureError):
            kind.verify(Delivery({"authorization": f"Basic {empty}"}, {"key": ""}, b'{"token": ""}'), access([""]))
