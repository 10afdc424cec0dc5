"""Takes webhooks in: verified and stored before they are answered, then turned into results."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lti_tool.db import get_or_create, insert_if_absent, wake
from lti_tool.domain.events import ActivityRef, GradeEvent
from lti_tool.errors import NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import (
    Activity,
    Course,
    Deployment,
    Enrolment,
    Event,
    EventStatus,
    Person,
    Result,
    Source,
)
from lti_tool.services import awarding
from lti_tool.sources import KINDS
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

CLOCK_SKEW = timedelta(minutes=5)
RETRY_STEP = timedelta(seconds=2)
MAXIMUM_ATTEMPTS = 12


@dataclass(frozen=True)
class Accepted:
    """The receipt of a delivery: its id here, and whether it had come before."""

    event_id: int
    is_repeat: bool


def accept(tools: Toolbox, source_id: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Accepted:
    """Verify a delivery and store it; raises NotFoundError, SignatureError, MalformedError and stores nothing then."""
    with tools.database.read() as session:
        source = session.scalar(select(Source).where(Source.public_id == source_id, Source.enabled))
    if source is None:
        raise NotFoundError("There is no webhook at this address. Compare it with the list of sources of the tool.")
    kind = KINDS[source.kind]
    kind.verify(headers, body, _secrets(tools, source, now))
    kind.parse(body)
    event = Event(
        source_id=source.id,
        delivery_id=kind.delivery_id(headers, body),
        body=body.decode(),
        received_at=now,
        due_at=now,
    )
    try:
        with tools.database.write() as session:
            session.add(event)
            session.flush()
            wake(session, "event", event.id)
            session.commit()
            return Accepted(event.id, is_repeat=False)
    except IntegrityError:
        return _repeat(tools, event)


def process(tools: Toolbox, event_id: int, now: datetime) -> EventStatus | None:
    """Turn a stored delivery into results and awards, in one transaction; None when there is nothing to do.

    Whatever goes wrong is noted at the event and tried again later, a limited number of times.
    """
    try:
        return _process(tools, event_id, now)
    except Exception as error:
        log.exception("event_not_processed", event_id=event_id)
        return _note_failure(tools, event_id, error, now)


def due_events(session: Session, now: datetime, limit: int = 1000) -> list[int]:
    """The events that were stored and not worked on yet."""
    query = (
        select(Event.id)
        .where(Event.status == EventStatus.RECEIVED, Event.due_at <= now)
        .order_by(Event.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def _process(tools: Toolbox, event_id: int, now: datetime) -> EventStatus | None:
    with tools.database.write() as session:
        event = session.scalar(
            select(Event)
            .where(Event.id == event_id, Event.status.in_([EventStatus.RECEIVED, EventStatus.UNMATCHED]))
            .with_for_update()
        )
        if event is None:
            return None
        event.attempts += 1
        event.processed_at = now
        event.reason = _apply(session, event, KINDS[event.source.kind].parse(event.body.encode()), now)
        event.status = EventStatus.UNMATCHED if event.reason else EventStatus.PROCESSED
        session.commit()
        log.info("event_processed", event_id=event.id, status=event.status, attempts=event.attempts)
        return event.status


def rematch(session: Session, platform_id: int) -> None:
    """Look again at the events of a platform that named a course nobody knew."""
    events = session.scalars(
        select(Event.id)
        .join(Source)
        .where(Source.platform_id == platform_id, Event.status == EventStatus.UNMATCHED)
        .order_by(Event.id)
    )
    for event_id in events:
        wake(session, "event", event_id)


def _note_failure(tools: Toolbox, event_id: int, error: Exception, now: datetime) -> EventStatus:
    with tools.database.write() as session:
        event = session.get_one(Event, event_id, with_for_update=True)
        event.attempts += 1
        # The kind of fault only: its text may quote the body, which is about people.
        event.reason = f"The tool failed to work on this event ({type(error).__name__}); see its log."
        event.due_at = now + RETRY_STEP * 2**event.attempts
        if event.attempts >= MAXIMUM_ATTEMPTS:
            event.status = EventStatus.FAILED
        else:
            wake(session, "event", event_id, event.due_at)
        session.commit()
        return event.status


def _secrets(tools: Toolbox, source: Source, now: datetime) -> list[str]:
    sealed = [source.sealed_secret]
    if source.sealed_former_secret and source.former_secret_until and now < source.former_secret_until:
        sealed.append(source.sealed_former_secret)
    return [tools.vault.open(secret) for secret in sealed]


def _repeat(tools: Toolbox, event: Event) -> Accepted:
    with tools.database.read() as session:
        event_id = session.scalars(
            select(Event.id).where(Event.source_id == event.source_id, Event.delivery_id == event.delivery_id)
        ).one()
    return Accepted(event_id, is_repeat=True)


def _apply(session: Session, event: Event, grades: list[GradeEvent], now: datetime) -> str | None:
    """Store what is new and decide what it earns; the reason when a part of it could not be matched."""
    unmatched: list[str] = []

    def whose(grade: GradeEvent) -> tuple[str, str, str]:
        return grade.deployment_id or "", grade.context_id, grade.sub

    # In one order for everybody, so that two batches never wait for each other's locks.
    for (deployment_id, context_id, sub), group in groupby(sorted(grades, key=whose), key=whose):
        course = _find_course(session, event.source.platform_id, deployment_id, context_id)
        if isinstance(course, str):
            unmatched.append(course)
            continue
        person = get_or_create(
            session, Person, {"platform_id": event.source.platform_id, "sub": sub}, name="", created_at=now
        )
        # The lock on this row puts everything about one person in one course in a queue.
        enrolment = get_or_create(
            session,
            Enrolment,
            {"course_id": course.id, "person_id": person.id},
            is_test=False,
            active=True,
            seen_at=now,
        )
        changed = [_store(session, course, person, grade, event, now) for grade in group]
        if any(changed):
            awarding.award_earned(session, course, enrolment, now)
    return "; ".join(dict.fromkeys(unmatched)) or None


def _find_course(session: Session, platform_id: int, deployment_id: str, context_id: str) -> Course | str:
    query = (
        select(Course).join(Deployment).where(Deployment.platform_id == platform_id, Course.context_id == context_id)
    )
    if deployment_id:
        query = query.where(Deployment.deployment_id == deployment_id)
    # A rule that is being switched on waits for us, or we for it: no result slips between the two.
    courses = session.scalars(query.with_for_update(read=True, of=Course)).all()
    if not courses:
        return f"Nobody has opened Badges in course {context_id} yet; this event waits until somebody does."
    if len(courses) > 1:
        return f"Course {context_id} exists in several deployments; send deployment_id with the event."
    return courses[0]


def _store(session: Session, course: Course, person: Person, grade: GradeEvent, event: Event, now: datetime) -> bool:
    """Store a result unless a newer one is there; whether it was stored."""
    activity = _activity(session, course, grade.activity, now)
    score = grade.score
    # A clock that runs ahead must not keep later results out for as long as it is ahead.
    occurred_at = min(score.occurred_at, event.received_at + CLOCK_SKEW)
    values = {
        "event_id": event.id,
        "score_given": score.given,
        "score_maximum": score.maximum,
        "activity_progress": score.activity_progress.value,
        "grading_progress": score.grading_progress.value,
        "released": score.released,
        "occurred_at": occurred_at,
    }
    key = {"activity_id": activity.id, "person_id": person.id}
    if insert_if_absent(session, Result, key, **values):
        return True
    result = session.scalars(select(Result).filter_by(**key).with_for_update()).one()
    if result.occurred_at >= occurred_at:
        return False
    for name, value in values.items():
        setattr(result, name, value)
    return True


def _activity(session: Session, course: Course, ref: ActivityRef, now: datetime) -> Activity:
    known = session.scalar(
        select(Activity).where(Activity.course_id == course.id, Activity.external_id == ref.external_id)
    )
    activity = known or _named_by_instructor(session, course, ref)
    if activity is None:
        return get_or_create(
            session,
            Activity,
            {"course_id": course.id, "external_id": ref.external_id},
            title=ref.title,
            kind=ref.kind,
            created_at=now,
        )
    activity.title, activity.kind, activity.external_id = ref.title, ref.kind, ref.external_id
    return activity


def _named_by_instructor(session: Session, course: Course, ref: ActivityRef) -> Activity | None:
    """The activity that a rule named before any source did: the first to come with its title is meant."""
    waiting = session.scalars(
        select(Activity)
        .where(Activity.course_id == course.id, Activity.external_id.is_(None))
        .order_by(Activity.id)
        .with_for_update()
    )
    wanted = ref.title.strip().casefold()
    return next((activity for activity in waiting if activity.title.strip().casefold() == wanted), None)
