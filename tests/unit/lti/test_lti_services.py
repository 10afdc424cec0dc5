"""Access tokens and paged answers of a platform's services."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import select
from werkzeug.wrappers import Request, Response

from lti_tool.http import new_session
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.keys import public_jwks
from lti_tool.lti.links import linked
from lti_tool.lti.services import ServiceClient
from lti_tool.models import PlatformToken
from lti_tool.vault import Vault
from tests.http_server import Answer, AnsweringServer, json_answer
from tests.unit.lti.lti_testing import CLIENT_ID, NOW, World

SCOPES = ["https://scopes.example/results", "https://scopes.example/items"]
GRANT = {"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600, "scope": " ".join(SCOPES)}


@pytest.fixture
def client(world: World) -> Iterator[ServiceClient]:
    """A client of the platform, which grants every token."""
    world.server.answers["/token"] = json_answer(GRANT)
    http = new_session(allow_private_addresses=True)
    yield ServiceClient(world.database, Vault(["v" * 40]), http, pauses=())
    http.close()


def pages(client: ServiceClient, world: World, path: str = "/items", now: datetime = NOW) -> list[Any]:
    found = client.get_pages(world.platform_id, world.server.url + path, SCOPES, "application/x", now)
    return [page.body for page in found]


def error_of(client: ServiceClient, world: World, path: str = "/items") -> LtiServiceError:
    with pytest.raises(LtiServiceError) as failure:
        pages(client, world, path)
    assert "Moodle of the school" in failure.value.advice
    assert len(failure.value.advice) > 60
    return failure.value


def test_a_token_is_asked_for_with_an_assertion_of_ours(client: ServiceClient, world: World) -> None:
    assert client.token(world.platform_id, SCOPES, NOW) == "token-1"
    form = world.server.seen[-1].form
    assert form["grant_type"] == "client_credentials"
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert form["scope"] == " ".join(sorted(SCOPES))
    with world.database.read() as session:
        (jwk,) = public_jwks(session)["keys"]
    assertion = form["client_assertion"]
    assert jwt.get_unverified_header(assertion)["kid"] == jwk["kid"]
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(assertion, jwt.PyJWK(jwk), ["RS256"], audience=f"{world.server.url}/token", options=options)
    assert (claims["iss"], claims["sub"]) == (CLIENT_ID, CLIENT_ID)
    assert claims["exp"] - int(NOW.timestamp()) == 300
    assert len(claims["jti"]) > 20


def test_a_platform_may_have_an_audience_of_its_own(client: ServiceClient, world: World) -> None:
    world.change_platform(auth_audience="https://api.brightspace.example/auth/token")
    client.token(world.platform_id, SCOPES, NOW)
    assertion = world.server.seen[-1].form["client_assertion"]
    claims = jwt.decode(assertion, options={"verify_signature": False})
    assert claims["aud"] == "https://api.brightspace.example/auth/token"


def test_a_token_is_kept_until_a_minute_before_its_end(client: ServiceClient, world: World) -> None:
    client.token(world.platform_id, SCOPES, NOW)
    client.token(world.platform_id, SCOPES[::-1], NOW + timedelta(seconds=3539))
    assert world.server.count("/token") == 1
    world.server.answers["/token"] = json_answer({**GRANT, "access_token": "token-2"})
    assert client.token(world.platform_id, SCOPES, NOW + timedelta(seconds=3540)) == "token-2"
    assert client.token(world.platform_id, SCOPES, NOW + timedelta(seconds=3541)) == "token-2"
    assert world.server.count("/token") == 2


@pytest.mark.parametrize("told", [10**15, 10**400, "9" * 400, 3600.5, -1, None])
def test_a_lifetime_beyond_all_measure_is_none(client: ServiceClient, world: World, told: object) -> None:
    world.server.answers["/token"] = json_answer({**GRANT, "expires_in": told})
    client.token(world.platform_id, SCOPES, NOW)
    client.token(world.platform_id, SCOPES, NOW + timedelta(minutes=50))
    assert world.server.count("/token") == 1
    client.token(world.platform_id, SCOPES, NOW + timedelta(days=2))
    assert world.server.count("/token") == 2


def test_tokens_for_other_scopes_are_kept_apart(client: ServiceClient, world: World) -> None:
    client.token(world.platform_id, SCOPES, NOW)
    client.token(world.platform_id, SCOPES[:1], NOW)
    assert world.server.count("/token") == 2


def test_a_token_is_stored_sealed(client: ServiceClient, world: World) -> None:
    client.token(world.platform_id, SCOPES, NOW)
    with world.database.read() as session:
        row = session.scalars(select(PlatformToken)).one()
    assert "token-1" not in row.sealed_token


def test_a_token_sealed_with_a_lost_key_is_asked_for_again(client: ServiceClient, world: World) -> None:
    client.token(world.platform_id, SCOPES, NOW)
    with world.database.write() as session:
        session.scalars(select(PlatformToken)).one().sealed_token = "lost"
        session.commit()
    assert client.token(world.platform_id, SCOPES, NOW) == "token-1"


def test_a_platform_that_grants_less_is_an_error_that_names_what_is_missing(
    client: ServiceClient, world: World
) -> None:
    world.server.answers["/token"] = json_answer({**GRANT, "scope": SCOPES[0]})
    error = error_of(client, world)
    assert not error.retryable
    assert SCOPES[1] in error.advice
    assert SCOPES[0] not in error.advice


@pytest.mark.parametrize(
    ("status", "body", "retryable"),
    [
        (400, {"error": "invalid_scope"}, False),
        (401, {"error": "invalid_client"}, False),
        (400, ["nonsense"], False),
        (302, {}, False),
        (429, {}, True),
        (503, {}, True),
        (200, {"token": "x"}, True),
        (200, [], True),
    ],
)
def test_a_refused_token_says_whether_to_try_again(
    client: ServiceClient, world: World, status: int, body: object, retryable: bool
) -> None:
    world.server.answers["/token"] = json_answer(body, status)
    error = error_of(client, world)
    assert (error.retryable, error.status) == (retryable, status)


def test_one_page_is_read_with_the_token_and_the_accept_header(client: ServiceClient, world: World) -> None:
    world.server.answers["/items"] = json_answer([{"id": 1}])
    assert pages(client, world, "/items?type_id=1") == [[{"id": 1}]]
    request = world.server.seen[-1]
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.headers["Accept"] == "application/x"
    assert request.query_string == b"type_id=1"


def paged(last: int, link: str) -> Answer:
    def answer(request: Request) -> Response:
        number = int(request.args.get("Cursor", "0"))
        header = link.format(url=request.base_url, next=number + 1) if number < last else ""
        return json_answer({"page": number}, Link=header)(request)

    return answer


@pytest.mark.parametrize(
    "link",
    ['<{url}?Cursor={next}>; rel="next"', '<?Cursor={next}>; rel=next, <{url}?Cursor=0>; rel="first"'],
)
def test_every_page_is_read(client: ServiceClient, world: World, link: str) -> None:
    world.server.answers["/items"] = paged(3, link)
    assert [page["page"] for page in pages(client, world)] == [0, 1, 2, 3]
    assert world.server.count("/token") == 1


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ('<https://x.example/a?Cursor=AbC>; rel="next"', "https://x.example/a?Cursor=AbC"),
        (
            "<https://x.example/i?type_id=1&amp;limit=1&amp;from=1>; rel=â\x80\x9cnextâ\x80\x9d",
            "https://x.example/i?type_id=1&limit=1&from=1",
        ),
        ('<https://x.example/1>; rel="prev", <https://x.example/a,b>; rel="next"', "https://x.example/a,b"),
        ('<https://x.example/3>; title="rel"; REL="last next"', "https://x.example/3"),
        ('<https://x.example/1>; rel="first", <https://x.example/9>; rel="last"', None),
        ('<https://x.example/next>; rel="differences"', None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_link_headers_are_read_as_platforms_write_them(header: str, address: str | None) -> None:
    assert linked(header, "next", "https://x.example/") == address


def test_pages_that_go_round_are_an_error(client: ServiceClient, world: World) -> None:
    world.server.answers["/items"] = json_answer([], Link='</items>; rel="next"')
    error = error_of(client, world)
    assert not error.retryable
    assert world.server.count("/items") == 1


def test_pages_without_end_are_an_error(client: ServiceClient, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lti_tool.lti.services.MAXIMUM_PAGES", 5)
    world.server.answers["/items"] = paged(10**9, '<?Cursor={next}>; rel="next"')
    assert "come to an end" in error_of(client, world).advice
    assert world.server.count("/items") == 5


def test_the_token_is_not_carried_to_another_server(client: ServiceClient, world: World) -> None:
    other = AnsweringServer()
    world.server.answers["/items"] = json_answer([], Link=f'<{other.url}/items>; rel="next"')
    world.server.answers["/moved"] = lambda _: Response("", 302, {"Location": f"{other.url}/items"})
    assert "another server" in error_of(client, world).advice
    assert error_of(client, world, "/moved").status == 302
    other.stop()
    assert other.seen == []


def test_a_refused_token_is_renewed_once(client: ServiceClient, world: World) -> None:
    tokens = iter(["old", "new"])
    world.server.answers["/token"] = lambda _: Response(json.dumps({"access_token": next(tokens)}))
    world.server.answers["/items"] = lambda request: json_answer(
        [], 200 if request.headers["Authorization"] == "Bearer new" else 401
    )(request)
    assert pages(client, world) == [[]]
    assert pages(client, world) == [[]]
    assert world.server.count("/token") == 2


def test_a_platform_that_refuses_every_token_is_an_error(client: ServiceClient, world: World) -> None:
    world.server.answers["/items"] = json_answer([], 401)
    error = error_of(client, world)
    assert (error.retryable, error.status) == (False, 401)
    assert world.server.count("/items") == 2


@pytest.mark.parametrize(
    ("status", "body", "retryable"),
    [
        (403, {}, False),
        (404, {}, False),
        (400, {}, False),
        (429, {}, True),
        (502, {}, True),
        (200, "x", True),
    ],
)
def test_a_failed_call_says_whether_to_try_again(
    client: ServiceClient, world: World, status: int, body: object, retryable: bool
) -> None:
    world.server.answers["/items"] = json_answer(body, status)
    error = error_of(client, world, "/items?secret=1")
    assert (error.retryable, error.status) == (retryable, status)
    assert "secret" not in error.advice


def test_an_answer_that_is_no_json_is_worth_another_try(client: ServiceClient, world: World) -> None:
    world.server.answers["/items"] = lambda _: Response("<h1>Maintenance</h1>")
    assert error_of(client, world).retryable


def test_a_server_that_is_down_is_worth_another_try(client: ServiceClient, world: World) -> None:
    gone = AnsweringServer()
    gone.stop()
    with pytest.raises(LtiServiceError) as failure:
        list(client.get_pages(world.platform_id, f"{gone.url}/x", SCOPES, "a", NOW))
    assert (failure.value.retryable, failure.value.status) == (True, None)
    world.change_platform(auth_token_url=f"{gone.url}/token")
    with pytest.raises(LtiServiceError) as failure:
        client.token(world.platform_id, SCOPES[:1], NOW)
    assert failure.value.retryable


def test_a_disabled_or_removed_platform_is_not_called(client: ServiceClient, world: World) -> None:
    world.change_platform(enabled=False)
    for platform_id in (world.platform_id, 99):
        with pytest.raises(LtiServiceError) as failure:
            client.token(platform_id, SCOPES, NOW)
        assert not failure.value.retryable
    assert world.server.seen == []


@pytest.fixture
def patient(world: World) -> Iterator[ServiceClient]:
    """A client that asks up to three times, without waiting between."""
    world.server.answers["/token"] = json_answer(GRANT)
    with new_session(allow_private_addresses=True) as http:
        yield ServiceClient(world.database, Vault(["v" * 40]), http, pauses=(0, 0))


@pytest.mark.parametrize(("failures", "status"), [(1, 503), (2, 429), (2, 500)])
def test_a_page_is_asked_for_again_where_that_may_help(
    patient: ServiceClient, world: World, failures: int, status: int
) -> None:
    answers = iter([json_answer({}, status)] * failures)

    def answer(request: Request) -> Response:
        return next(answers, json_answer(["x"]))(request)

    world.server.answers["/items"] = answer
    assert pages(patient, world) == [["x"]]
    assert world.server.count("/items") == failures + 1


def test_what_fails_for_good_is_asked_for_once_and_what_goes_on_failing_three_times(
    patient: ServiceClient, world: World
) -> None:
    world.server.answers["/items"] = json_answer({}, 403)
    assert not error_of(patient, world).retryable
    assert world.server.count("/items") == 1
    world.server.answers["/items"] = json_answer({}, 503)
    assert error_of(patient, world).retryable
    assert world.server.count("/items") == 4
