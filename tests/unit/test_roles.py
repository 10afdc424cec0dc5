"""Which role the platform's role names mean."""

import pytest

from lti_tool.domain.launch import MEMBERSHIP, TEST_USER, Role, is_test_user, role_of, strongest


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        ([f"{MEMBERSHIP}#Instructor"], Role.INSTRUCTOR),
        ([f"{MEMBERSHIP}#Learner"], Role.LEARNER),
        ([f"{MEMBERSHIP}#Mentor"], Role.OBSERVER),
        ([f"{MEMBERSHIP}/Instructor#TeachingAssistant", f"{MEMBERSHIP}#Instructor"], Role.INSTRUCTOR),
        ([f"{MEMBERSHIP}/Instructor#TeachingAssistant"], Role.INSTRUCTOR),
        ([f"{MEMBERSHIP}#ContentDeveloper"], Role.INSTRUCTOR),
        ([f"{MEMBERSHIP}#Learner", f"{MEMBERSHIP}#Instructor"], Role.INSTRUCTOR),
        (["Learner"], Role.LEARNER),
        ([], Role.NONE),
        (["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"], Role.NONE),
        (["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Student"], Role.NONE),
        (["urn:something:Learner"], Role.NONE),
        ([f"{MEMBERSHIP}#Learner", TEST_USER], Role.LEARNER),
    ],
)
def test_membership_roles_decide_and_nothing_else(roles: list[str], role: Role) -> None:
    assert role_of(roles) is role


def test_a_test_user_is_known_by_role() -> None:
    assert is_test_user([f"{MEMBERSHIP}#Learner", TEST_USER])
    assert not is_test_user([f"{MEMBERSHIP}#Learner"])


def test_who_teaches_by_any_channel_is_no_learner() -> None:
    assert strongest(Role.INSTRUCTOR, Role.LEARNER) is Role.INSTRUCTOR
    assert strongest(Role.LEARNER, Role.INSTRUCTOR) is Role.INSTRUCTOR
    assert strongest(None, Role.LEARNER) is Role.LEARNER
    assert strongest(Role.NONE, Role.LEARNER) is Role.LEARNER
    assert strongest(None, None) is None
