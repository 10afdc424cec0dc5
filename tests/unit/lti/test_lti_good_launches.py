"""Every launch that must work (LMS.md §8.1) and what the tool makes of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from lti_tool.domain.launch import Launch, LaunchCourse, LaunchLink, LaunchPerson, LaunchSite, Role
from lti_tool.lti.claims import DEEP_LINKING
from lti_tool.lti.errors import LaunchError
from lti_tool.lti.launch import VerifiedLaunch, consume_nonce
from lti_tool.lti.login import StateSigner
from tests.unit.lti.lti_testing import CLIENT_ID, ISSUER, LTI, MEMBERSHIP, NOW, Draft, World

Change = Callable[[Draft], None]
SECONDS = int(NOW.timestamp())
STUDENT = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
ASSISTANT = f"{MEMBERSHIP}/Instructor#TeachingAssistant"


def without(*names: str) -> Change:
    def change(draft: Draft) -> None:
        for name in names:
            del draft.claims[name]

    return change


def claims(**values: object) -> Change:
    return lambda draft: draft.claims.update(values)


def roles(*uris: str) -> Change:
    return lambda draft: draft.claims.update({f"{LTI}roles": list(uris)})


GOOD_LAUNCHES: dict[str, Change] = {
    "normal": lambda _: None,
    "several roles": roles(f"{MEMBERSHIP}#Learner", STUDENT),
    "short role": roles("Learner"),
    "unknown role": roles("https://school.example/roles#Prefect"),
    "no role": roles(),
    "e-mail only": without("name", "given_name", "family_name"),
    "names only": without("email"),
    "no personal data": without("email", "name", "given_name", "family_name"),
    "e-mail without context": without(f"{LTI}context", "name"),
    "our id in a list": claims(aud=[CLIENT_ID]),
    "our id last, vouched for by azp": claims(aud=["other", CLIENT_ID], azp=CLIENT_ID),
    "azp ours": claims(azp=CLIENT_ID),
    "unknown claims": claims(**{"https://school.example/claim": {"x": [1]}}),
    "expired nine seconds ago": claims(exp=SECONDS - 9),
    "issued nine seconds ahead": claims(iat=SECONDS + 9),
    "times with a fraction": claims(iat=SECONDS + 0.5, exp=SECONDS + 60.5),
    "another page of the tool": claims(**{f"{LTI}target_link_uri": "https://tool.example:443/badges?x=1"}),
    "claims of the wrong kind where they do not matter": claims(
        **{f"{LTI}context": "2", f"{LTI}launch_presentation": [], "name": 7, "email": ["a@b.example"]}
    ),
}


@pytest.mark.parametrize("change", GOOD_LAUNCHES.values(), ids=GOOD_LAUNCHES.keys())
@pytest.mark.parametrize("role", ["Learner", "Instructor"])
def test_a_good_launch_works(world: World, change: Change, role: str) -> None:
    draft = world.draft()
    draft.claims[f"{LTI}roles"] = [f"{MEMBERSHIP}#{role}"]
    change(draft)
    assert launched(world, draft).platform_id == world.platform_id


def test_a_launch_of_moodle_is_understood(world: World) -> None:
    assert launched(world, world.draft()) == Launch(
        platform_id=world.platform_id,
        deployment_id=1,
        course=LaunchCourse(
            context_id="2",
            label="BIO101",
            title="Biology 101",
            memberships_url=f"{ISSUER}/mod/lti/services.php/CourseSection/2/bindings/1/memberships",
            line_items_url=f"{ISSUER}/mod/lti/services.php/2/lineitems?type_id=1",
            service_scopes=(
                "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem",
                "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly",
            ),
        ),
        person=LaunchPerson("4", "Stu1 Dent", "student1@school.example", Role.LEARNER, is_test=False),
        locale="en",
        return_url=f"{ISSUER}/mod/lti/return.php?course=2",
        site=LaunchSite("moodle.example", ""),
        link=LaunchLink("1"),
    )


@pytest.mark.parametrize(
    ("uris", "role", "is_test"),
    [
        ([f"{MEMBERSHIP}#Instructor", ASSISTANT], Role.INSTRUCTOR, False),
        ([ASSISTANT], Role.INSTRUCTOR, False),
        ([f"{MEMBERSHIP}#Learner", STUDENT], Role.LEARNER, False),
        ([f"{MEMBERSHIP}#Learner", TEST_USER], Role.LEARNER, True),
        ([f"{MEMBERSHIP}#Mentor"], Role.OBSERVER, False),
        (["Learner", 7, None], Role.LEARNER, False),
        ([], Role.NONE, False),
    ],
)
def test_the_role_is_the_one_in_the_course(world: World, uris: list[object], role: Role, is_test: bool) -> None:
    draft = world.draft()
    draft.claims[f"{LTI}roles"] = uris
    person = launched(world, draft).person
    assert person is not None
    assert (person.role, person.is_test) == (role, is_test)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" stu@school.example ", "stu@school.example"),
        ("$Person.email.primary", None),
        ("a@school.example, b@school.example", None),
        ("no address", None),
        ("stu@localhost", None),
        ("<stu@school.example>", None),
        ("a@b@school.example", None),
        ("x" * 320 + "@school.example", None),
        ("", None),
    ],
)
def test_an_email_address_is_kept_only_when_it_is_one(world: World, given: str, kept: str | None) -> None:
    draft = world.draft()
    draft.claims["email"] = given
    person = launched(world, draft).person
    assert person is not None
    assert person.email == kept


def test_variables_that_the_platform_did_not_expand_count_as_absent(world: World) -> None:
    draft = world.draft()
    draft.claims |= {"name": "$Person.name.full", f"{LTI}context": {"id": "$Context.id", "title": "x"}}
    launch = launched(world, draft)
    assert launch.course is None
    assert launch.person is not None
    assert launch.person.name == "Stu1 Dent"


def test_addresses_that_are_no_web_addresses_are_dropped(world: World) -> None:
    draft = world.draft()
    draft.claims[f"{LTI}launch_presentation"] = {"return_url": "javascript:alert(1)", "locale": "x" * 99}
    launch = launched(world, draft)
    assert launch.return_url is None
    assert launch.locale == "x" * 35


def test_a_course_without_services_is_a_course(world: World) -> None:
    draft = world.draft()
    for name in [name for name in draft.claims if "lti-ags" in name or "lti-nrps" in name]:
        del draft.claims[name]
    course = launched(world, draft).course
    assert course is not None
    assert (course.memberships_url, course.line_items_url, course.service_scopes) == (None, None, ())


def test_of_two_requests_at_once_one_wins(world: World) -> None:
    verified = world.verify(world.draft())
    barrier = Barrier(4)

    def attempt(_: int) -> str:
        barrier.wait()
        try:
            with world.database.write() as session:
                consume_nonce(session, verified, NOW)
                session.commit()
        except LaunchError as error:
            return error.code
        return "won"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attempt, range(4))) == ["nonce_replayed"] * 3 + ["won"]


def test_nothing_is_used_up_when_the_callers_transaction_fails(world: World) -> None:
    verified = world.verify(world.draft())
    for _ in range(2):
        with world.database.write() as session:
            consume_nonce(session, verified, NOW)
            session.rollback()


def test_launches_in_two_tabs_do_not_disturb_each_other(world: World) -> None:
    first, second = world.draft(), world.draft()
    first.cookies = second.cookies = first.cookies | second.cookies
    assert launched(world, second).platform_id == launched(world, first).platform_id


def test_a_login_that_was_signed_with_the_former_key_still_launches(world: World) -> None:
    draft = world.draft()
    world.signer = StateSigner(["z" * 40, "n" * 40])
    assert launched(world, draft).platform_id == world.platform_id
    world.signer = StateSigner(["z" * 40])
    with pytest.raises(LaunchError) as refusal:
        world.verify(draft)
    assert refusal.value.code == "state_invalid"


def test_a_nonce_is_remembered_for_as_long_as_its_state_works(world: World) -> None:
    draft = world.draft()
    draft.now = NOW + timedelta(minutes=10)
    draft.claims |= {"iat": SECONDS + 600, "exp": SECONDS + 660}
    assert world.verify(draft).nonce_expires_at > draft.now


def test_what_a_deep_linking_request_wants_back_is_kept_whole(world: World) -> None:
    settings = {"deep_link_return_url": f"{ISSUER}/back", "accept_types": ["ltiResourceLink"], "data": "x" * 64_000}
    settings["accept_presentation_document_targets"] = ["iframe"]
    draft = world.draft()
    draft.claims |= {f"{LTI}message_type": "LtiDeepLinkingRequest", f"{DEEP_LINKING}deep_linking_settings": settings}
    asked = launched(world, draft).content_request
    assert asked is not None
    assert asked.data == settings["data"]


def launched(world: World, draft: Draft) -> Launch:
    verified: VerifiedLaunch = world.verify(draft)
    with world.database.write() as session:
        consume_nonce(session, verified, draft.now)
        session.commit()
    return verified.launch


def test_histories_are_decoded_and_leave_the_present_id_out(world: World) -> None:
    custom = {"context_history": "a%2Cb, 2,,$Context.id.history,a%2Cb", "resource_link_history": "9,1,%00"}
    draft = world.draft()
    draft.claims[f"{LTI}custom"] = custom
    launch = launched(world, draft)
    assert launch.course is not None
    assert launch.course.history == ("a,b", "$Context.id.history")
    assert launch.link == LaunchLink("1", ("9",))
