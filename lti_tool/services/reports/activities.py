"""Activities as pages name them: told apart where several have one name, and those of a rule with what is known."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import activities_of
from lti_tool.domain.events import same_title
from lti_tool.domain.naming import COURSE, COURSE_GRADE, MODULE, family
from lti_tool.models import Activity, Rule
from lti_tool.services.counterparts import Name, full_name

KIND_NOTES = {MODULE: "module", COURSE: "course completed", COURSE_GRADE: "course grade"}


@dataclass(frozen=True)
class NamedActivity:
    """An activity that a rule asks for: known from the LMS, or only by the name that a teacher entered."""

    label: str
    kind: str
    is_known: bool
    # Whether the LMS knows something of this name, of whatever kind, that is not this one.
    has_namesake: bool
    # Whether several of this name and kind are in the course, or in the one that the rule was copied from.
    is_one_of_several: bool


def label_of(title: str, kind: str) -> str:
    """What to call an activity: with its kind where that is not plain."""
    note = KIND_NOTES.get(kind)
    return f"{title} ({note})" if note and same_title(note) != same_title(title) else title


def labels_of(activities: Iterable[Activity]) -> dict[int, str]:
    """What to call activities, in their order: as above, and with a number among equals."""
    named = {one.id: (label_of(one.title, one.kind), one.kind) for one in activities}
    equals, seen = Counter(named.values()), Counter[tuple[str, str]]()
    labels = {}
    for key, name in named.items():
        seen[name] += 1
        labels[key] = f"{name[0]} ({seen[name]} of {equals[name]})" if equals[name] > 1 else name[0]
    return labels


def named_activities(session: Session, rule: Rule) -> list[NamedActivity]:
    """The activities that a rule asks for, by title."""
    here = list(session.scalars(_activities(rule.course_id)))
    labels = labels_of(here)
    counts = [Counter(map(full_name, here)), _former_names(session, rule)]
    known = [one for one in here if one.external_id is not None]
    asked = activities_of(rule.criteria)
    return [
        NamedActivity(
            labels[one.id],
            family(one.kind),
            one.external_id is not None,
            any(other is not one and same_title(other.title) == same_title(one.title) for other in known),
            any(count[full_name(one)] > 1 for count in counts),
        )
        for one in sorted(here, key=lambda one: (one.title, one.id))
        if one.id in asked
    ]


def _activities(course_id: int) -> Select[Activity]:
    return select(Activity).where(Activity.course_id == course_id).order_by(Activity.id)


def _former_names(session: Session, rule: Rule) -> Counter[Name]:
    former = session.get(Rule, rule.copied_from_id) if rule.copied_from_id is not None else None
    return Counter(map(full_name, session.scalars(_activities(former.course_id)))) if former else Counter()
