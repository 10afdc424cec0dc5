"""The login request and the redirect to the platform."""

from urllib.parse import urlsplit

import pytest

from lti_tool.lti.errors import LaunchError
from lti_tool.models import Platform
from tests.unit.lti.lti_testing import CLIENT_ID, ISSUER, LAUNCH_URL, NOW, World, query_of


def add_platform(world: World, client_id: str, *, enabled: bool = True) -> None:
    former = world.platform()
    with world.database.write() as session:
        session.add(
            Platform(
                name=client_id,
                issuer=ISSUER,
                client_id=client_id,
                enabled=enabled,
                created_at=NOW,
                auth_login_url=former.auth_login_url,
                auth_token_url=former.auth_token_url,
                jwks_url=former.jwks_url,
            )
        )
        session.commit()


def refusal_of(world: World, **params: str) -> str:
    with pytest.raises(LaunchError) as refusal:
        world.login(**params)
    return refusal.value.code


def test_the_browser_is_sent_to_the_platform_with_every_parameter_of_the_specification(world: World) -> None:
    redirect = world.login()
    query = query_of(redirect.url)
    assert redirect.url.startswith(f"{ISSUER}/mod/lti/auth.php?")
    assert len(query.pop("state")) > 100
    assert len(query.pop("nonce")) > 40
    assert query == {
        "scope": "openid",
        "response_type": "id_token",
        "response_mode": "form_post",
        "prompt": "none",
        "client_id": CLIENT_ID,
        "redirect_uri": LAUNCH_URL,
        "login_hint": "4",
        "lti_message_hint": '{"cmid":2,"launchid":"ltilaunch1_719321973"}',
    }


def test_no_message_hint_is_sent_when_none_came(world: World) -> None:
    assert "lti_message_hint" not in query_of(world.login(lti_message_hint="").url)


def test_a_query_of_the_authentication_address_is_kept(world: World) -> None:
    world.change_platform(auth_login_url="https://sso.example/auth?tenant=a%26b")
    url = urlsplit(world.login().url)
    assert url.query.startswith("tenant=a%26b&scope=openid&")


def test_each_login_has_its_own_state_nonce_and_cookie(world: World) -> None:
    first, second = world.login(), world.login()
    assert first.cookie_name != second.cookie_name
    assert first.cookie_name.startswith("lti_state_")
    assert len(first.cookie_name) == len("lti_state_") + 12
    assert query_of(first.url)["nonce"] != query_of(second.url)["nonce"]


def test_the_secrets_of_the_browser_are_not_in_the_address(world: World) -> None:
    redirect = world.login()
    assert redirect.cookie_value not in redirect.url
    assert query_of(redirect.url)["nonce"] not in query_of(redirect.url)["state"]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"iss": ""}, "issuer_missing"),
        ({"login_hint": ""}, "login_hint_missing"),
        ({"target_link_uri": ""}, "target_missing"),
        ({"target_link_uri": "https://evil.example/"}, "target_elsewhere"),
        ({"target_link_uri": "https://tool.example:444/"}, "target_elsewhere"),
        ({"target_link_uri": "https://tool.example:port/"}, "target_elsewhere"),
        ({"target_link_uri": "javascript:alert(1)"}, "target_elsewhere"),
        ({"iss": "https://other.example"}, "unknown_platform"),
        ({"client_id": "other"}, "unknown_platform"),
    ],
)
def test_a_bad_login_request_is_refused(world: World, params: dict[str, str], code: str) -> None:
    assert refusal_of(world, **params) == code


def test_without_a_client_id_the_only_platform_of_the_issuer_is_taken(world: World) -> None:
    add_platform(world, "switched-off", enabled=False)
    assert query_of(world.login(client_id="").url)["client_id"] == CLIENT_ID


def test_without_a_client_id_two_platforms_of_one_issuer_are_ambiguous(world: World) -> None:
    add_platform(world, "second")
    assert refusal_of(world, client_id="") == "platform_ambiguous"
    assert query_of(world.login(client_id="second", lti_deployment_id="new").url)["client_id"] == "second"


def test_a_disabled_platform_starts_no_login(world: World) -> None:
    world.change_platform(enabled=False)
    assert refusal_of(world) == "platform_disabled"
    assert refusal_of(world, client_id="") == "platform_disabled"
