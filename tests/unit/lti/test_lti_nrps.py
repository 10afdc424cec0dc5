"""The roster of a course."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lti_tool.domain.launch import Role
from lti_tool.http import new_session
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.nrps import Member, Roster, for_link, read_roster
from lti_tool.lti.services import ServiceClient
from lti_tool.vault import Vault
from tests.http_server import json_answer
from tests.unit.lti.lti_testing import NOW, World

SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
PAGE = Path(__file__).parent / "nrps-page1.json"


@pytest.fixture
def client(world: World) -> Iterator[ServiceClient]:
    """A client of the platform."""
    world.server.answers["/token"] = json_answer({"access_token": "t", "expires_in": 3600, "scope": SCOPE})
    http = new_session(allow_private_addresses=True)
    yield ServiceClient(world.database, Vault(["v" * 40]), http, pauses=())
    http.close()


def read(client: ServiceClient, world: World, path: str = "/members") -> Roster:
    return read_roster(client, world.platform_id, world.server.url + path, NOW)


def learner(sub: object, **fields: object) -> dict[str, Any]:
    return {"user_id": sub, "roles": ["Learner"], "status": "Active", **fields}


def test_both_pages_of_a_recorded_roster_are_read(client: ServiceClient, world: World) -> None:
    # contracts/moodle-4.2/nrps-page1.json
    body = json.loads(PAGE.read_text())["body"]
    link = f'<{world.server.url}/more?limit=5&from=5>; rel="next"'
    world.server.answers["/members"] = json_answer(body, Link=link)
    world.server.answers["/more"] = json_answer({"members": [learner("17", name="Tag &amp; Co")]})
    members = read(client, world).members
    assert members[0] == Member("4", "Stu1 Dent", "student1@school.example", Role.LEARNER, False, True)
    assert members[-1] == Member("17", "Tag & Co", None, Role.LEARNER, False, True)
    assert len(members) == 6


def test_the_platform_is_asked_for_the_media_type_and_its_own_query_is_kept(
    client: ServiceClient, world: World
) -> None:
    world.server.answers["/members"] = json_answer({"members": []})
    assert read(client, world, "/members?placement_id=_1") == Roster(())
    request = world.server.seen[-1]
    assert request.headers["Accept"] == "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
    assert request.query_string == b"placement_id=_1"
    assert world.server.seen[0].form["scope"] == SCOPE


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "Inactive"}, {"active": False}),
        ({"status": "Deleted"}, {"active": False}),
        ({"status": "Active"}, {"active": True}),
        ({"roles": [f"{MEMBERSHIP}#Learner", TEST_USER]}, {"is_test": True, "role": Role.LEARNER}),
        ({"roles": ["Instructor"]}, {"role": Role.INSTRUCTOR}),
        ({"roles": None}, {"role": Role.NONE}),
        ({"email": "$Person.email.primary"}, {"email": None}),
        ({"given_name": "Ann", "family_name": "O&#039;Hara"}, {"name": "Ann O'Hara"}),
    ],
)
def test_a_member_is_understood(
    client: ServiceClient, world: World, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    world.server.answers["/members"] = json_answer({"members": [learner("4", **fields)]})
    (member,) = read(client, world).members
    assert {name: getattr(member, name) for name in expected} == expected


def test_a_member_without_status_is_active_and_a_number_is_an_id(client: ServiceClient, world: World) -> None:
    world.server.answers["/members"] = json_answer({"members": [{"user_id": 4, "roles": ["Learner"]}]})
    assert read(client, world).members == (Member("4", "", None, Role.LEARNER, False, True),)


def test_a_person_listed_twice_keeps_the_stronger_role(client: ServiceClient, world: World) -> None:
    rows = [learner("4", roles=["Instructor"]), learner("4"), learner("4", status="Inactive")]
    world.server.answers["/members"] = json_answer({"members": rows})
    (member,) = read(client, world).members
    assert (member.role, member.active) == (Role.INSTRUCTOR, True)


@pytest.mark.parametrize(
    "second",
    [
        json_answer({}, 500),
        json_answer({}, 404),
        json_answer({"error": "above_response_limit"}),
        json_answer({"members": {}}),
        json_answer([]),
        json_answer({"members": [learner("")]}),
        json_answer({"members": [{"roles": []}]}),
        json_answer({"members": ["4"]}),
        json_answer({"members": [learner("4" * 256)]}),
        json_answer({"members": [learner("\ud800x")]}),
    ],
)
def test_a_roster_is_never_partial(client: ServiceClient, world: World, second: Any) -> None:
    world.server.answers["/members"] = json_answer({"members": [learner("4")]}, Link='</more>; rel="next"')
    world.server.answers["/more"] = second
    with pytest.raises(LtiServiceError) as failure:
        read(client, world)
    assert len(failure.value.advice) > 40


def test_the_address_of_the_differences_is_taken_from_the_same_server_only(client: ServiceClient, world: World) -> None:
    here = f"{world.server.url}/members?since=7"
    for address, taken in ((here, here), ("https://evil.example/m", None)):
        world.server.answers["/members"] = json_answer({"members": []}, Link=f'<{address}>; rel="differences"')
        assert read(client, world).differences_url == taken


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://lms.example/m", "https://lms.example/m?rlid=a%2Fb+c"),
        ("https://lms.example/m?placement_id=_1", "https://lms.example/m?placement_id=_1&rlid=a%2Fb+c"),
    ],
)
def test_the_roster_of_a_link_keeps_the_query(url: str, expected: str) -> None:
    assert for_link(url, "a/b c") == expected
