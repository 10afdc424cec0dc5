"""The events of a source: a list that stays fast however many there are, one by one, and those that fit nothing."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.events import IdKind
from lti_tool.errors import NotFoundError
from lti_tool.models import Award, AwardStep, Event, EventStatus, MissingId
from lti_tool.services import marks
from lti_tool.services.reports.common import label_of, state_of

SHOWN = 50
AWARDS_SHOWN = 100
STATE = {
    EventStatus.RECEIVED: ("on_the_way", "To be worked on"),
    EventStatus.PROCESSED: ("issued", "Done"),
    EventStatus.UNMATCHED: ("held", "Fits nothing yet"),
    EventStatus.FAILED: ("failed", "Failed"),
}
OUTCOME = {
    "new": "new",
    "same": "the same as known",
    "late": "older or less than what was known",
    "from_the_future": "dated ahead of our clock",
    "unmatched": "of a course or person that nobody knows yet",
    "test": "a test, which changes nothing",
}
ID_KIND = {
    IdKind.LTI: "LTI id",
    IdKind.CANVAS: "Canvas’ global id",
    IdKind.CANVAS_LOCAL: "Canvas’ local id",
    IdKind.LTI11: "LTI 1.1 user id",
    IdKind.SIS: "SIS id",
    IdKind.USERNAME: "user name",
    IdKind.NUMBER: "number in the LMS",
    IdKind.GUESS: "end of an address, perhaps the LTI id",
    IdKind.EMAIL: "e-mail address",
}


@dataclass(frozen=True)
class EventRow:
    """An event in the list."""

    id: int
    delivery_id: str
    state: str
    label: str
    received_at: datetime
    occurred_at: datetime | None
    outcome: list[str]
    reason: str | None
    repeats: int


@dataclass(frozen=True)
class EventList:
    """Some events, the newest first; `before` is where the next page begins, None at the end."""

    rows: list[EventRow]
    before: int | None


@dataclass(frozen=True)
class AwardLine:
    """An award that an event led to."""

    id: int
    badge: str
    person: str
    course: str
    state: str
    label: str


@dataclass(frozen=True)
class EventView:
    """Everything about one event."""

    row: EventRow
    attempts: int
    processed_at: datetime | None
    body: str | None
    body_removed_at: datetime | None
    is_test: bool
    awards: list[AwardLine]
    next_attempt_at: datetime | None


@dataclass(frozen=True)
class MissingLine:
    """An id that nobody knows, and how many events wait for it."""

    kind: str
    value: str
    events: int
    since: datetime
    reason: str | None


def event_list(
    session: Session, source_id: int, *, status: EventStatus | None = None, words: str = "", before: int | None = None
) -> EventList:
    """A page of a source's events; `words` is a whole delivery id or the number of an event."""
    if words:
        return EventList([_row(event) for event in _named(session, source_id, words)], None)
    newest_first = (Event.received_at.desc(), Event.id.desc())
    query = select(Event).where(Event.source_id == source_id).order_by(*newest_first).limit(SHOWN + 1)
    if status is not None:
        query = query.where(Event.status == status)
    if before is not None:
        last = find_event(session, source_id, before)
        query = query.where(tuple_(Event.received_at, Event.id) < (last.received_at, last.id))
    found = session.scalars(query).all()
    shown = found[:SHOWN]
    return EventList([_row(event) for event in shown], shown[-1].id if len(found) > SHOWN else None)


def find_event(session: Session, source_id: int, event_id: int) -> Event:
    """An event of this source; raises NotFoundError."""
    found = session.scalar(select(Event).where(Event.id == event_id, Event.source_id == source_id))
    if found is None:
        raise NotFoundError("There is no such event of this source.")
    return found


def event_view(session: Session, event: Event) -> EventView:
    """One event with its content and what it led to."""
    waits = event.status is EventStatus.RECEIVED and event.failures > 0
    return EventView(
        row=_row(event),
        attempts=event.attempts,
        processed_at=event.processed_at,
        body=None if event.body_removed_at else _pretty(event.body),
        body_removed_at=event.body_removed_at,
        is_test=event.run_key == marks.TEST_RUN,
        awards=_awards(session, event),
        next_attempt_at=event.due_at if waits else None,
    )


def missing(session: Session, source_id: int) -> list[MissingLine]:
    """The ids that most of the waiting events of a source wait for."""
    number, newest = func.count(), func.max(Event.id)
    query = (
        select(MissingId.kind, MissingId.value, number, func.min(Event.received_at), newest)
        .join(Event, Event.id == MissingId.event_id)
        .where(Event.source_id == source_id, Event.status == EventStatus.UNMATCHED)
        .group_by(MissingId.kind, MissingId.value)
        .order_by(number.desc(), newest.desc())
        .limit(SHOWN)
    )
    rows = session.execute(query).all()
    told = session.execute(select(Event.id, Event.reason).where(Event.id.in_([row[4] for row in rows])))
    reasons = {row.id: row.reason for row in told}
    return [MissingLine(ID_KIND[row[0]], row[1], row[2], row[3], reasons.get(row[4])) for row in rows]


def other_reasons(session: Session, source_id: int) -> list[tuple[str, int]]:
    """Why further events of a source fit nothing: no id that becomes known would help them. With their numbers."""
    waits = select(MissingId.event_id).where(MissingId.event_id == Event.id).exists()
    number = func.count()
    query = (
        select(Event.reason, number)
        .where(Event.source_id == source_id, Event.status == EventStatus.UNMATCHED, ~waits)
        .group_by(Event.reason)
        .order_by(number.desc())
        .limit(SHOWN)
    )
    return [(reason or "It is not known why.", count) for reason, count in session.execute(query)]


def _named(session: Session, source_id: int, words: str) -> list[Event]:
    is_it = Event.delivery_id == words
    if words.isascii() and words.isdigit() and len(words) < 19:
        is_it = or_(is_it, Event.id == int(words))
    return list(session.scalars(select(Event).where(Event.source_id == source_id, is_it).order_by(Event.id.desc())))


def _row(event: Event) -> EventRow:
    state, label = STATE[event.status]
    outcome = event.outcome or {}
    return EventRow(
        id=event.id,
        delivery_id=event.delivery_id,
        state=state,
        label=label,
        received_at=event.received_at,
        occurred_at=event.occurred_at,
        outcome=[f"{number} {OUTCOME.get(name, name)}" for name, number in outcome.items() if number],
        reason=event.reason,
        repeats=event.repeats,
    )


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def _awards(session: Session, event: Event) -> list[AwardLine]:
    query = (
        select(Award)
        .where(Award.id.in_(select(AwardStep.award_id).where(AwardStep.event_id == event.id)))
        .options(joinedload(Award.badge_class), joinedload(Award.person), joinedload(Award.course))
        .order_by(Award.id)
        .limit(AWARDS_SHOWN)
    )
    return [
        AwardLine(
            award.id,
            award.badge_class.name,
            award.person.display_name,
            award.course.title or award.course.label or award.course.context_id,
            state_of(award),
            label_of(award),
        )
        for award in session.scalars(query)
    ]
