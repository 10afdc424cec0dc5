"""Stores the people of a course as its roster tells them, in parts: a course of fifty thousand keeps nobody waiting."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.db import chunks, get_or_create_all
from lti_tool.lti.nrps import Member, Roster
from lti_tool.models import Course, Enrolment, Person, Rule, RuleStatus
from lti_tool.services import awarding, matching
from lti_tool.toolbox import Toolbox


def store(tools: Toolbox, course_id: int, roster: Roster, now: datetime, *, is_whole: bool) -> None:
    """Store everybody in a roster that was read at a moment; who is not in a whole one has left the course.

    A stop in the middle loses nothing: the course counts as read only at the end, and what is stored is stored again.
    """
    # In one order for everybody, so that two rosters never wait for each other's locks.
    for some in chunks(sorted(roster.members, key=lambda member: member.sub)):
        with tools.database.write() as session:
            _store_some(session, session.get_one(Course, course_id), some, now)
            session.commit()
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        course.roster_synced_at, course.roster_error = now, None
        course.roster_due_at, course.roster_failures = None, 0
        course.roster_differences_url = roster.differences_url
        if is_whole:
            _end_absent(session, course_id, {member.sub for member in roster.members}, now)
        session.flush()
        awarding.release(session, now, course_id=course_id)
        session.commit()


def _store_some(session: Session, course: Course, members: Sequence[Member], now: datetime) -> None:
    platform_id = course.deployment.platform_id
    subs = [member.sub for member in members]
    people = get_or_create_all(
        session, Person, {"platform_id": platform_id}, "sub", subs, {"name": "", "created_at": now}
    )
    new = {"is_test": False, "active": True, "seen_at": now}
    ids = [person.id for person in people.values()]
    enrolments = get_or_create_all(session, Enrolment, {"course_id": course.id}, "person_id", ids, new)
    active = select(Rule.id).where(Rule.course_id == course.id, Rule.status == RuleStatus.ACTIVE).limit(1)
    is_in_use = session.scalar(active) is not None
    arrived: list[Person] = []
    for member in members:
        person = people[member.sub]
        enrolment = enrolments[person.id]
        person.name = member.name or person.name
        if matching.note_address(person, member.email) or enrolment.role is None:
            arrived.append(person)
        if _store_enrolment(enrolment, member) and is_in_use:
            # What was done before, or in another course, may be all that a rule here waits for.
            awarding.decide_again(session, enrolment, now)
    matching.learn_people(session, platform_id, {people[member.sub]: member.aliases for member in members})
    matching.note_arrivals(session, platform_id, arrived)


def _store_enrolment(enrolment: Enrolment, member: Member) -> bool:
    """Whether they are a learner who was none before."""
    could_earn = awarding.may_earn_here(enrolment)
    enrolment.roster_role = member.role
    enrolment.is_test = enrolment.is_test or member.is_test
    enrolment.active = member.active
    return awarding.may_earn_here(enrolment) and not could_earn


def _end_absent(session: Session, course_id: int, present: set[str], read_at: datetime) -> None:
    # Who came while the roster was being read may be missing in it.
    here = (Enrolment.course_id == course_id) & Enrolment.active & (Enrolment.seen_at <= read_at)
    query = select(Enrolment.id, Person.sub).join(Enrolment.person).where(here).order_by(Enrolment.person_id)
    absent = [row.id for row in session.execute(query) if row.sub not in present]
    for some in chunks(absent):
        session.execute(update(Enrolment).where(Enrolment.id.in_(some), here).values(active=False))
