"""Which hosts are those of an LMS that we know, and which are of a copy that was made for tests."""

import pytest

from lti_tool.models import Deployment, Platform

BLACKBOARD, CANVAS, OWN = "https://blackboard.com", "https://canvas.instructure.com", "https://lms.school.example"


def known(issuer: str, host: str | None) -> Deployment:
    return Deployment(deployment_id="1", host=host, platform=Platform(issuer=issuer))


@pytest.mark.parametrize(
    ("issuer", "host", "copy"),
    [
        (CANVAS, "school.instructure.com", "school.beta.instructure.com"),
        (CANVAS, "school.instructure.com", "school.test.instructure.com"),
        (CANVAS, "canvas.school.example", "canvas-test.school.example"),
        (CANVAS, "canvas.school.example", "test-canvas.school.example"),
        (BLACKBOARD, "school.blackboard.com", "school-test.blackboard.com"),
        (BLACKBOARD, "school.blackboard.com", "school-staging.blackboard.com"),
        (BLACKBOARD, "learn.school.example", "stage.school.example"),
        (BLACKBOARD, "learn.school.example", "learn-uat2.school.example"),
        (BLACKBOARD, "school-test.blackboard.com", "school.blackboard.com"),
        (OWN, "lms.school.example", "new.school.example"),
    ],
)
def test_a_copy_is_noticed_by_its_host(issuer: str, host: str, copy: str) -> None:
    assert not known(issuer, host).recognises(copy)


@pytest.mark.parametrize(
    ("issuer", "host", "other"),
    [
        (CANVAS, "school.instructure.com", "canvas.school.example"),
        (CANVAS, "school.instructure.com", "contest.developers.example"),
        (CANVAS, "school.beta.instructure.com", "canvas-beta.school.example"),
        (BLACKBOARD, "school.blackboard.com", "learn.school.example"),
        (OWN, "lms.school.example", "lms.school.example"),
        (OWN, None, "anything.example"),
        (OWN, "lms.school.example", ""),
    ],
)
def test_another_name_of_the_same_lms_is_no_copy(issuer: str, host: str | None, other: str) -> None:
    assert known(issuer, host).recognises(other)
