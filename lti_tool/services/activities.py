"""Finds the activities that sources and teachers mean: by their ids in the LMS, or by their names."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from lti_tool.db import chunks, get_or_create
from lti_tool.domain.criteria import Criteria, activities_of
from lti_tool.domain.events import ActivityRef, same_title
from lti_tool.domain.naming import WHOLE_TITLES, Aspect, asked_of, family, first_title, is_named_by, told_of
from lti_tool.models import Activity, Course, Rule, RuleStatus


class AwaitedError(Exception):
    """What a source names is what a teacher has named before: `binding.settle` puts both together first."""

    def __init__(self, course_id: int, refs: Sequence[ActivityRef]) -> None:
        super().__init__(f"an activity of course {course_id} waits for one of this name")
        self.course_id, self.refs = course_id, refs


@dataclass(frozen=True)
class Naming:
    """That a source tells the name of an activity for which another one waits that a teacher has named."""

    ref: ActivityRef
    waiting: Activity
    # The activity as it is known so far, under another name.
    known: Activity | None


class Shelf:
    """The activities of a course that some refs may mean, and those that wait to be named by a source."""

    def __init__(self, session: Session, course_id: int, refs: Collection[ActivityRef]) -> None:
        self._session, self._course_id = session, course_id
        self._by_id: dict[str, Activity] = {}
        self._whole: dict[str, Activity] = {}
        self._waiting: list[Activity] = []
        ids = sorted({ref.external_id for ref in refs})
        for some in chunks(ids):
            is_meant = or_(
                Activity.external_id.in_(some), Activity.external_id.is_(None), Activity.kind.in_(WHOLE_TITLES)
            )
            query = select(Activity).where(Activity.course_id == course_id, is_meant).order_by(Activity.id)
            for activity in session.scalars(query):
                self.put(activity)

    def put(self, activity: Activity) -> None:
        """Add an activity."""
        if activity.external_id is None:
            self._waiting += [activity] if activity not in self._waiting else []
            return
        self._by_id[activity.external_id] = activity
        self._whole.setdefault(activity.kind, activity)

    def known(self, ref: ActivityRef) -> Activity | None:
        """The activity that a source means. The whole course is one, though each source may have its own id for it."""
        whole = self._whole.get(ref.kind) if ref.kind in WHOLE_TITLES else None
        return self._by_id.get(ref.external_id) or whole

    def namings(self, refs: Collection[ActivityRef]) -> Iterator[Naming]:
        """Each ref that names an activity for the first time, or anew, with what waits for that name."""
        for ref in refs:
            known = self.known(ref)
            if not _is_named_anew(known, ref):
                continue
            waiting = [one for one in self._waiting if is_named_by(one.title, one.kind, ref)]
            asked = _asked(self._session, self._course_id) if waiting else []
            found = next((one for one in waiting if _may_be(one.id, known, ref, asked)), None)
            if found is not None:
                yield Naming(ref, found, known)


def find(session: Session, course: Course, refs: Collection[ActivityRef], now: datetime) -> dict[ActivityRef, Activity]:
    """The activities that a source means, made when it is the first to name them; their titles follow the LMS.

    Raises AwaitedError when a teacher's name for one of them is to be settled first.
    """
    shelf = Shelf(session, course.id, refs)
    if next(shelf.namings(refs), None) is not None:
        raise AwaitedError(course.id, list(refs))
    found = {}
    for ref in refs:
        activity = shelf.known(ref)
        if activity is None:
            activity = make(session, course, ref, now)
            shelf.put(activity)
        rename(activity, ref)
        found[ref] = activity
    return found


def make(session: Session, course: Course, ref: ActivityRef, now: datetime) -> Activity:
    """The activity of this id, made when nobody else has just made it."""
    key = {"course_id": course.id, "external_id": ref.external_id}
    return get_or_create(session, Activity, key, title=first_title(ref), kind=ref.kind, created_at=now)


def rename(activity: Activity, ref: ActivityRef) -> None:
    """Call an activity what the LMS calls it; who tells no title does not know its kind well, either."""
    if ref.title and (activity.title, activity.kind) != (ref.title, ref.kind):
        activity.title, activity.kind = ref.title, ref.kind


def ref_of(activity: Activity) -> ActivityRef:
    """An activity as a source would name it."""
    return ActivityRef(activity.external_id or "", activity.title, activity.kind)


def named(
    session: Session, course_id: int, title: str, kind: str, aspect: Aspect, but: Collection[int] = ()
) -> Activity | None:
    """The activity of this name in a course: one of which the LMS tells what is looked at, else one that waits."""
    # Not compared by the database: SQLite knows the small and capital letters of English only.
    query = select(Activity).where(Activity.course_id == course_id, Activity.id.not_in(but)).order_by(Activity.id)
    meant = [one for one in session.scalars(query) if is_named_by(title, kind, ref_of(one))]
    fitting = [one for one in meant if aspect in told_of(ref_of(one))]
    wanted = same_title(title)
    return min(fitting, key=lambda one: (one.external_id is None, same_title(one.title) != wanted), default=None)


def _is_named_anew(known: Activity | None, ref: ActivityRef) -> bool:
    if known is None:
        return bool(ref.title) or ref.kind in WHOLE_TITLES
    if not ref.title:
        return False
    has_kind = family(known.kind) == family(ref.kind)
    return not has_kind or (ref.kind not in WHOLE_TITLES and same_title(known.title) != same_title(ref.title))


def _asked(session: Session, course_id: int) -> list[Criteria]:
    query = select(Rule).where(Rule.course_id == course_id, Rule.status != RuleStatus.ARCHIVED)
    return [rule.criteria for rule in session.scalars(query)]


def _may_be(waiting_id: int, known: Activity | None, ref: ActivityRef, asked: list[Criteria]) -> bool:
    """Whether one that waits is what a source names: not when a rule asks for both, nor for what is never told."""
    about = [criteria for criteria in asked if waiting_id in activities_of(criteria)]
    if known is not None and any(known.id in activities_of(criteria) for criteria in about):
        return False
    aspects = set[Aspect]().union(*(asked_of(waiting_id, criteria) for criteria in about))
    return not aspects or bool(aspects & told_of(ref))
