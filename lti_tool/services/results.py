"""Stores what events tell: of a person in an activity the newest fact of each kind, in whatever order they come."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import chunks
from lti_tool.domain.events import Fact, GradeEvent, ResultState
from lti_tool.models import Course, Event, Person, Result
from lti_tool.services import activities

CLOCK_SKEW = timedelta(minutes=5)
NEW, SAME, LATE, FUTURE = "new", "same", "late", "from_the_future"


def store(
    session: Session, course: Course, told: Sequence[tuple[Person, GradeEvent]], event: Event, now: datetime
) -> tuple[Counter[str], set[int]]:
    """Store what is newer than what is known; the number of each outcome, and the people of whom something is new.

    The caller holds the locks of these people in this course: nobody else stores results of theirs meanwhile. Raises
    `activities.AwaitedError`.
    """
    # A clock that runs ahead must not keep later results out for as long as it is ahead.
    latest = event.received_at + CLOCK_SKEW
    found = activities.find(session, course, list(dict.fromkeys(grade.activity for _, grade in told)), now)
    known = _known(session, {(person.id, found[grade.activity].id) for person, grade in told})
    states = {key: result.state for key, result in known.items()}
    outcomes: Counter[str] = Counter()
    changed: set[tuple[int, int]] = set()
    for person, grade in told:
        key = (person.id, found[grade.activity].id)
        outcome, states[key] = _after(states.get(key, ResultState()), grade, event, latest)
        outcomes[outcome] += 1
        outcomes[FUTURE] += grade.occurred_at > latest
        if outcome == NEW:
            changed.add(key)
    for person_id, activity_id in sorted(changed):
        result = known.get((person_id, activity_id))
        if result is None:
            shown = {"grade_released": True, "progress_released": True, "hand_in_released": True}
            result = Result(person_id=person_id, activity_id=activity_id, **shown)
            session.add(result)
        result.state = states[person_id, activity_id]
    session.flush()
    return +outcomes, {person_id for person_id, _ in changed}


def _known(session: Session, keys: set[tuple[int, int]]) -> dict[tuple[int, int], Result]:
    # One activity after the other: all these people in all these activities would be far more than is asked for.
    found: dict[tuple[int, int], Result] = {}
    for activity_id, group in groupby(sorted(keys, key=itemgetter(1, 0)), key=itemgetter(1)):
        for people in chunks([person_id for person_id, _ in group]):
            query = select(Result).where(Result.person_id.in_(people), Result.activity_id == activity_id)
            found |= {(result.person_id, result.activity_id): result for result in session.scalars(query)}
    return found


def _after(known: ResultState, told: GradeEvent, event: Event, latest: datetime) -> tuple[str, ResultState]:
    grade, progress = _own(told.grade, event, latest), _own(told.progress, event, latest)
    after = known.after(grade, progress)
    if after != known:
        return NEW, after
    is_known = grade in (None, known.grade) and progress in (None, known.progress, known.hand_in)
    return SAME if is_known else LATE, known


def _own(fact: Fact | None, event: Event, latest: datetime) -> Fact | None:
    return None if fact is None else replace(fact, at=min(fact.at, latest), event_id=event.id)
