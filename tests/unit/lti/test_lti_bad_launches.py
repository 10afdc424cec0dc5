"""Every launch that must be refused (LMS.md §8, §8.2; LTI certification §6.1.1), each by its own code."""

import hashlib
import hmac
import math
import string
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lti_tool.lti.errors import LaunchError
from lti_tool.lti.launch import consume_nonce
from tests.unit.lti.lti_testing import CLIENT_ID, LTI, NOW, Draft, World, private_key, segment

Spoil = Callable[[Draft], None]
SECONDS = int(NOW.timestamp())


def claim(name: str, value: object) -> Spoil:
    return lambda draft: draft.claims.update({name: value})


def without(name: str) -> Spoil:
    return lambda draft: draft.claims.pop(name)


def lti(name: str, value: object) -> Spoil:
    return claim(f"{LTI}{name}", value)


def without_lti(name: str) -> Spoil:
    return without(f"{LTI}{name}")


def field(**fields: str) -> Spoil:
    return lambda draft: draft.form.update(fields)


def header(**headers: object) -> Spoil:
    return lambda draft: draft.headers.update(headers)


def by(sign: Callable[[Draft], str]) -> Spoil:
    def spoil(draft: Draft) -> None:
        draft.sign = sign

    return spoil


def both(*spoils: Spoil) -> Spoil:
    def spoil(draft: Draft) -> None:
        for each in spoils:
            each(draft)

    return spoil


def deep_linking(**more: str) -> Spoil:
    settings = {"deep_link_return_url": "https://moodle.example/back", "accept_types": ["ltiResourceLink"]} | more
    is_asked = lti("message_type", "LtiDeepLinkingRequest")
    return both(is_asked, claim("https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings", settings))


def attribute(name: str, value: object) -> Spoil:
    return lambda draft: setattr(draft, name, value)


def unsigned(draft: Draft) -> str:
    return f"{segment({'alg': 'none', 'kid': 'key-1'})}.{segment(draft.claims)}."


def hmac_with_public_key(draft: Draft) -> str:
    secret = private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{segment({'alg': 'HS256', 'kid': 'key-1'})}.{segment(draft.claims)}"
    mac = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return f"{text}.{segment(mac)}"


def tampered(draft: Draft) -> str:
    head, _, signature = draft.token().split(".")
    return f"{head}.{segment({**draft.claims, 'sub': 'teacher'})}.{signature}"


def stripped_state(draft: Draft) -> None:
    del draft.form["state"]


def tampered_state(draft: Draft) -> None:
    last = draft.form["state"][-6]
    swapped = next(char for char in string.ascii_letters if char != last)
    draft.form["state"] = draft.form["state"][:-6] + swapped + draft.form["state"][-5:]


def other_secret(draft: Draft) -> None:
    draft.cookies = dict.fromkeys(draft.cookies, "another secret")


BAD_LAUNCHES: dict[str, tuple[Spoil, str]] = {
    # The names of the certification suite
    "no kid in header": (attribute("headers", {}), "kid_missing"),
    "incorrect kid": (header(kid="key-2"), "unknown_key"),
    "wrong lti version": (lti("version", "1.1.0"), "wrong_version"),
    "no lti version": (without_lti("version"), "wrong_version"),
    "not a 1.3 launch": (by(lambda _: "this is no token"), "token_unreadable"),
    "missing lti claims": (attribute("claims", {"nonce": "n"}), "nonce_wrong"),
    "exp passed": (both(claim("exp", SECONDS - 11), claim("iat", SECONDS - 60)), "token_expired"),
    "iat in the future": (claim("iat", SECONDS + 11), "token_from_future"),
    "message_type missing": (without_lti("message_type"), "message_type_missing"),
    "role missing": (without_lti("roles"), "roles_missing"),
    "deployment_id missing": (without_lti("deployment_id"), "deployment_missing"),
    "resource_link missing": (without_lti("resource_link"), "resource_link_missing"),
    "resource_link.id missing": (lti("resource_link", {"title": "x"}), "resource_link_missing"),
    "user missing": (without("sub"), "anonymous"),
    # State and browser
    "no state": (stripped_state, "state_missing"),
    "empty state": (field(state=""), "state_missing"),
    "made-up state": (field(state="state-made.up"), "state_invalid"),
    "tampered state": (tampered_state, "state_invalid"),
    "another browser": (attribute("cookies", {}), "state_foreign"),
    "a cookie with another secret": (other_secret, "state_foreign"),
    "after ten minutes": (attribute("now", NOW + timedelta(seconds=601)), "state_expired"),
    # Token and signature
    "an LTI 1.1 form": (field(id_token="", oauth_signature="x"), "token_missing"),
    "claims that are a list": (
        attribute("sign", lambda _: f"{segment({'kid': 'x'})}.{segment([])}.x"),
        "token_unreadable",
    ),
    "header that is a list": (
        attribute("sign", lambda _: f"{segment([])}.{segment({})}.x"),
        "token_unreadable",
    ),
    "alg none": (by(unsigned), "wrong_algorithm"),
    "HS256 with the public key": (by(hmac_with_public_key), "wrong_algorithm"),
    "RS512": (by(lambda draft: draft.token("RS512")), "wrong_algorithm"),
    "kid that is a number": (
        by(lambda d: f"{segment({'alg': 'RS256', 'kid': 7})}.{segment(d.claims)}.x"),
        "kid_missing",
    ),
    "signed with another key": (attribute("key", "stranger"), "bad_signature"),
    "tampered payload": (by(tampered), "bad_signature"),
    # Parties
    "unknown issuer": (claim("iss", "https://evil.example"), "wrong_issuer"),
    "issuer with a slash more": (claim("iss", "https://moodle.example/"), "wrong_issuer"),
    "no issuer": (without("iss"), "wrong_issuer"),
    "another audience": (claim("aud", "other"), "wrong_audience"),
    "no audience": (without("aud"), "wrong_audience"),
    "audience that contains our id": (claim("aud", f"{CLIENT_ID}-2"), "wrong_audience"),
    "stranger first in aud": (claim("aud", ["stranger", CLIENT_ID]), "untrusted_audience"),
    "stranger last in aud": (claim("aud", [CLIENT_ID, "stranger"]), "untrusted_audience"),
    "azp not ours": (claim("azp", "stranger"), "wrong_authorized_party"),
    "two audiences and azp not ours": (
        both(claim("aud", [CLIENT_ID, "stranger"]), claim("azp", "stranger")),
        "wrong_authorized_party",
    ),
    # Times
    "no exp": (without("exp"), "expiry_missing"),
    "exp as text": (claim("exp", str(SECONDS + 60)), "expiry_missing"),
    "exp NaN": (claim("exp", math.nan), "expiry_missing"),
    "exp infinite": (claim("exp", math.inf), "expiry_missing"),
    "exp without end": (claim("exp", 10**400), "expiry_missing"),
    "iat before all time": (claim("iat", -(10**400)), "issued_at_missing"),
    "no iat": (without("iat"), "issued_at_missing"),
    "iat a week ago": (claim("iat", SECONDS - 7 * 86400), "token_too_old"),
    "iat over an hour ago": (claim("iat", SECONDS - 3611), "token_too_old"),
    "nbf in the future": (claim("nbf", SECONDS + 60), "token_from_future"),
    # Nonce
    "no nonce": (without("nonce"), "nonce_missing"),
    "nonce not ours": (claim("nonce", "another"), "nonce_wrong"),
    # Deployment
    "unknown deployment": (lti("deployment_id", "7"), "deployment_unknown"),
    "unapproved deployment": (lti("deployment_id", "new"), "deployment_not_approved"),
    "deployment id of 256 characters": (lti("deployment_id", "1" * 256), "deployment_missing"),
    # Message
    "unknown message_type": (lti("message_type", "LtiSubmissionReviewRequest"), "message_type_unknown"),
    "deep linking without settings": (lti("message_type", "LtiDeepLinkingRequest"), "deep_link_return_missing"),
    "deep linking with data that is too long": (deep_linking(data="x" * 64_001), "deep_link_data_too_long"),
    "deep linking without a place to show it": (deep_linking(), "message_incomplete"),
    "roles as text": (lti("roles", "Learner"), "roles_missing"),
    "resource_link as text": (lti("resource_link", "1"), "resource_link_missing"),
    "no target": (without_lti("target_link_uri"), "target_missing"),
    "target elsewhere": (lti("target_link_uri", "https://evil.example/lti/launch"), "target_elsewhere"),
    "target with our name as user": (
        lti("target_link_uri", "https://tool.example@evil.example/"),
        "target_elsewhere",
    ),
    "target over http": (lti("target_link_uri", "http://tool.example/lti/launch"), "target_elsewhere"),
    "empty user": (claim("sub", ""), "anonymous"),
    "unexpanded user": (claim("sub", "$User.id"), "anonymous"),
    "user id of 256 characters": (claim("sub", "4" * 256), "claim_unusable"),
    "context id with NUL": (lti("context", {"id": "2\x00"}), "claim_unusable"),
}


@pytest.mark.parametrize(("spoil", "code"), BAD_LAUNCHES.values(), ids=BAD_LAUNCHES.keys())
def test_a_bad_launch_is_refused_and_says_why(world: World, spoil: Spoil, code: str) -> None:
    draft = world.draft()
    spoil(draft)
    with pytest.raises(LaunchError) as refusal:
        world.verify(draft)
    assert refusal.value.code == code
    assert refusal.value.status in (400, 401, 403)
    assert len(refusal.value.advice) > 40
    assert "{" not in refusal.value.advice


def test_the_same_launch_works_only_once(world: World) -> None:
    draft = world.draft()
    assert code_of(world, draft) is None
    assert code_of(world, draft) == "nonce_replayed"


def test_a_second_token_with_the_same_nonce_is_refused(world: World) -> None:
    draft = world.draft()
    assert code_of(world, draft) is None
    draft.claims["sub"] = "5"
    assert code_of(world, draft) == "nonce_replayed"


def test_a_verified_launch_cannot_be_kept_for_after_its_nonce_is_forgotten(world: World) -> None:
    verified = world.verify(world.draft())
    with world.database.write() as session, pytest.raises(LaunchError) as refusal:
        consume_nonce(session, verified, verified.nonce_expires_at)
    assert refusal.value.code == "state_expired"


def test_a_refused_replay_leaves_the_callers_transaction_usable(world: World) -> None:
    draft = world.draft()
    verified = world.verify(draft)
    with world.database.write() as session:
        consume_nonce(session, verified, NOW)
        with pytest.raises(LaunchError):
            consume_nonce(session, verified, NOW)
        session.commit()
    assert code_of(world, draft) == "nonce_replayed"


def test_a_disabled_platform_does_not_launch(world: World) -> None:
    draft = world.draft()
    world.change_platform(enabled=False)
    assert code_of(world, draft) == "platform_disabled"


def test_a_deployment_of_another_platform_does_not_launch(world: World) -> None:
    draft = world.draft()
    world.change_platform(client_id="renamed")
    draft.claims["aud"] = "renamed"
    draft.claims[f"{LTI}deployment_id"] = "2"
    assert code_of(world, draft) == "deployment_unknown"


def test_what_the_platform_answers_instead_of_a_launch_is_shown(world: World) -> None:
    draft = world.draft()
    draft.form.update(error="launch_no_longer_valid", error_description="The launch\nhas expired")
    with pytest.raises(LaunchError) as refusal:
        world.verify(draft)
    assert refusal.value.code == "platform_refused"
    assert "launch_no_longer_valid (The launch has expired)" in refusal.value.advice


def test_words_that_no_login_of_this_browser_asked_for_are_not_shown(world: World) -> None:
    draft = world.draft()
    draft.cookies = {}
    draft.form.update(error="login<b>required", error_description="Call 555-1234 {now}")
    with pytest.raises(LaunchError) as refusal:
        world.verify(draft)
    assert "loginbrequired" in refusal.value.advice
    assert "555" not in refusal.value.advice


def code_of(world: World, draft: Draft) -> str | None:
    """The code by which a launch is refused, None when it works; a launch that works is recorded."""
    try:
        verified = world.verify(draft)
        with world.database.write() as session:
            consume_nonce(session, verified, draft.now)
            session.commit()
    except LaunchError as error:
        return error.code
    return None
