"""Records a verified launch: the course, the person, and that this browser session may enter the course."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import get_or_create
from lti_tool.domain.launch import Launch, LaunchCourse, LaunchPerson
from lti_tool.logs import get_logger
from lti_tool.lti.launch import VerifiedLaunch, consume_nonce
from lti_tool.models import Course, Deployment, Enrolment, Person, Platform, Rule, Visit
from lti_tool.services import (
    admins,
    awarding,
    columns,
    copies,
    matching,
    notices,
    onboarding,
    pulls,
    roster,
)
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)


@dataclass(frozen=True)
class Landing:
    """Where a launch leads: a course (or nowhere when the platform named none), and there to one rule or to all."""

    course_id: int | None
    rule_id: int | None = None


def record(tools: Toolbox, verified: VerifiedLaunch, session_digest: str, now: datetime) -> Landing:
    """Use up the launch and let the holder of the browser session into the course; raises LaunchError on a replay."""
    launch = verified.launch
    with tools.database.write() as session:
        consume_nonce(session, verified, now)
        deployment = session.get_one(Deployment, launch.deployment_id)
        onboarding.check_site(session, deployment, launch.site, now)
        person = _store_person(session, launch.platform_id, launch.person, now)
        is_admin = launch.person.is_lms_administrator
        admins.enter_from_lms(session, person, deployment, session_digest, now, is_admin=is_admin)
        notices.note_service(session, tools, deployment, launch.notices_url, now)
        if launch.course is None:
            session.commit()
            return Landing(None)
        course = _store_course(session, launch, launch.course, now)
        copies.note_link(session, course, launch.link)
        _store_enrolment(session, course, person, launch.person, now)
        expires_at = now + timedelta(seconds=tools.settings.session_seconds)
        _store_visit(session, course, person, launch, session_digest, expires_at)
        awarding.release(session, now, person_id=person.id)
        if launch.person.role.teaches:
            roster.refresh_if_stale(session, course, now)
            pulls.request_if_stale(session, tools.vault, course, now)
        pulls.put_on_schedule(session, tools, course, now)
        rule_id = _opened_rule(session, course, launch, now)
        session.commit()
        log.info("launch", course_id=course.id, person_id=person.id, role=launch.person.role.value)
        return Landing(course.id, rule_id)


def hand_over(tools: Toolbox, from_digest: str, to_digest: str) -> bool:
    """Give what one browser session has entered to another, once; whether there was anything left to give."""
    with tools.database.write() as session:
        admin = admins.hand_over(session, from_digest, to_digest)
        visit = session.scalar(select(Visit).where(Visit.session_digest == from_digest).with_for_update())
        if visit is not None:
            _close_others(session, to_digest, visit.person)
            session.execute(delete(Visit).where(Visit.session_digest == to_digest, Visit.course_id == visit.course_id))
            visit.session_digest = to_digest
        session.commit()
        return admin or visit is not None


def find_visit(tools: Toolbox, session_digest: str, course_id: int, now: datetime) -> Visit | None:
    """The visit that lets the holder of this browser session into this course; None when there is none."""
    with tools.database.read() as session:
        return session.scalar(
            select(Visit)
            .join(Course, Course.id == Visit.course_id)
            .join(Deployment, Deployment.id == Course.deployment_id)
            .join(Platform, Platform.id == Deployment.platform_id)
            .where(
                Visit.session_digest == session_digest,
                Visit.course_id == course_id,
                Visit.expires_at > now,
                # Who may not launch any more is out at once.
                Deployment.approved,
                Platform.enabled,
            )
            .options(joinedload(Visit.course).joinedload(Course.connection), joinedload(Visit.person))
        )


def _store_course(session: Session, launch: Launch, told: LaunchCourse, now: datetime) -> Course:
    key = {"deployment_id": launch.deployment_id, "context_id": told.context_id}
    is_new = session.scalar(select(Course.id).filter_by(**key)) is None
    course = get_or_create(session, Course, key, label="", title="", service_scopes=[], created_at=now)
    course.label, course.title = told.label or course.label, told.title or course.title
    course.memberships_url = told.memberships_url or course.memberships_url
    course.line_items_url = told.line_items_url or course.line_items_url
    course.service_scopes = list(told.service_scopes) or course.service_scopes
    course.context_history = list(told.history) or course.context_history
    if is_new:
        matching.note_course(session, course, launch.platform_id)
    matching.learn_course(session, course, launch.platform_id, told.aliases)
    return course


def _opened_rule(session: Session, course: Course, launch: Launch, now: datetime) -> int | None:
    """The rule that the opened link is for; None for a link to all, or to one that is not here."""
    number = launch.rule_number
    # No id is longer; a longer number would be too much for the database.
    rule_id = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0
    # A link in a copied course still names the rule of the former one.
    is_meant = or_(Rule.id == rule_id, Rule.copied_from_id == rule_id)
    rule = session.scalar(select(Rule).where(Rule.course_id == course.id, is_meant).order_by(Rule.id).limit(1))
    if rule is not None and launch.line_item_url is not None:
        # The LMS has made a column for the link: it is the badge's.
        columns.adopt(session, rule, launch.line_item_url, now)
    return rule.id if rule else None


def _store_person(session: Session, platform_id: int, told: LaunchPerson, now: datetime) -> Person:
    key = {"platform_id": platform_id, "sub": told.sub}
    person = get_or_create(session, Person, key, name="", created_at=now)
    person.name = told.name or person.name
    if matching.note_address(person, told.email):
        matching.note_arrivals(session, platform_id, [person])
    matching.learn_people(session, platform_id, {person: told.aliases})
    return person


def _store_enrolment(session: Session, course: Course, person: Person, told: LaunchPerson, now: datetime) -> None:
    key = {"course_id": course.id, "person_id": person.id}
    enrolment = get_or_create(session, Enrolment, key, is_test=False, active=True, seen_at=now)
    if enrolment.role is None:
        matching.note_arrivals(session, person.platform_id, [person])
    could_earn = awarding.may_earn_here(enrolment)
    enrolment.launch_role, enrolment.is_test = told.role, told.is_test
    enrolment.active, enrolment.seen_at = True, now
    session.flush()
    if awarding.may_earn_here(enrolment) and not could_earn:
        # What was done before, or in another course, may be all that a rule here waits for.
        awarding.decide_again(session, enrolment, now)


def _store_visit(
    session: Session,
    course: Course,
    person: Person,
    launch: Launch,
    session_digest: str,
    expires_at: datetime,
) -> None:
    _close_others(session, session_digest, person)
    key = {"session_digest": session_digest, "course_id": course.id}
    told = {
        "person_id": person.id,
        "role": launch.person.role,
        "is_test": launch.person.is_test,
        "locale": launch.locale,
        "return_url": launch.return_url,
        "expires_at": expires_at,
    }
    visit = get_or_create(session, Visit, key, **told)
    for name, value in told.items():
        setattr(visit, name, value)


def _close_others(session: Session, session_digest: str, person: Person) -> None:
    """Somebody else now uses this browser for the same LMS: what the one before could enter is closed."""
    others = select(Person.id).where(Person.platform_id == person.platform_id, Person.id != person.id)
    session.execute(delete(Visit).where(Visit.session_digest == session_digest, Visit.person_id.in_(others)))
