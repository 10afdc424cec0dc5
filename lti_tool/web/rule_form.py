"""Reads the form that makes a rule; every fault is named at its field."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from lti_tool.domain.criteria import Completed, ScoreAtLeast
from lti_tool.services.drafts import Draft

DEFAULTS = {"badge_class": "", "kind": "score", "percent": "80", "activity": "", "new_activity": ""}


@dataclass(frozen=True)
class RuleForm:
    """What was entered, its faults by field, and the draft when there are none."""

    values: dict[str, str]
    errors: dict[str, str]
    draft: Draft | None


def read_rule_form(form: Mapping[str, str], badge_classes: Container[str], activity_ids: Container[int]) -> RuleForm:
    """Check the form against the badge classes and activities that there are."""
    values = {name: form.get(name, "").strip()[:500] for name in DEFAULTS}
    errors = {}
    if values["badge_class"] not in badge_classes:
        errors["badge_class"] = "Choose one of the badges."
    if values["kind"] not in ("score", "completed"):
        errors["kind"] = "Say whether a score or a completion earns the badge."
    percent = _percent(values["percent"]) if values["kind"] == "score" else 0.0
    if percent is None:
        errors["percent"] = "Enter a number from 1 to 100, for example 80."
    activity_id = int(values["activity"]) if values["activity"].isascii() and values["activity"].isdigit() else None
    if values["activity"] == "new":
        if not values["new_activity"]:
            errors["new_activity"] = "Enter the activity's name exactly as it is in the LMS."
    elif activity_id not in activity_ids:
        errors["activity"] = "Choose an activity of this course, or enter the name of another one."
    if errors or percent is None:
        return RuleForm(values, errors, None)
    key = -1 if activity_id is None else activity_id
    criteria = ScoreAtLeast(key, percent) if values["kind"] == "score" else Completed(key)
    return RuleForm(values, {}, Draft(criteria, {-1: values["new_activity"]}))


def _percent(text: str) -> float | None:
    try:
        value = float(text.replace(",", ".").removesuffix("%").strip())
    except ValueError:
        return None
    return value if 1 <= value <= 100 else None
