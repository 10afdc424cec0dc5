"""Checks a tree of conditions as it was typed: what it asks for, and every fault at its field."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from lti_tool.domain.criteria import (
    DEEPEST,
    Approved,
    BadgeEarned,
    Completed,
    Criteria,
    Group,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
)
from lti_tool.domain.events import same_title
from lti_tool.domain.naming import ACTIVITY, COURSE, COURSE_GRADE, MODULE, WHOLE_TITLES
from lti_tool.web.condition_tree import Part, Path, name_of

KINDS = {
    "score": "A score in per cent",
    "points": "A score in points",
    "completed": "An activity, a module or the course is completed",
    "submitted": "Something is handed in",
    "badge": "Another badge is earned",
    "approved": "A teacher approves it",
}
JOINS = {"all": "All of these", "any": "Any one of these", "some": "At least some of these"}
# What stands for something that was not chosen yet.
UNKNOWN = 0
MOST_POINTS = 1_000_000
# What is named by its title, by the choice that says so.
TYPED = {"new": ACTIVITY, "new_module": MODULE}
NO_SCORE = "That the whole course is completed is no score: choose “Course grade”, or ask that it is completed."
NO_COMPLETION = "A course grade is a score: ask for a score in it, or that the whole course is completed."
MISPLACED = {
    (COURSE, "score"): NO_SCORE,
    (COURSE, "points"): NO_SCORE,
    (COURSE_GRADE, "completed"): NO_COMPLETION,
    (COURSE_GRADE, "submitted"): NO_COMPLETION,
}


@dataclass(frozen=True)
class Choices:
    """What there is to choose: titles of the activities, names of badges, and the badge that the rule awards."""

    activities: Mapping[int, str]
    badges: Mapping[int, str] = field(default_factory=dict)
    own_badge_id: int | None = None


@dataclass
class Checked:
    """What a tree says. With faults (by field) the criteria have gaps: `UNKNOWN` keys and numbers of nought.

    `new_activities` holds the titles of activities that no source has told of, under their negative keys, and
    `new_kinds` the kinds of those that are no single activities.
    """

    criteria: Criteria = field(default_factory=Approved)
    new_activities: dict[int, str] = field(default_factory=dict)
    new_kinds: dict[int, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def check_tree(tree: Part, choices: Choices) -> Checked:
    """The criteria that a tree says, and every fault at its field."""
    checked = Checked()
    checked.criteria = _check(tree, (), choices, checked)
    return checked


def _check(part: Part, path: Path, choices: Choices, checked: Checked) -> Criteria:
    kind, errors = part.values["kind"], checked.errors
    if kind == "group":
        return _check_group(part, path, choices, checked)
    if kind == "approved":
        return Approved()
    if kind == "badge":
        return BadgeEarned(_badge(part, path, choices, errors))
    if kind not in KINDS:
        errors[name_of(path, "kind")] = "Say what is asked for: a score, a completion, a badge or an approval."
        return Approved()
    if kind == "score":
        percent = _number(part.values["percent"].removesuffix("%"), 1, 100)
        if percent is None:
            errors[name_of(path, "percent")] = "Enter a number from 1 to 100, for example 80."
        return ScoreAtLeast(_activity(part, path, choices, checked), percent or 0.0)
    if kind == "points":
        points = _number(part.values["points"], 0.01, MOST_POINTS)
        if points is None:
            errors[name_of(path, "points")] = "Enter the points that are needed, for example 12.5."
        return PointsAtLeast(_activity(part, path, choices, checked), points or 0.0)
    activity_id = _activity(part, path, choices, checked)
    return Completed(activity_id) if kind == "completed" else Submitted(activity_id)


def _check_group(part: Part, path: Path, choices: Choices, checked: Checked) -> Group:
    errors, join = checked.errors, part.values["join"]
    parts = tuple(_check(inner, (*path, number), choices, checked) for number, inner in enumerate(part.parts))
    if len(path) >= DEEPEST:
        errors[name_of(path, "join")] = f"Groups can be {DEEPEST} deep at most: remove this one."
    elif not parts:
        errors[name_of(path, "join")] = "This group is empty: add a condition to it, or remove it."
    elif join not in JOINS:
        errors[name_of(path, "join")] = "Say how many of these conditions are needed."
    if join != "some":
        return Group(1 if join == "any" else None, parts)
    needed = _number(part.values["needed"], 1, len(parts))
    if needed is None or needed != int(needed):
        errors.setdefault(name_of(path, "needed"), f"Enter a whole number from 1 to {len(parts)}.")
        return Group(1, parts)
    return Group(int(needed), parts)


def _activity(part: Part, path: Path, choices: Choices, checked: Checked) -> int:
    chosen, title = part.values["activity"], " ".join(part.values["new_activity"].split())
    if chosen in TYPED:
        if not title:
            checked.errors[name_of(path, "new_activity")] = "Enter the name exactly as it is in the LMS."
            return UNKNOWN
        return _new(title, TYPED[chosen], checked)
    if chosen in WHOLE_TITLES:
        if (fault := MISPLACED.get((chosen, part.values["kind"]))) is not None:
            checked.errors[name_of(path, "activity")] = fault
        return _new(WHOLE_TITLES[chosen], chosen, checked)
    known = _key(chosen, choices.activities)
    if known is None:
        text = "Choose an activity of this course, or enter the name of another one."
        checked.errors[name_of(path, "activity")] = text
    return known or UNKNOWN


def _new(title: str, kind: str, checked: Checked) -> int:
    """The key of what no source has told of; the same one for the same name."""
    for key, known in checked.new_activities.items():
        if same_title(known) == same_title(title) and checked.new_kinds.get(key, ACTIVITY) == kind:
            return key
    key = -1 - len(checked.new_activities)
    checked.new_activities[key] = title
    if kind != ACTIVITY:
        checked.new_kinds[key] = kind
    return key


def _badge(part: Part, path: Path, choices: Choices, errors: dict[str, str]) -> int:
    known = _key(part.values["badge"], choices.badges)
    if known is None:
        errors[name_of(path, "badge")] = "Choose the badge that must be earned first."
    elif known == choices.own_badge_id:
        errors[name_of(path, "badge")] = "A badge cannot be earned by having itself: choose another one."
    return known or UNKNOWN


def _key(text: str, known: Mapping[int, str]) -> int | None:
    key = int(text[:18]) if text.isascii() and text.isdigit() else None
    return key if key in known else None


def _number(text: str, least: float, most: float) -> float | None:
    try:
        value = float(text.replace(",", ".").strip())
    except ValueError:
        return None
    return value if isfinite(value) and least <= value <= most else None
