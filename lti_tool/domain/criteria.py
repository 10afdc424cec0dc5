"""What earns a badge: conditions and groups of them as values, their stored form, and what they speak of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any

DEEPEST = 4
MOST_PARTS = 30
# Enough digits for every float.
EXACT = Context(prec=400)


@dataclass(frozen=True)
class ScoreAtLeast:
    """A grade of at least `percent` per cent in the activity with our key `activity_id`."""

    activity_id: int
    percent: float


@dataclass(frozen=True)
class PointsAtLeast:
    """A grade of at least `points` points in the activity with our key `activity_id`, whatever its maximum."""

    activity_id: int
    points: float


@dataclass(frozen=True)
class Completed:
    """The activity with our key `activity_id` is completed, whatever the grade."""

    activity_id: int


@dataclass(frozen=True)
class Submitted:
    """Something was handed in for the activity with our key `activity_id`, or it is completed."""

    activity_id: int


@dataclass(frozen=True)
class BadgeEarned:
    """The person has earned the badge class with our key `badge_class_id`, in whatever course."""

    badge_class_id: int


@dataclass(frozen=True)
class Approved:
    """A teacher of the course has approved this person for this rule."""


@dataclass(frozen=True)
class Group:
    """At least `needed` of the parts; all of them when `needed` is None. Parts may be groups again."""

    needed: int | None
    parts: tuple["Criteria", ...]

    @property
    def number(self) -> int:
        """How many parts must be met."""
        return len(self.parts) if self.needed is None else self.needed


ActivityCondition = ScoreAtLeast | PointsAtLeast | Completed | Submitted
Condition = ActivityCondition | BadgeEarned | Approved
Criteria = Condition | Group


@dataclass(frozen=True)
class Ask:
    """What a rule asks of a person: criteria, from when and until when results count, and whether only final grades."""

    criteria: Criteria
    counts_from: datetime | None = None
    counts_until: datetime | None = None
    fully_graded: bool = True


def all_of(*parts: Criteria) -> Group:
    """A group of which every part is needed."""
    return Group(None, parts)


def any_of(*parts: Criteria) -> Group:
    """A group of which one part is enough."""
    return Group(1, parts)


def conditions(criteria: Criteria) -> Iterator[Condition]:
    """Every single condition, from left to right."""
    if isinstance(criteria, Group):
        for part in criteria.parts:
            yield from conditions(part)
    else:
        yield criteria


def activities_of(criteria: Criteria) -> set[int]:
    """The keys of the activities that criteria speak of."""
    return {c.activity_id for c in conditions(criteria) if not isinstance(c, BadgeEarned | Approved)}


def badges_of(criteria: Criteria) -> set[int]:
    """The keys of the badge classes that must be earned first."""
    return {c.badge_class_id for c in conditions(criteria) if isinstance(c, BadgeEarned)}


def asks_approval(criteria: Criteria) -> bool:
    """Whether a teacher's word is one of the conditions."""
    return any(isinstance(c, Approved) for c in conditions(criteria))


def granted(criteria: Criteria) -> Criteria:
    """What is left of the criteria once a teacher has approved somebody."""
    if isinstance(criteria, Approved):
        return Group(0, ())
    if isinstance(criteria, Group):
        return replace(criteria, parts=tuple(granted(part) for part in criteria.parts))
    return criteria


def moved(criteria: Criteria, activities: Mapping[int, int]) -> Criteria:
    """The same criteria on other activities, old key to new; raises KeyError when one is missing."""
    return moved_by(criteria, lambda condition: activities[condition.activity_id])


def moved_by(criteria: Criteria, key_of: Callable[[ActivityCondition], int]) -> Criteria:
    """The same criteria on other activities, as each condition about one is told its key."""
    if isinstance(criteria, Group):
        return replace(criteria, parts=tuple(moved_by(part, key_of) for part in criteria.parts))
    if isinstance(criteria, BadgeEarned | Approved):
        return criteria
    return replace(criteria, activity_id=key_of(criteria))


def check(criteria: Criteria, depth: int = 1) -> None:
    """Raise ValueError, saying what is wrong, for criteria that nobody can meet or that everybody meets."""
    if not isinstance(criteria, Group):
        return
    if depth > DEEPEST:
        raise ValueError(f"groups may be {DEEPEST} deep at most")
    if not 1 <= len(criteria.parts) <= MOST_PARTS:
        raise ValueError(f"a group has 1 to {MOST_PARTS} parts")
    if not 1 <= criteria.number <= len(criteria.parts):
        raise ValueError("a group cannot need more parts than it has, or none")
    for part in criteria.parts:
        check(part, depth + 1)


def describe(criteria: Criteria, titles: Mapping[int, str], badges: Mapping[int, str] | None = None) -> str:
    """The criteria as a sentence; `titles` are those of the activities, `badges` the names of badge classes."""
    text = _words(criteria, titles, badges or {}, is_inner=False)
    return text[:1].upper() + text[1:]


def criteria_to_json(criteria: Criteria) -> dict[str, Any]:
    """The stored form of criteria."""
    match criteria:
        case ScoreAtLeast(activity_id, percent):
            return {"kind": "score", "activity": activity_id, "percent": percent}
        case PointsAtLeast(activity_id, points):
            return {"kind": "points", "activity": activity_id, "points": points}
        case Completed(activity_id):
            return {"kind": "completed", "activity": activity_id}
        case Submitted(activity_id):
            return {"kind": "submitted", "activity": activity_id}
        case BadgeEarned(badge_class_id):
            return {"kind": "badge", "badge_class": badge_class_id}
        case Approved():
            return {"kind": "approved"}
        case Group(needed, parts):
            return {"kind": "group", "needed": needed, "parts": [criteria_to_json(part) for part in parts]}


def criteria_from_json(stored: Mapping[str, Any]) -> Criteria:
    """The value of a stored form; raises ValueError for a kind that this version does not know."""
    match stored["kind"]:
        case "score":
            return ScoreAtLeast(stored["activity"], stored["percent"])
        case "points":
            return PointsAtLeast(stored["activity"], stored["points"])
        case "completed":
            return Completed(stored["activity"])
        case "submitted":
            return Submitted(stored["activity"])
        case "badge":
            return BadgeEarned(stored["badge_class"])
        case "approved":
            return Approved()
        case "group":
            return Group(stored["needed"], tuple(criteria_from_json(part) for part in stored["parts"]))
    raise ValueError(f"unknown kind of criteria: {stored['kind']}")


def number(value: float) -> str:
    """A number as people write it: 80, 79.5, 66.667."""
    return f"{Decimal(repr(value)).normalize() + 0:f}"


def cut(value: float) -> str:
    """A number with two decimals at most: 80, 79.5, 66.66; never rounded up over a threshold."""
    return number(float(Decimal(repr(value)).quantize(Decimal("0.01"), ROUND_DOWN, EXACT)))


def _words(criteria: Criteria, titles: Mapping[int, str], badges: Mapping[int, str], *, is_inner: bool) -> str:
    if isinstance(criteria, Group):
        return _group_words(criteria, titles, badges, is_inner=is_inner)
    if isinstance(criteria, BadgeEarned):
        return f"earn the badge {badges.get(criteria.badge_class_id, 'that is gone')}"
    if isinstance(criteria, Approved):
        return "be approved by a teacher"
    title = titles.get(criteria.activity_id, "an activity that is gone")
    match criteria:
        case ScoreAtLeast(_, percent):
            return f"score at least {number(percent)} % in {title}"
        case PointsAtLeast(_, points):
            return f"score at least {number(points)} points in {title}"
        case Completed():
            return f"complete {title}"
        case Submitted():
            return f"hand in {title}"


def _group_words(group: Group, titles: Mapping[int, str], badges: Mapping[int, str], *, is_inner: bool) -> str:
    parts = [_words(part, titles, badges, is_inner=len(group.parts) > 1) for part in group.parts]
    if len(parts) == 1:
        return parts[0]
    if group.number == len(parts) or group.number == 1:
        joint = " and " if group.number == len(parts) else " or "
        text = ", ".join(parts[:-1]) + joint + parts[-1]
    else:
        text = f"do at least {group.number} of these: " + "; ".join(parts)
    return f"({text})" if is_inner else text
