"""Finds for the activities of one course those that take their places in another, by their names and kinds."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import Criteria, activities_of
from lti_tool.domain.events import same_title
from lti_tool.domain.naming import COMPLETION, WHOLE_TITLES, asked_of, family, told_of
from lti_tool.models import Activity, Course
from lti_tool.services.activities import ref_of

Name = tuple[str, str]
# What has one name in both courses is the same: rather of one kind; one that waits also by a part of its name.
WAYS: Sequence[Callable[[Activity, Activity], bool]] = (
    lambda former, one: full_name(former) == full_name(one) and former.kind == one.kind,
    lambda former, one: full_name(former) == full_name(one),
    lambda former, one: former.external_id is None,
)


def find(session: Session, from_course_id: int, asked: Criteria, course: Course, now: datetime) -> dict[int, int]:
    """For each activity that is asked for the one in its place in the course, each another one; old key to new.

    Of several of one name the first is the first there, the second the second. What is not there yet waits for the
    first result of that name; so do those before it, for it is not theirs.
    """
    keys, here = activities_of(asked), _by_name(session, course.id)
    found: dict[int, int] = {}
    for name, alike in _by_name(session, from_course_id).items():
        wanted = [former for former in alike if former.id in keys]
        if not wanted:
            continue
        found |= _pairs(alike, here.get(name, []), asked)
        for former in alike:
            is_before = any(full_name(former) == full_name(one) and former.id <= one.id for one in wanted)
            if is_before and former.id not in found:
                found[former.id] = _wait_for(session, former, course, now)
    return {key: found[key] for key in keys}


def full_name(activity: Activity) -> Name:
    """What an activity has in common with those that are called the same."""
    own = family(activity.kind)
    return ("" if own in WHOLE_TITLES else same_title(activity.title)), own


def _by_name(session: Session, course_id: int) -> dict[Name, list[Activity]]:
    found: dict[Name, list[Activity]] = {}
    for activity in session.scalars(select(Activity).where(Activity.course_id == course_id).order_by(Activity.id)):
        title, own = full_name(activity)
        found.setdefault((title.removesuffix(COMPLETION), own), []).append(activity)
    return found


def _pairs(alike: Sequence[Activity], here: Sequence[Activity], asked: Criteria) -> dict[int, int]:
    pairs: dict[int, int] = {}
    for is_same in WAYS:
        for former in alike:
            looked_at = asked_of(former.id, asked)
            free = (one for one in here if one.id not in pairs.values() and looked_at <= told_of(ref_of(one)))
            found = next((one for one in free if is_same(former, one)), None)
            if former.id not in pairs and found is not None:
                pairs[former.id] = found.id
    return pairs


def _wait_for(session: Session, former: Activity, course: Course, now: datetime) -> int:
    made = Activity(course_id=course.id, title=former.title, kind=former.kind, created_at=now)
    session.add(made)
    session.flush()
    return made.id
