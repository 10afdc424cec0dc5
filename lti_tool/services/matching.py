"""Finds the course and the person that an event names, whichever of their ids it uses, and learns such ids."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from lti_tool.db import insert_if_absent, wake
from lti_tool.domain.events import GradeEvent, Identifier, IdKind
from lti_tool.models import Course, CourseAlias, Deployment, Enrolment, MissingId, Person, PersonAlias, Source

CHUNK = 500


@dataclass(frozen=True)
class Unmatched:
    """Nobody, or more than one, is meant: why, and the ids that would tell when they become known."""

    reason: str
    ids: tuple[Identifier, ...] = ()


def find_course(session: Session, source: Source, told: GradeEvent) -> Course | Unmatched:
    """The course of an event, kept from being changed until the transaction ends."""
    for identifier in told.course:
        query = _course_query(source.platform_id, identifier)
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
    return Unmatched(
        f"Nobody has opened Badges in course {_shown(told.course)} yet; this event waits until somebody does.",
        told.course,
    )


def find_people(
    session: Session, source: Source, told: Iterable[tuple[Course, GradeEvent]], now: datetime
) -> dict[tuple[int, tuple[Identifier, ...]], Person | Unmatched]:
    """The people of events, by course and by the ids that the event uses.

    Those whom the LMS names by its own id are made when nobody knows them yet.
    """
    wanted = {(course.id, event.person): course for course, event in told}
    by_sub = _by_sub(session, source.platform_id, {sub for _, ids in wanted if (sub := _sub(ids)) is not None}, now)
    found: dict[tuple[int, tuple[Identifier, ...]], Person | Unmatched] = {}
    for (course_id, ids), course in wanted.items():
        found[course_id, ids] = _find_person(session, source, course, ids, by_sub)
    return found


def learn_person(session: Session, person: Person, ids: Iterable[Identifier]) -> None:
    """Remember other ids of a person, and look again at the events that waited for one of them."""
    for identifier in ids:
        key = {"platform_id": person.platform_id, "kind": identifier.kind, "value": identifier.value[:255]}
        if insert_if_absent(session, PersonAlias, key | {"person_id": person.id}):
            wake_waiting(session, person.platform_id, [identifier])


def note_address(session: Session, person: Person, address: str | None) -> None:
    """Remember a person's address, and look again at the events that named them by it."""
    if address and address != person.email:
        person.email = address
        session.flush()
        note_arrival(session, person)


def note_arrival(session: Session, person: Person) -> None:
    """Look again at the events that named somebody by address who is in the course only now."""
    if person.email:
        wake_waiting(session, person.platform_id, [Identifier(IdKind.EMAIL, person.email.strip().lower())])


def learn_course(session: Session, course: Course, platform_id: int, ids: Iterable[Identifier]) -> None:
    """Remember other ids of a course, and look again at the events that waited for one of them."""
    for identifier in ids:
        key = {"platform_id": platform_id, "kind": identifier.kind, "value": identifier.value[:255]}
        if insert_if_absent(session, CourseAlias, key | {"course_id": course.id}):
            wake_waiting(session, platform_id, [identifier])


def wake_waiting(session: Session, platform_id: int, ids: Sequence[Identifier]) -> None:
    """Have the events looked at again that waited for one of these ids."""
    for identifier in ids:
        query = select(MissingId.event_id).where(
            MissingId.platform_id == platform_id,
            MissingId.kind == identifier.kind,
            MissingId.value == identifier.value[:255],
        )
        for event_id in session.scalars(query):
            wake(session, "event", event_id)


def _sub(ids: Sequence[Identifier]) -> str | None:
    return next((identifier.value for identifier in ids if identifier.kind is IdKind.LTI), None)


def _by_sub(session: Session, platform_id: int, subs: set[str], now: datetime) -> dict[str, Person]:
    found: dict[str, Person] = {}
    # In one order for everybody, so that two batches never wait for each other's new people.
    ordered = sorted(subs)
    for start in range(0, len(ordered), CHUNK):
        chunk = ordered[start : start + CHUNK]
        query = select(Person).where(Person.platform_id == platform_id, Person.sub.in_(chunk))
        known = {person.sub: person for person in session.scalars(query)}
        if len(known) < len(chunk):
            for sub in chunk:
                if sub not in known:
                    insert_if_absent(session, Person, {"platform_id": platform_id, "sub": sub}, name="", created_at=now)
            known = {person.sub: person for person in session.scalars(query)}
        found |= known
    return found


def _find_person(
    session: Session, source: Source, course: Course, ids: tuple[Identifier, ...], by_sub: dict[str, Person]
) -> Person | Unmatched:
    for identifier in ids:
        if identifier.kind is IdKind.LTI:
            return by_sub[identifier.value]
        found = _people(session, source, course, identifier)
        if len(found) > 1:
            return Unmatched(f"Several people of this course have the id {_shown([identifier])}.")
        if found:
            # The user name is known from launches; that it goes with this number, only the event tells.
            learn_person(session, found[0], (i for i in ids if i.kind is IdKind.NUMBER))
            return found[0]
    if {identifier.kind for identifier in ids} <= {IdKind.EMAIL} and not source.match_by_email:
        reason = "The event names the person only by e-mail address, and this source may not match by address."
    else:
        reason = f"Nobody with the id {_shown(ids)} is known yet; the event waits until the LMS tells who it is."
    return Unmatched(reason, tuple(i for i in ids if i.kind is not IdKind.EMAIL or source.match_by_email))


def _course_query(platform_id: int, identifier: Identifier) -> Select[Course]:
    query = select(Course).join(Deployment).where(Deployment.platform_id == platform_id)
    if identifier.kind is IdKind.LTI:
        return query.where(Course.context_id == identifier.value)
    return query.join(CourseAlias, CourseAlias.course_id == Course.id).where(
        CourseAlias.platform_id == platform_id,
        CourseAlias.kind == identifier.kind,
        CourseAlias.value == identifier.value[:255],
    )


def _people(session: Session, source: Source, course: Course, identifier: Identifier) -> Sequence[Person]:
    in_course = select(Enrolment.person_id).where(Enrolment.course_id == course.id)
    if identifier.kind is IdKind.EMAIL:
        if not source.match_by_email:
            return []
        # An address names somebody only among those who are in this course.
        return session.scalars(
            select(Person).where(Person.id.in_(in_course), func.lower(Person.email) == identifier.value.strip().lower())
        ).all()
    query = (
        select(Person)
        .join(PersonAlias, PersonAlias.person_id == Person.id)
        .where(
            PersonAlias.platform_id == source.platform_id,
            PersonAlias.kind == identifier.kind,
            PersonAlias.value == identifier.value[:255],
        )
    )
    found = session.scalars(query).unique().all()
    # Institutions that share a registration may use the same local ids: then whoever is in the course is meant.
    return found if len(found) < 2 else session.scalars(query.where(Person.id.in_(in_course))).unique().all()


def _shown(ids: Sequence[Identifier]) -> str:
    return " / ".join(identifier.value for identifier in ids if identifier.kind is not IdKind.EMAIL) or "(an address)"
