"""Takes webhooks in: verified and stored before they are answered, then turned into results and awards."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import get_or_create_all, insert_if_absent, wake
from lti_tool.domain.events import GradeEvent, Identifier, IdKind
from lti_tool.errors import ConflictError, LtiBadgesError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import (
    AwardRun,
    Course,
    Enrolment,
    Event,
    EventStatus,
    MissingId,
    Person,
    Platform,
    RunCause,
    Source,
)
from lti_tool.services import (
    binding,
    evaluation,
    events,
    health,
    marks,
    matching,
    pull_moodle,
    pulls,
    results,
    runs,
    sources,
)
from lti_tool.services.activities import AwaitedError
from lti_tool.services.matching import Unmatched
from lti_tool.sources import KINDS
from lti_tool.sources.kind import Answer, Delivery, SourceKind
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

RETRY_STEP = timedelta(seconds=2)
MAXIMUM_FAILURES = 12
TO_DO = (EventStatus.RECEIVED, EventStatus.UNMATCHED)
UNMATCHED = "unmatched"
TEST = "test"
SWITCHED_OFF = "Nothing is taken here now"
PULL_PREFIX = "pull-"


@dataclass(frozen=True)
class Accepted:
    """The receipt of a delivery: its id here (None when it is about nothing of ours), a repeat, and the answer."""

    event_id: int | None
    is_repeat: bool
    answer: Answer


def accept(
    tools: Toolbox, source_id: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes, now: datetime
) -> Accepted:
    """Verify a delivery and store it; raises NotFoundError, SignatureError, MalformedError and stores nothing then."""
    with tools.database.read() as session:
        addressed = select(Source).where(Source.public_id == source_id, Source.enabled)
        source = session.scalar(addressed.options(joinedload(Source.platform)))
    if source is not None and not source.platform.enabled:
        raise NotFoundError(
            "The LMS of this webhook is switched off in the tool: its events are refused.", SWITCHED_OFF
        )
    if source is None or source.kind not in KINDS:
        raise NotFoundError("There is no webhook at this address. Compare it with the list of sources of the tool.")
    kind = KINDS[source.kind]
    delivery = Delivery({name.lower(): value for name, value in headers.items()}, query, body)
    try:
        payload = kind.verify(delivery, sources.access_of(tools, source, now))
        told = kind.parse(payload)
        delivery_id = kind.delivery_id(delivery, payload)
    except LtiBadgesError as error:
        health.note_refusal(tools, source.id, error.advice, now)
        raise
    if not told:
        health.note_heard(tools, source, now)
        ignored = Answer(202, {"id": None, "ignored": True})
        return Accepted(None, False, ignored if kind.answer is None else kind.answer(payload, None, False))
    event = Event(
        source_id=source.id,
        delivery_id=delivery_id,
        body=payload.decode(),
        received_at=now,
        occurred_at=max(grade.occurred_at for grade in told),
        due_at=now,
    )
    if marks.is_test(tools.vault, source, delivery.headers, now):
        event.status, event.processed_at, event.run_key = EventStatus.PROCESSED, now, marks.TEST_RUN
        event.outcome = {TEST: 1}
    event_id, is_repeat = _store(tools, event, kind)
    answer = Answer(202, {"id": event_id, "repeat": is_repeat})
    if kind.answer is not None:
        answer = kind.answer(payload, event_id, is_repeat)
    return Accepted(event_id, is_repeat, answer)


def process(tools: Toolbox, event_id: int, now: datetime) -> EventStatus | None:
    """Turn a stored delivery into results and awards, in one transaction; None when there is nothing to do.

    Whatever goes wrong is noted at the event and tried again later, a limited number of times.
    """
    try:
        status, run_key = _process_settled(tools, event_id, now)
    except Exception as error:
        log.exception("event_not_processed", event_id=event_id)
        status, run_key = _note_failure(tools, event_id, error, now)
    if run_key is not None:
        runs.finish_worked_on(tools, run_key, now)
    return status


def due_events(session: Session, now: datetime, limit: int = 1000) -> list[int]:
    """The events that were stored and not worked on yet; those of an LMS that is switched off wait."""
    query = (
        select(Event.id)
        .join(Source, Source.id == Event.source_id)
        .join(Platform, Platform.id == Source.platform_id)
        .where(Event.status == EventStatus.RECEIVED, Event.due_at <= now, Platform.enabled)
        .order_by(Event.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def _store(tools: Toolbox, event: Event, kind: SourceKind) -> tuple[int, bool]:
    """Store a delivery once; its id, and whether it had come before. Raises ConflictError where another had its id."""
    try:
        with tools.database.write() as session:
            session.add(event)
            session.flush()
            wake(session, "event", event.id)
            session.commit()
            return event.id, False
    except IntegrityError:
        same = (Event.source_id == event.source_id) & (Event.delivery_id == event.delivery_id)
        with tools.database.write() as session:
            known = session.scalars(update(Event).where(same).values(repeats=Event.repeats + 1).returning(Event)).one()
            session.commit()
        if (
            kind.differs is not None
            and _is_as_it_came(known)
            and kind.differs(event.body.encode(), known.body.encode())
        ):
            raise ConflictError("Something else came under this id. Give what is new an id of its own.") from None
        return known.id, True


def _is_as_it_came(event: Event) -> bool:
    return event.body_removed_at is None and not event.is_rewritten


def _process_settled(tools: Toolbox, event_id: int, now: datetime) -> tuple[EventStatus | None, str | None]:
    """Work on a delivery once every name in it that a teacher has given before is settled; each is so only once."""
    while True:
        try:
            return _process(tools, event_id, now)
        except AwaitedError as awaited:
            binding.settle(tools, awaited.course_id, awaited.refs, now)


def _process(tools: Toolbox, event_id: int, now: datetime) -> tuple[EventStatus | None, str | None]:
    with tools.database.write() as session:
        event = session.scalar(select(Event).where(Event.id == event_id, Event.status.in_(TO_DO)).with_for_update())
        if event is None or event.body_removed_at is not None or not event.source.platform.enabled:
            return None, None
        event.attempts += 1
        event.failures = 0
        event.processed_at = now
        told = events.told_by(event)
        half_told: set[int] = set()
        outcomes, unmatched = _apply(tools, session, event, told, half_told, now)
        _note_missing(session, event, unmatched)
        event.outcome = dict(outcomes)
        event.reason = " ".join(dict.fromkeys(u.reason for u in unmatched))[:1000] or None
        event.status = EventStatus.UNMATCHED if unmatched else EventStatus.PROCESSED
        session.commit()
    log.info("event_processed", event_id=event.id, status=event.status, attempts=event.attempts)
    # On its own: the course was locked against changes by others only.
    for course_id in sorted(half_told):
        pulls.request_for_event(tools, course_id, now)
    return event.status, event.run_key


def _note_failure(tools: Toolbox, event_id: int, error: Exception, now: datetime) -> tuple[EventStatus, str | None]:
    with tools.database.write() as session:
        event = session.get_one(Event, event_id, with_for_update=True)
        if event.status not in TO_DO:
            # Somebody else has worked on it meanwhile.
            return event.status, event.run_key
        event.attempts += 1
        event.failures += 1
        # The kind of fault only: its text may quote the body, which is about people.
        event.reason = f"The tool failed to work on this event ({type(error).__name__}); see its log."
        event.due_at = now + RETRY_STEP * 2**event.failures
        if event.failures >= MAXIMUM_FAILURES:
            event.status = EventStatus.FAILED
        else:
            # One that waited for somebody, too: the sweep finds only what is to be worked on.
            event.status = EventStatus.RECEIVED
            wake(session, "event", event_id, event.due_at)
        session.commit()
        return event.status, event.run_key


def _apply(
    tools: Toolbox, session: Session, event: Event, told: list[GradeEvent], half_told: set[int], now: datetime
) -> tuple[Counter[str], list[Unmatched]]:
    """Store what is new and decide what it earns; the number of each outcome, and the parts that fit nothing yet.

    `half_told` gets the courses of which only the LMS can tell the rest.
    """
    named = {_course_key(grade): grade for grade in told}
    courses = {key: matching.find_course(session, event.source, grade) for key, grade in named.items()}
    placed = [(course, g) for g in told if isinstance(course := courses[_course_key(g)], Course)]
    people = matching.find_people(session, event.source, placed, now)
    unmatched = [nowhere for g in told if isinstance(nowhere := courses[_course_key(g)], Unmatched)]
    unmatched += [nobody for course, g in placed if isinstance(nobody := people[course.id, g.person], Unmatched)]
    outcomes = Counter({UNMATCHED: len(unmatched)})
    # In one order for everybody, so that two batches never wait for each other's locks.
    for course in sorted({course for course, _ in placed}, key=lambda course: course.id):
        here = [(person, g) for c, g in placed if c is course and isinstance(person := people[c.id, g.person], Person)]
        if here and pull_moodle.has_the_word(session, tools.vault, course, event.source):
            here = [(person, pull_moodle.unread(g)) for person, g in here]
        if here:
            outcomes += _apply_to(session, event, course, here, now)
        if any(g.grade and g.grade.given is not None and g.grade.maximum is None for _, g in here):
            # Moodle's events tell points of an unknown maximum (LMS.md §5.7).
            half_told.add(course.id)
    return outcomes, unmatched


def _apply_to(
    session: Session, event: Event, course: Course, told: list[tuple[Person, GradeEvent]], now: datetime
) -> Counter[str]:
    # The locks on them put everything about one person in one course in a queue.
    people = {person.id for person, _ in told}
    new = {"is_test": False, "active": True, "seen_at": now}
    enrolments = get_or_create_all(session, Enrolment, {"course_id": course.id}, "person_id", people, new).values()
    outcomes, changed = results.store(session, course, told, event, now)
    affected = [e for e in enrolments if e.person_id in changed or event.run_key]
    evaluation.evaluate(session, course, affected, now, _run(session, course, event, now))
    return outcomes


def _course_key(grade: GradeEvent) -> tuple[str | None, tuple[Identifier, ...]]:
    return grade.deployment_id, grade.course


def _run(session: Session, course: Course, event: Event, now: datetime) -> AwardRun | None:
    """The run that awards of a replay or a pull belong to; None for what the LMS tells as it happens."""
    if event.run_key is None:
        return None
    cause = RunCause.PULL if event.run_key.startswith(PULL_PREFIX) else RunCause.REPLAY
    return runs.begin(session, course.id, cause, "The tool", now, key=event.run_key)


def _note_missing(session: Session, event: Event, unmatched: list[Unmatched]) -> None:
    session.execute(delete(MissingId).where(MissingId.event_id == event.id))
    for identifier in {identifier for one in unmatched for identifier in one.ids}:
        value = identifier.value.strip().lower() if identifier.kind is IdKind.EMAIL else identifier.value
        key = {"event_id": event.id, "kind": identifier.kind, "value": value[:255]}
        insert_if_absent(session, MissingId, key, platform_id=event.source.platform_id)
