"""The tree of conditions as it is typed: read from form fields, and changed by buttons.

A field's name says where its condition stands: `kind` and `percent` are those of a single condition, `0.kind` and
`1.2.percent` those of parts of groups.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lti_tool.domain.criteria import (
    DEEPEST,
    MOST_PARTS,
    Approved,
    BadgeEarned,
    Completed,
    Criteria,
    Group,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
)
from lti_tool.errors import InvalidInputError

BLANK = {
    "kind": "score",
    "percent": "80",
    "points": "",
    "activity": "",
    "new_activity": "",
    "badge": "",
    "join": "all",
    "needed": "2",
}
# The whole tree; more would only be sent by somebody who does not use the form.
MOST_FIELDS = 100
LONGEST = 500

Path = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A condition or a group, as it was typed."""

    values: Mapping[str, str] = field(default_factory=lambda: dict(BLANK))
    parts: tuple["Part", ...] = ()

    @property
    def is_group(self) -> bool:
        """Whether it holds other parts."""
        return self.values["kind"] == "group"


def name_of(path: Path, name: str) -> str:
    """The name of a field of the part at this place."""
    return ".".join([*map(str, path), name])


def read_tree(form: Mapping[str, str]) -> Part:
    """The tree that was typed; fields of unknown places are ignored. Raises InvalidInputError for far too many."""
    if sum(name.endswith("kind") for name in form) > MOST_FIELDS:
        raise InvalidInputError("A rule takes at most 100 conditions. Make several badges instead.")
    return _read(form, ())


def tree_of(criteria: Criteria) -> Part:
    """Criteria as they are typed."""
    match criteria:
        case Group(needed, parts):
            join = "all" if needed is None else "any" if needed == 1 else "some"
            return group(join, *map(tree_of, parts), needed=str(needed or 2))
        case ScoreAtLeast(activity_id, percent):
            return _condition("score", percent=_number_text(percent), activity=str(activity_id))
        case PointsAtLeast(activity_id, points):
            return _condition("points", points=_number_text(points), activity=str(activity_id))
        case Completed(activity_id):
            return _condition("completed", activity=str(activity_id))
        case Submitted(activity_id):
            return _condition("submitted", activity=str(activity_id))
        case BadgeEarned(badge_class_id):
            return _condition("badge", badge=str(badge_class_id))
        case Approved():
            return _condition("approved")


def fields_of(tree: Part, path: Path = ()) -> dict[str, str]:
    """The form fields of a tree by their names."""
    fields = {name_of(path, name): value for name, value in tree.values.items()}
    for number, part in enumerate(tree.parts):
        fields |= fields_of(part, (*path, number))
    return fields


def change(tree: Part, wish: str) -> tuple[Part, Path]:
    """The tree after a button was pressed, and the place that is new; a wish that makes no sense changes nothing.

    Wishes: `add:0.1` a condition or `group:` a group at the end of the group there, `remove:0.1`.
    """
    what, _, where = wish.partition(":")
    steps = where.split(".") if where else []
    if not all(step.isascii() and step.isdigit() for step in steps):
        return tree, ()
    path = tuple(int(step[:4]) for step in steps)
    present = _at(tree, path)
    if present is None:
        return tree, ()
    if what == "remove":
        left = _without(tree, path)
        place = path[:-1]
        # A group that became empty is gone too.
        while _at(left, place) is None:
            place = place[:-1]
        return left, place
    if what in ("add", "group"):
        return _extended(tree, path, present, Part() if what == "add" else group("any", Part(), Part()))
    return tree, ()


def group(join: str, *parts: Part, needed: str = "2") -> Part:
    """A group as it is typed."""
    return Part(BLANK | {"kind": "group", "join": join, "needed": needed}, parts)


def _condition(kind: str, **values: str) -> Part:
    return Part(BLANK | {"kind": kind} | values)


def _number_text(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


def _read(form: Mapping[str, str], path: Path) -> Part:
    values = {name: form.get(name_of(path, name), start).strip()[:LONGEST] for name, start in BLANK.items()}
    parts: list[Part] = []
    if values["kind"] == "group" and len(path) < DEEPEST:
        while name_of((*path, len(parts)), "kind") in form and len(parts) < MOST_PARTS:
            parts.append(_read(form, (*path, len(parts))))
    return Part(values, tuple(parts))


def _at(tree: Part, path: Path) -> Part | None:
    for number in path:
        if number >= len(tree.parts):
            return None
        tree = tree.parts[number]
    return tree


def _extended(tree: Part, path: Path, present: Part, new: Part) -> tuple[Part, Path]:
    if not present.is_group and path:
        return tree, ()
    # A single condition becomes the first part of a group.
    whole = present if present.is_group else group("all", present)
    if len(whole.parts) >= MOST_PARTS or (new.is_group and len(path) + 1 >= DEEPEST):
        return tree, path
    made = _with(tree, path, replace(whole, parts=(*whole.parts, new)))
    return made or tree, (*path, len(whole.parts))


def _without(tree: Part, path: Path) -> Part:
    left = _with(tree, path, None) or Part()
    while left.is_group and len(left.parts) == 1:
        left = left.parts[0]
    return left


def _with(tree: Part, path: Path, new: Part | None) -> Part | None:
    """The tree with another part at a place, or without it; a group that is left empty goes too."""
    if not path:
        return new
    changed = _with(tree.parts[path[0]], path[1:], new)
    parts = (*tree.parts[: path[0]], *([changed] if changed else []), *tree.parts[path[0] + 1 :])
    return replace(tree, parts=parts) if parts else None
