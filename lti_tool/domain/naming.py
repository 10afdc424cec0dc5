"""Which activity a name means: that an LMS tells, for a teacher who has named it, and what an LMS tells of it."""

from enum import Enum

from lti_tool.domain.criteria import Completed, Condition, Criteria, Submitted, activities_of, conditions
from lti_tool.domain.events import ActivityRef, same_title

ACTIVITY, MODULE, COURSE, COURSE_GRADE = "activity", "module", "course", "course_grade"
# There is one of each in a course, whatever a source calls it.
WHOLE_TITLES = {COURSE: "The whole course", COURSE_GRADE: "Course grade"}
_WHOLE_NAMES = {"the whole course": COURSE, "course completion": COURSE, "course grade": COURSE_GRADE}
# Of these, one is never meant by the name of another, nor a single activity by theirs.
OWN_KINDS = frozenset({MODULE, COURSE, COURSE_GRADE, "certificate", "grade_total"})
# Moodle tells grade and completion of one activity under two ids.
COMPLETION = " (completion)"
# Ids and kinds under which nothing but grades is told: Moodle's gradebook, and line items (AGS 2.0).
GRADED_IDS, GRADED_KINDS = ("moodle:item:",), ("line_item",)


class Aspect(Enum):
    """What a condition looks at, and what an activity is told of."""

    GRADE = "grade"
    PROGRESS = "progress"


def family(kind: str) -> str:
    """What a kind has in common with others that may be meant by the same name."""
    return kind if kind in OWN_KINDS else ACTIVITY


def kind_named(title: str, kind: str = ACTIVITY) -> str:
    """The kind that a teacher means: whoever names “Course grade” as an activity means that of the whole course."""
    return _WHOLE_NAMES.get(same_title(title), kind) if kind == ACTIVITY else kind


def first_title(ref: ActivityRef) -> str:
    """What an activity is called until its title is told, in words and by its number in the LMS."""
    if ref.title or ref.kind in WHOLE_TITLES:
        return ref.title or WHOLE_TITLES[ref.kind]
    return f"{ref.kind.replace('_', ' ').capitalize()} {ref.external_id.rpartition(':')[2]}"[:500]


def is_named_by(title: str, kind: str, ref: ActivityRef) -> bool:
    """Whether somebody who has named this title and kind means what a source tells of."""
    if family(kind) != family(ref.kind):
        return False
    return kind in WHOLE_TITLES or same_title(title) in _names(ref.title)


def asks(condition: Condition) -> Aspect:
    """What a condition about an activity looks at."""
    return Aspect.PROGRESS if isinstance(condition, Completed | Submitted) else Aspect.GRADE


def asked_of(activity_id: int, criteria: Criteria) -> set[Aspect]:
    """What criteria look at in an activity."""
    return {asks(c) for c in conditions(criteria) if activity_id in activities_of(c)}


def told_of(ref: ActivityRef) -> set[Aspect]:
    """What a source may tell of an activity that it calls so."""
    if ref.title.endswith(COMPLETION):
        return {Aspect.PROGRESS}
    is_graded = ref.external_id.startswith(GRADED_IDS) or ref.kind in GRADED_KINDS
    return {Aspect.GRADE} if is_graded else set(Aspect)


def _names(title: str) -> set[str]:
    return {same_title(title), same_title(title.removesuffix(COMPLETION))} - {""}
