"""Puts the activity that a teacher has named together with the one that the LMS tells by that name.

What waits for a name has no results. When the LMS tells the name of an activity for the first time, the one that waits
becomes it. When the activity was known by another name, the rules that speak of the one that waits speak of it from
then on, and everybody with results in it is decided on again; a rule that asks for both is left as it is.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import activities_of, criteria_to_json, moved_by
from lti_tool.domain.events import ActivityRef
from lti_tool.domain.naming import Aspect, asked_of, asks, told_of
from lti_tool.logs import get_logger
from lti_tool.models import Course, Person, Result, Rule, RuleException, RuleVersion, RunCause
from lti_tool.services import activities, awarding, evaluation, runs
from lti_tool.services.activities import Naming, Shelf
from lti_tool.settings import Settings
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)


def settle(tools: Toolbox, course_id: int, refs: Sequence[ActivityRef], now: datetime) -> None:
    """Give what a source has just named to the rules that wait for it, while nobody else stores results there."""
    with tools.database.write() as session:
        # Events keep the course from being changed before they lock its people: they wait for us, or we for them.
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        settle_in(session, course, refs, tools.settings, now)
        session.commit()


def settle_in(session: Session, course: Course, refs: Sequence[ActivityRef], settings: Settings, now: datetime) -> None:
    """The same in a transaction of the caller's, who has the course locked against events."""
    first = list(Shelf(session, course.id, refs).namings(refs))
    if not first:
        return
    # Before anything else is locked, and in one order, as everybody does.
    people = awarding.lock_people(session, course.id, _touched(first))
    # One after the other: what one has taken is not there for the next.
    while (naming := next(Shelf(session, course.id, refs).namings(refs), None)) is not None:
        _give(session, course, naming, now)
    if people:
        run = runs.begin(session, course.id, RunCause.PULL, "The tool", now)
        evaluation.evaluate(session, course, people, now, run)
        runs.finish(session, run, settings, now)


def _touched(namings: Sequence[Naming]) -> Select[Any]:
    """The people whose results, or exceptions, come to count elsewhere."""
    known = [naming.known.id for naming in namings if naming.known is not None]
    waiting = [naming.waiting.id for naming in namings]
    with_results = select(Result.person_id).where(Result.activity_id.in_(known))
    excused = select(RuleException.person_id).where(RuleException.activity_id.in_(waiting))
    return select(Person.id).where(Person.id.in_(with_results) | Person.id.in_(excused))


def _give(session: Session, course: Course, naming: Naming, now: datetime) -> None:
    waiting, known, ref = naming.waiting, naming.known, naming.ref
    versions = _versions_about(session, course.id, waiting.id)
    asked = set[Aspect]().union(*(asked_of(waiting.id, version.criteria) for version in versions))
    if known is None and asked <= told_of(ref):
        waiting.external_id, waiting.kind = ref.external_id, ref.kind
        activities.rename(waiting, ref)
        log.info("activity_named", course_id=course.id, activity_id=waiting.id)
    else:
        known = known or activities.make(session, course, ref, now)
        activities.rename(known, ref)
        is_left = _move(session, versions, waiting.id, known.id, told_of(ref))
        session.flush()
        if not is_left:
            session.delete(waiting)
        log.info("activity_named", course_id=course.id, activity_id=known.id, in_place_of=waiting.id)
    session.flush()


def _move(session: Session, versions: Sequence[RuleVersion], old: int, new: int, told: set[Aspect]) -> bool:
    """Let rules and exceptions speak of another activity, where that is told of; whether some speak of the old one."""
    for version in versions:
        version.criteria_json = criteria_to_json(
            moved_by(version.criteria, lambda c: new if c.activity_id == old and asks(c) in told else c.activity_id)
        )
    left = {version.rule_id for version in versions if old in activities_of(version.criteria)}
    for excused in session.scalars(select(RuleException).where(RuleException.activity_id == old)):
        if excused.rule_id in left:
            # Whoever need not do it need not do either part of it.
            session.add(_same_exception(excused, new))
        else:
            excused.activity_id = new
    return bool(left)


def _same_exception(granted: RuleException, activity_id: int) -> RuleException:
    return RuleException(
        rule_id=granted.rule_id,
        person_id=granted.person_id,
        kind=granted.kind,
        activity_id=activity_id,
        note=granted.note,
        created_by_id=granted.created_by_id,
        created_at=granted.created_at,
        run_id=granted.run_id,
    )


def _versions_about(session: Session, course_id: int, activity_id: int) -> list[RuleVersion]:
    """The versions that speak of an activity, former ones too: awards are held against the one that earned them."""
    query = select(RuleVersion).join(Rule, Rule.id == RuleVersion.rule_id).where(Rule.course_id == course_id)
    return [version for version in session.scalars(query) if activity_id in activities_of(version.criteria)]
