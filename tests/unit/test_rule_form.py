"""The form of a rule: what is right becomes a draft, what is wrong is named at its field."""

import pytest

from lti_tool.services.rules import Draft
from lti_tool.web.rule_form import read_rule_form

GOOD = {"badge_class": "b1", "kind": "score", "percent": "80", "activity": "3"}


@pytest.mark.parametrize(
    ("changes", "draft"),
    [
        ({}, Draft("score", 80.0, 3, "")),
        ({"percent": " 72,5 % "}, Draft("score", 72.5, 3, "")),
        ({"percent": "100"}, Draft("score", 100.0, 3, "")),
        ({"kind": "completed", "percent": ""}, Draft("completed", 0.0, 3, "")),
        ({"activity": "new", "new_activity": " Lab 9 "}, Draft("score", 80.0, None, "Lab 9")),
    ],
)
def test_good_forms(changes: dict[str, str], draft: Draft) -> None:
    read = read_rule_form(GOOD | changes, {"b1"}, {3})
    assert (read.draft, read.errors) == (draft, {})


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"badge_class": ""}, {"badge_class"}),
        ({"badge_class": "of another issuer"}, {"badge_class"}),
        ({"kind": "luck"}, {"kind"}),
        ({"percent": ""}, {"percent"}),
        ({"percent": "lots"}, {"percent"}),
        ({"percent": "0"}, {"percent"}),
        ({"percent": "101"}, {"percent"}),
        ({"percent": "nan"}, {"percent"}),
        ({"percent": "inf"}, {"percent"}),
        ({"activity": ""}, {"activity"}),
        ({"activity": "4"}, {"activity"}),
        ({"activity": "³"}, {"activity"}),
        ({"activity": "new", "new_activity": "  "}, {"new_activity"}),
        ({"badge_class": "", "percent": "", "activity": ""}, {"badge_class", "percent", "activity"}),
    ],
)
def test_faults_are_named_and_what_was_entered_stays(changes: dict[str, str], fields: set[str]) -> None:
    read = read_rule_form(GOOD | changes, {"b1"}, {3})
    assert read.draft is None
    assert set(read.errors) == fields
    assert all(read.values[name] == value.strip() for name, value in (GOOD | changes).items())
