"""Other ids of people and courses, as launches and rosters tell them (LMS.md §4.4)."""

from typing import Any

import pytest

from lti_tool.domain.events import Identifier, IdKind
from lti_tool.lti.claims import LTI, course_of, person_of
from lti_tool.lti.nrps import _member

CUSTOM = {
    "canvas_user_id": "21070000000000048",
    "canvas_user_local_id": "48",
    "canvas_user_sis_id": "$Canvas.user.sisSourceId",
    "canvas_course_id": "21070000000000565",
    "canvas_course_local_id": "565",
    "canvas_course_sis_id": "BIO-101",
}


def claims(**more: Any) -> dict[str, Any]:
    told = {"context": {"id": "c"}, "custom": CUSTOM, "tool_platform": {"product_family_code": "canvas"}, "roles": []}
    return {"sub": "s"} | {f"{LTI}{name}": value for name, value in (told | more).items()}


def test_a_canvas_launch_tells_global_and_local_ids_but_not_what_was_left_unexpanded() -> None:
    told = claims(lti11_legacy_user_id="f7d7")
    assert person_of(told).aliases == (
        Identifier(IdKind.CANVAS, "21070000000000048"),
        Identifier(IdKind.CANVAS_LOCAL, "48"),
        Identifier(IdKind.LTI11, "f7d7"),
    )
    course = course_of(told)
    assert course is not None
    assert course.aliases == (
        Identifier(IdKind.CANVAS, "21070000000000565"),
        Identifier(IdKind.CANVAS_LOCAL, "565"),
        Identifier(IdKind.SIS, "BIO-101"),
    )


def test_other_platforms_tell_ids_of_student_information_systems_user_names_and_of_lti_1_1() -> None:
    told = claims(custom={}, lis={"person_sourcedid": "P1"}, ext={"user_username": "lea"}, lti1p1={"user_id": "old"})
    assert person_of(told).aliases == (
        Identifier(IdKind.SIS, "P1"),
        Identifier(IdKind.USERNAME, "lea"),
        Identifier(IdKind.LTI11, "old"),
    )


def test_a_roster_for_a_link_tells_the_same_of_everybody() -> None:
    message = {f"{LTI}message_type": "LtiResourceLinkRequest", f"{LTI}custom": CUSTOM}
    entry = {"user_id": "s", "roles": ["Learner"], "lis_person_sourcedid": "P1", "message": [message, "odd", {}]}
    assert _member(entry, is_canvas=True).aliases == (
        Identifier(IdKind.CANVAS, "21070000000000048"),
        Identifier(IdKind.CANVAS_LOCAL, "48"),
        Identifier(IdKind.SIS, "P1"),
    )
    assert _member(entry, is_canvas=False).aliases == (Identifier(IdKind.SIS, "P1"),)


@pytest.mark.parametrize("family", ["moodle", "", "sakai"])
def test_elsewhere_custom_parameters_are_written_by_teachers_and_are_no_ids(family: str) -> None:
    """Else whoever writes a link could give somebody, or themselves, the id of another, and with it the badge."""
    told = claims(tool_platform={"product_family_code": family})
    assert person_of(told).aliases == ()
    course = course_of(told)
    assert course is not None
    assert course.aliases == ()


def test_the_hosted_canvas_is_known_by_its_issuer() -> None:
    told = claims(tool_platform={}) | {"iss": "https://canvas.instructure.com"}
    assert len(person_of(told).aliases) == 2


def test_without_any_there_are_none() -> None:
    assert person_of({"sub": "s"}).aliases == ()
    assert _member({"user_id": "s"}, is_canvas=True).aliases == ()
