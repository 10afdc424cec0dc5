"""The platforms' keys: kept, fetched again in time, and never in the way of a launch."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse
from werkzeug.wrappers import Request, Response

from lti_tool.jwks import fetch_key_set
from lti_tool.lti.errors import LaunchError
from lti_tool.models import Platform
from tests.http_server import AnsweringServer, json_answer
from tests.unit.lti.lti_testing import NOW, World, private_key, public_jwk


def key_numbers(world: World, kid: str = "key-1", now: datetime = NOW) -> object:
    return world.keysets.key(world.platform(), kid, now).public_numbers()


def numbers_of(name: str) -> object:
    return private_key(name).public_key().public_numbers()


def refusal_of(world: World, kid: str, now: datetime = NOW) -> LaunchError:
    with pytest.raises(LaunchError) as refusal:
        key_numbers(world, kid, now)
    return refusal.value


def test_a_key_set_is_fetched_once_and_kept_for_an_hour(world: World) -> None:
    assert key_numbers(world) == numbers_of("platform")
    key_numbers(world, now=NOW + timedelta(minutes=59))
    assert world.server.count("/jwks") == 1
    key_numbers(world, now=NOW + timedelta(minutes=60))
    assert world.server.count("/jwks") == 2


@pytest.mark.parametrize(
    ("header", "minutes"),
    [("max-age=7200", 120), ("public, Max-Age=1", 5), ("max-age=99999999", 1440), ("no-cache", 60)],
)
def test_the_platform_says_how_long_its_keys_are_good(world: World, header: str, minutes: int) -> None:
    world.server.answers["/jwks"] = json_answer({"keys": [public_jwk()]}, Cache_Control=header)
    key_numbers(world)
    key_numbers(world, now=NOW + timedelta(minutes=minutes, seconds=-1))
    assert world.server.count("/jwks") == 1
    key_numbers(world, now=NOW + timedelta(minutes=minutes))
    assert world.server.count("/jwks") == 2


def test_an_unknown_key_is_looked_for_once_in_thirty_seconds(world: World) -> None:
    key_numbers(world)
    world.server.answers["/jwks"] = json_answer({"keys": [public_jwk(), public_jwk("key-2", "next")]})
    assert refusal_of(world, "key-2", NOW + timedelta(seconds=29)).code == "unknown_key"
    assert world.server.count("/jwks") == 1
    assert key_numbers(world, "key-2", NOW + timedelta(seconds=30)) == numbers_of("next")
    assert key_numbers(world, now=NOW + timedelta(seconds=31)) == numbers_of("platform")
    assert world.server.count("/jwks") == 2


def test_a_key_that_the_platform_withdrew_is_refused_after_the_next_fetch(world: World) -> None:
    key_numbers(world)
    world.server.answers["/jwks"] = json_answer({"keys": [public_jwk("key-2", "next")]})
    assert refusal_of(world, "key-1", NOW + timedelta(hours=2)).code == "unknown_key"


def test_an_old_key_works_on_when_the_platform_does_not_answer(world: World) -> None:
    key_numbers(world)
    world.server.answers["/jwks"] = json_answer({}, 503)
    for seconds in (0, 10):
        assert key_numbers(world, now=NOW + timedelta(hours=2, seconds=seconds)) == numbers_of("platform")
    assert world.server.count("/jwks") == 2


def test_a_platform_that_did_not_answer_is_left_alone_for_thirty_seconds(world: World) -> None:
    good, world.server.answers["/jwks"] = world.server.answers["/jwks"], json_answer({}, 503)
    assert refusal_of(world, "key-1").code == "key_set_unreachable"
    world.server.answers["/jwks"] = good
    assert refusal_of(world, "key-1", NOW + timedelta(seconds=29)).code == "key_set_unreachable"
    assert world.server.count("/jwks") == 1
    assert key_numbers(world, now=NOW + timedelta(seconds=30)) == numbers_of("platform")


def html(request: Request) -> Response:
    return Response("<h1>Please log in</h1>")


def huge(request: Request) -> Response:
    return Response(b'{"keys": [' + b" " * 300_000 + b"]}")


def deep(request: Request) -> Response:
    return Response(b"[" * 100_000)


@pytest.mark.parametrize(
    "answer",
    [html, huge, deep, json_answer([]), json_answer({"keys": {}}), json_answer({"keys": []}, 404)],
    ids=["html", "huge", "deep", "list", "no list", "404"],
)
def test_nonsense_is_no_key_set(world: World, answer: Callable[[Request], Response]) -> None:
    world.server.answers["/jwks"] = answer
    refusal = refusal_of(world, "key-1")
    assert refusal.code == "key_set_unreachable"
    assert "Moodle of the school" in refusal.advice
    assert f"{world.server.url}/jwks" in refusal.advice
    assert world.platform().jwks is None


def test_an_address_where_nobody_listens_is_named(world: World) -> None:
    gone = AnsweringServer()
    gone.stop()
    world.change_platform(jwks_url=f"{gone.url}/jwks")
    assert f"{gone.url}/jwks" in refusal_of(world, "key-1").advice


@pytest.mark.parametrize(
    "spoiled",
    [{"alg": "RS512"}, {"use": "enc"}, {"kty": "EC"}, {"n": 5}, {"e": "!"}, {"n": ""}],
    ids=str,
)
def test_a_key_for_something_else_is_not_used(world: World, spoiled: dict[str, Any]) -> None:
    world.server.answers["/jwks"] = json_answer({"keys": [public_jwk(**spoiled), "nonsense"]})
    assert refusal_of(world, "key-1").code == "unknown_key"


def test_a_key_without_algorithm_and_use_is_taken(world: World) -> None:
    bare = {name: value for name, value in public_jwk().items() if name not in ("alg", "use")}
    world.server.answers["/jwks"] = json_answer({"keys": [bare]})
    assert key_numbers(world) == numbers_of("platform")


def test_many_launches_at_once_fetch_the_keys_once(world: World) -> None:
    platform: Platform = world.platform()
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: world.keysets.key(platform, "key-1", NOW), range(8)))
    assert {key.public_numbers() for key in keys} == {numbers_of("platform")}
    assert world.server.count("/jwks") == 1


def test_a_platform_that_hangs_does_not_take_others_along(world: World) -> None:
    hanging, answer = Event(), Event()

    def hang(request: Request) -> Response:
        hanging.set()
        answer.wait(10)
        return json_answer({"keys": []})(request)

    healthy = world.platform()
    key_numbers(world)
    with world.database.write() as session:
        ill = Platform(
            name="Ill",
            issuer="https://ill.example",
            client_id="c",
            auth_login_url="https://ill.example/a",
            auth_token_url="https://ill.example/t",
            jwks_url=f"{world.server.url}/hanging",
            created_at=NOW,
        )
        session.add(ill)
        session.commit()
    world.server.answers["/hanging"] = hang
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.keysets.key, ill, "key-1", NOW)
        assert hanging.wait(10)
        # The other platform's key set is old and is fetched while the first one still hangs.
        later = NOW + timedelta(hours=2)
        assert world.keysets.key(healthy, "key-1", later).public_numbers() == numbers_of("platform")
        assert not waiting.done()
        answer.set()
        with pytest.raises(LaunchError):
            waiting.result(10)


def test_no_write_lock_is_held_while_the_platform_answers(world: World) -> None:
    def write_meanwhile(request: Request) -> Response:
        world.change_platform(name="changed meanwhile")
        return json_answer({"keys": [public_jwk()]})(request)

    world.server.answers["/jwks"] = write_meanwhile
    key_numbers(world)
    assert world.platform().name == "changed meanwhile"
    assert world.platform().jwks is not None


def test_a_launch_goes_through_a_rotation_of_the_platforms_keys(world: World) -> None:
    world.verify(world.draft())
    world.server.answers["/jwks"] = json_answer({"keys": [public_jwk(), public_jwk("key-2", "next")]})
    draft = world.draft()
    draft.headers, draft.key, draft.now = {"kid": "key-2"}, "next", NOW + timedelta(seconds=40)
    assert world.verify(draft).launch.platform_id == world.platform_id


def test_a_key_set_is_not_followed_to_an_address_without_encryption() -> None:
    class Redirecting(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
            answer = requests.Response()
            answer.url, answer.request = request.url or "", request
            is_first = answer.url.startswith("https://")
            answer.status_code = 302 if is_first else 200
            answer.headers["Location"] = "http://lms.example/jwks"
            answer.raw = HTTPResponse(io.BytesIO(b'{"keys": []}'), preload_content=False)
            return answer

        def close(self) -> None:
            pass

    with requests.Session() as session:
        session.mount("https://", Redirecting())
        session.mount("http://", Redirecting())
        with pytest.raises(ValueError, match="without encryption"):
            fetch_key_set(session, "https://lms.example/jwks")
