"""Finds the course and the person that an event names, whichever of their ids it uses, and learns such ids."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Select, exists, false, func, or_, select, update
from sqlalchemy.orm import Session

from lti_tool.db import chunks, get_or_create_all, insert_if_absent, wake
from lti_tool.domain.events import GradeEvent, Identifier, IdKind
from lti_tool.models import (
    Course,
    CourseAlias,
    Deployment,
    Enrolment,
    Event,
    EventStatus,
    MissingId,
    Person,
    PersonAlias,
    Source,
)

# Ids that every institution gives out by itself: those who share a registration may use the same.
LOCAL = frozenset({IdKind.CANVAS_LOCAL, IdKind.SIS, IdKind.USERNAME, IdKind.NUMBER})

# So many events are announced to the queue at once when an id becomes known that they waited for.
AT_ONCE = 100


@dataclass(frozen=True)
class Unmatched:
    """Nobody, or more than one, is meant: why, and the ids that would tell when they become known."""

    reason: str
    ids: tuple[Identifier, ...] = ()


def find_course(session: Session, source: Source, told: GradeEvent) -> Course | Unmatched:
    """The course of an event, kept from being changed until the transaction ends."""
    is_for_one = told.deployment_id is not None or source.deployment_id is not None
    usable = [i for i in told.course if i.kind not in LOCAL or is_for_one or not _has_several_lmss(session, source)]
    for identifier in usable:
        query = select(Course).join(Deployment).where(Deployment.platform_id == source.platform_id)
        is_it = partial(_is_course, source)
        query = query.where(is_it(identifier), *_fitting(told.course, identifier, is_it, _has_no_course_id))
        if told.deployment_id:
            query = query.where(Deployment.deployment_id == told.deployment_id)
        if source.deployment_id is not None:
            query = query.where(Course.deployment_id == source.deployment_id)
        # A rule that is being switched on waits for us, or we for it: no result slips between the two.
        courses = session.scalars(query.with_for_update(read=True, of=Course)).unique().all()
        if len(courses) > 1:
            advice = "send deployment_id with the event" if told.deployment_id is None else "their ids are the same"
            return Unmatched(f"Course {_shown(told.course)} exists in several deployments; {advice}.")
        if courses:
            return courses[0]
    if not usable:
        return Unmatched(
            f"Several LMSs share this registration, and each may have a course {_shown(told.course)}. Choose at the "
            "source the deployment that it is for, and replay the event."
        )
    return Unmatched(
        f"Nobody has opened Badges in course {_shown(told.course)} yet; this event waits until somebody does.",
        tuple(usable),
    )


def find_people(
    session: Session, source: Source, told: Iterable[tuple[Course, GradeEvent]], now: datetime
) -> dict[tuple[int, tuple[Identifier, ...]], Person | Unmatched]:
    """The people of events, by course and by the ids that the event uses.

    Those whom the LMS names by its own id are made when nobody knows them yet.
    """
    wanted = {(course.id, event.person): course for course, event in told}
    by_sub = get_or_create_all(
        session,
        Person,
        {"platform_id": source.platform_id},
        "sub",
        (identifier.value for _, ids in wanted for identifier in ids if identifier.kind is IdKind.LTI),
        {"name": "", "created_at": now},
        locked=False,
    )
    found: dict[tuple[int, tuple[Identifier, ...]], Person | Unmatched] = {}
    for (course_id, ids), course in wanted.items():
        found[course_id, ids] = _find_person(session, source, course, ids, by_sub)
    return found


def learn_people(session: Session, platform_id: int, told: Mapping[Person, Sequence[Identifier]]) -> None:
    """Remember other ids of people of one platform, and look again at the events that waited for one of them."""
    named = [person.id for person, ids in told.items() if ids]
    known: set[tuple[int, IdKind, str]] = set()
    for some in chunks(named):
        for alias in session.scalars(select(PersonAlias).where(PersonAlias.person_id.in_(some))):
            known.add((alias.person_id, alias.kind, alias.value))
    learned = list[Identifier]()
    for person, ids in told.items():
        for identifier in ids:
            value = identifier.value[:255]
            key = {"platform_id": platform_id, "kind": identifier.kind, "value": value, "person_id": person.id}
            if (person.id, identifier.kind, value) not in known and insert_if_absent(session, PersonAlias, key):
                learned.append(identifier)
    wake_waiting(session, platform_id, learned)


def note_address(person: Person, address: str | None) -> bool:
    """Remember a person's address; whether it is a new one, by which events may have named them."""
    is_new = bool(address) and address != person.email
    person.email = address or person.email
    return is_new


def note_arrivals(session: Session, platform_id: int, people: Collection[Person]) -> None:
    """Look again at the events that named people who are in a course, or have an address, only now."""
    ids = [Identifier(IdKind.GUESS, person.sub) for person in people]
    ids += [Identifier(IdKind.EMAIL, person.email.strip().lower()) for person in people if person.email]
    wake_waiting(session, platform_id, ids)
    known = (PersonAlias.platform_id == MissingId.platform_id) & (PersonAlias.kind == MissingId.kind)
    known &= PersonAlias.value == MissingId.value
    query = select(MissingId.event_id).join(PersonAlias, known)
    for some in chunks([person.id for person in people]):
        _have_looked_at(session, query.where(PersonAlias.person_id.in_(some)))


def learn_course(session: Session, course: Course, platform_id: int, ids: Iterable[Identifier]) -> None:
    """Remember other ids of a course, and look again at the events that waited for one of them."""
    for identifier in ids:
        key = {"platform_id": platform_id, "kind": identifier.kind, "value": identifier.value[:255]}
        if insert_if_absent(session, CourseAlias, key | {"course_id": course.id}):
            wake_waiting(session, platform_id, [identifier])


def note_course(session: Session, course: Course, platform_id: int) -> None:
    """Look again at the events that came before anybody had opened this course."""
    wake_waiting(session, platform_id, [Identifier(kind, course.context_id) for kind in (IdKind.LTI, IdKind.GUESS)])


def missed(session: Session, before: datetime, limit: int = 1000) -> list[int]:
    """The events that wait for an id that is known by now, last worked on before a moment; the longest ago first.

    Whoever learns an id has them looked at, but not those that were being worked on just then.
    """
    alias_of = {
        model: (model.platform_id == MissingId.platform_id)
        & (model.kind == MissingId.kind)
        & (model.value == MissingId.value)
        for model in (PersonAlias, CourseAlias)
    }
    own = MissingId.kind.in_([IdKind.LTI, IdKind.GUESS])
    context = (Deployment.platform_id == MissingId.platform_id) & (Course.context_id == MissingId.value)
    sub = (Person.platform_id == MissingId.platform_id) & (Person.sub == MissingId.value)
    address = (Person.platform_id == MissingId.platform_id) & (func.lower(Person.email) == MissingId.value)
    is_known = or_(
        *(exists().where(same) for same in alias_of.values()),
        own & exists(select(Course.id).join(Deployment).where(context)),
        (MissingId.kind == IdKind.GUESS) & exists(select(Person.id).where(sub)),
        (MissingId.kind == IdKind.EMAIL) & exists(select(Person.id).where(address)),
    )
    waits = exists().where(MissingId.event_id == Event.id, is_known)
    query = select(Event.id).where(Event.status == EventStatus.UNMATCHED, Event.processed_at < before, waits)
    return list(session.scalars(query.order_by(Event.processed_at, Event.id).limit(limit)))


def wake_waiting(session: Session, platform_id: int, ids: Sequence[Identifier]) -> None:
    """Have the events looked at again that waited for one of these ids."""
    query = select(MissingId.event_id).where(MissingId.platform_id == platform_id)
    for kind in {identifier.kind for identifier in ids}:
        for some in chunks([identifier.value[:255] for identifier in ids if identifier.kind is kind]):
            _have_looked_at(session, query.where(MissingId.kind == kind, MissingId.value.in_(some)))


def _have_looked_at(session: Session, chosen: Select[int]) -> None:
    """Have events that fitted nothing worked on again: the first of them at once, the rest when the sweep comes by.

    Somebody waits for the answer to a launch, and thousands of events may have waited for it.
    """
    waiting = select(Event.id).where(
        Event.status == EventStatus.UNMATCHED, Event.body_removed_at.is_(None), Event.id.in_(chosen)
    )
    first = session.scalars(waiting.order_by(Event.id).limit(AT_ONCE)).all()
    if not first:
        return
    # One that is being worked on holds its row, and may want what we hold: it is woken, or `missed` finds it.
    free = waiting.with_for_update(skip_locked=True)
    again = update(Event).where(Event.id.in_(free)).values(status=EventStatus.RECEIVED, due_at=Event.received_at)
    session.execute(again, execution_options={"synchronize_session": False})
    for event_id in first:
        wake(session, "event", event_id)


def _find_person(
    session: Session, source: Source, course: Course, ids: tuple[Identifier, ...], by_sub: dict[str, Person]
) -> Person | Unmatched:
    for identifier in ids:
        if identifier.kind is IdKind.LTI:
            return by_sub[identifier.value]
        found = _people(session, source, course, identifier, ids)
        if len(found) > 1:
            return Unmatched(f"Several people of this course have the id {_shown([identifier])}.")
        if found:
            # The user name is known from launches; that it goes with this number, only the event tells.
            numbers = [i for i in ids if i.kind is IdKind.NUMBER]
            learn_people(session, source.platform_id, {found[0]: numbers})
            return found[0]
    if {identifier.kind for identifier in ids} <= {IdKind.EMAIL} and not source.match_by_email:
        reason = "The event names the person only by e-mail address, and this source may not match by address."
    else:
        reason = f"Nobody with the id {_shown(ids)} is known yet; the event waits until the LMS tells who it is."
    return Unmatched(reason, tuple(i for i in ids if i.kind is not IdKind.EMAIL or source.match_by_email))


def _people(
    session: Session, source: Source, course: Course, identifier: Identifier, ids: tuple[Identifier, ...]
) -> Sequence[Person]:
    if identifier.kind is IdKind.EMAIL and not source.match_by_email:
        return []
    is_it = partial(_is_person, source)
    query = select(Person).where(Person.platform_id == source.platform_id, is_it(identifier))
    query = query.where(*_fitting(ids, identifier, is_it, _has_no_person_id))
    in_course = Person.id.in_(select(Enrolment.person_id).where(Enrolment.course_id == course.id))
    if identifier.kind is IdKind.EMAIL:
        # An address names somebody only among those who are in this course.
        query = query.where(in_course)
    elif identifier.kind in LOCAL:
        in_lms = select(Enrolment.person_id).join(Course).where(Course.deployment_id == course.deployment_id)
        query = query.where(Person.id.in_(in_lms))
    found = session.scalars(query).all()
    return found if len(found) < 2 else session.scalars(query.where(in_course)).all()


def _is_person(source: Source, identifier: Identifier) -> ColumnElement[bool]:
    if identifier.kind is IdKind.EMAIL:
        return func.lower(Person.email) == identifier.value.strip().lower()
    if identifier.kind in (IdKind.LTI, IdKind.GUESS):
        return Person.sub == identifier.value
    return Person.id.in_(select(PersonAlias.person_id).where(*_alias(PersonAlias, source, identifier)))


def _is_course(source: Source, identifier: Identifier) -> ColumnElement[bool]:
    if identifier.kind in (IdKind.LTI, IdKind.GUESS):
        return Course.context_id == identifier.value
    return Course.id.in_(select(CourseAlias.course_id).where(*_alias(CourseAlias, source, identifier)))


def _alias(
    model: type[PersonAlias | CourseAlias], source: Source, identifier: Identifier
) -> tuple[ColumnElement[bool], ...]:
    return (
        model.platform_id == source.platform_id,
        model.kind == identifier.kind,
        model.value == identifier.value[:255],
    )


def _has_no_person_id(kind: IdKind) -> ColumnElement[bool]:
    return ~exists().where(PersonAlias.person_id == Person.id, PersonAlias.kind == kind)


def _has_no_course_id(kind: IdKind) -> ColumnElement[bool]:
    if kind is IdKind.LTI:
        return false()
    return ~exists().where(CourseAlias.course_id == Course.id, CourseAlias.kind == kind)


def _fitting(
    told: Sequence[Identifier],
    by: Identifier,
    is_one: Callable[[Identifier], ColumnElement[bool]],
    has_none: Callable[[IdKind], ColumnElement[bool]],
) -> Iterator[ColumnElement[bool]]:
    """That whoever is found by one id has no other value of a more certain kind that was told beside it."""
    ranks = list(IdKind)
    for kind in ranks[: ranks.index(by.kind)]:
        values = [identifier for identifier in told if identifier.kind is kind and kind is not IdKind.GUESS]
        if values:
            yield or_(has_none(kind), *map(is_one, values))


def _has_several_lmss(session: Session, source: Source) -> bool:
    hosts = select(Deployment.host).where(Deployment.platform_id == source.platform_id, Deployment.host.is_not(None))
    return len(session.scalars(hosts.distinct().limit(2)).all()) > 1


def _shown(ids: Sequence[Identifier]) -> str:
    return " / ".join(identifier.value for identifier in ids if identifier.kind is not IdKind.EMAIL) or "(an address)"
