"""Copies rules, with a course that was copied in the LMS or one by one: asleep until somebody confirms each."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import get_or_create
from lti_tool.domain.criteria import criteria_to_json, moved
from lti_tool.domain.launch import LaunchLink, Role
from lti_tool.errors import ConflictError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import Course, Deployment, Enrolment, ResourceLink, Rule, RuleStatus, RuleVersion
from lti_tool.services import counterparts, rules
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)


@dataclass(frozen=True)
class Offer:
    """The course that this one was copied from, and how many rules it has."""

    title: str
    rules: int


@dataclass(frozen=True)
class Target:
    """A course that a rule can be copied to."""

    id: int
    title: str


def note_link(session: Session, course: Course, link: LaunchLink | None) -> None:
    """Remember a link to the tool and what it was copied from."""
    if link is None:
        return
    key = {"deployment_id": course.deployment_id, "link_id": link.id}
    row = get_or_create(session, ResourceLink, key, course_id=course.id, history=[])
    row.course_id, row.history = course.id, list(link.history) or row.history


def offer(session: Session, course: Course, person_id: int) -> Offer | None:
    """What this teacher can take over from the course that theirs was copied from; None once that was answered."""
    if course.copy_answered_at is not None:
        return None
    origin = _origin(session, course, person_id)
    if origin is None:
        return None
    return Offer(origin.title or origin.label, len(_rules_to_copy(session, origin, course)))


def answer(tools: Toolbox, course_id: int, person_id: int, now: datetime, *, take_over: bool) -> int:
    """Take over the rules as drafts, or leave them; the number taken. Raises ConflictError when answered before."""
    with tools.database.write() as session:
        course = session.get_one(Course, course_id, with_for_update=True)
        origin = _origin(session, course, person_id)
        if course.copy_answered_at is not None or origin is None:
            raise ConflictError("The rules of the former course were taken over already, or left.")
        course.copy_answered_at = now
        taken = _rules_to_copy(session, origin, course) if take_over else []
        for rule in taken:
            _copy(session, rule, course, person_id, now)
        session.commit()
        log.info("copy_answered", course_id=course_id, person_id=person_id, origin_id=origin.id, rules=len(taken))
        return len(taken)


def targets(session: Session, course: Course, person_id: int) -> list[Target]:
    """The other courses of this deployment in which a person teaches, as their own launches have told."""
    query = (
        select(Course)
        .join(Enrolment, Enrolment.course_id == Course.id)
        .where(
            Course.deployment_id == course.deployment_id,
            Course.id != course.id,
            Enrolment.person_id == person_id,
            Enrolment.launch_role == Role.INSTRUCTOR,
            Enrolment.active,
        )
        .order_by(Course.title, Course.id)
    )
    return [Target(found.id, found.title or found.label or found.context_id) for found in session.scalars(query)]


def copy_to(tools: Toolbox, course_id: int, rule_id: int, target_course_id: int, person_id: int, now: datetime) -> int:
    """Copy a rule to another course of the same teacher, asleep; the id of the copy.

    Raises NotFoundError when the rule is not of this course or the person does not teach the other one, ConflictError
    when the rule is there already.
    """
    with tools.database.write() as session:
        rule = rules.find(session, course_id, rule_id)
        if target_course_id not in {target.id for target in targets(session, rule.course, person_id)}:
            raise NotFoundError("You do not teach that course, or have not opened Badges in it yet.")
        target = session.get_one(Course, target_course_id, with_for_update=True)
        here = (Rule.course_id == target.id) & (Rule.copied_from_id == rule.id)
        if session.scalar(select(Rule.id).where(here, Rule.status != RuleStatus.ARCHIVED).limit(1)):
            raise ConflictError(f"This badge was copied to {target.title or target.label} before. Open it there.")
        made = _copy(session, rule, target, person_id, now)
        session.commit()
        log.info("rule_copied", rule_id=rule_id, course_id=target.id, person_id=person_id, copy_id=made.id)
        return made.id


def _origin(session: Session, course: Course, person_id: int) -> Course | None:
    """The newest of its former courses that has rules; only within the deployment, beyond which ids mean nothing.

    Where our parameters are no part of the registration, teachers can write what they like into their links: then only
    a course in which the person teaches is believed to be the former one.
    """
    links = session.scalars(select(ResourceLink).where(ResourceLink.course_id == course.id)).all()
    ids = [link_id for link in links for link_id in link.history]
    here = Course.deployment_id == course.deployment_id
    by_link = (
        select(ResourceLink.course_id)
        .join(Course, Course.id == ResourceLink.course_id)
        .where(here, ResourceLink.link_id.in_(ids))
    )
    query = (
        select(Course)
        .where(here, Course.id != course.id)
        .where(Course.context_id.in_(course.context_history) | Course.id.in_(by_link))
        .where(select(Rule.id).where(Rule.course_id == Course.id).exists())
    )
    platform = session.get_one(Deployment, course.deployment_id).platform
    if not (platform.has_parameters or platform.is_canvas):
        taught = select(Enrolment.course_id).where(
            Enrolment.person_id == person_id, Enrolment.launch_role == Role.INSTRUCTOR
        )
        query = query.where(Course.id.in_(taught))
    found = session.scalars(query.order_by(Course.id.desc())).all()
    rank = {context_id: number for number, context_id in enumerate(course.context_history)}
    return min(found, key=lambda candidate: rank.get(candidate.context_id, len(rank)), default=None)


def _rules_to_copy(session: Session, origin: Course, course: Course) -> list[Rule]:
    here = select(Rule.copied_from_id).where(Rule.course_id == course.id, Rule.copied_from_id.is_not(None))
    query = (
        select(Rule)
        .where(Rule.course_id == origin.id, Rule.id.not_in(here), Rule.status != RuleStatus.ARCHIVED)
        .order_by(Rule.id)
    )
    return list(session.scalars(query))


def _copy(session: Session, rule: Rule, course: Course, person_id: int, now: datetime) -> Rule:
    activities = counterparts.find(session, rule.course_id, rule.criteria, course, now)
    made = Rule(
        course_id=course.id,
        badge_class_id=rule.badge_class_id,
        status=RuleStatus.DRAFT,
        version=1,
        created_by_id=person_id,
        created_at=now,
        copied_from_id=rule.id,
        narrative=rule.narrative,
        evidence_url=rule.evidence_url,
        notify=rule.notify,
    )
    session.add(made)
    session.flush()
    present = rule.current
    # Days belong to the former term: they are left out, and asked for anew.
    session.add(
        RuleVersion(
            rule_id=made.id,
            number=1,
            criteria_json=criteria_to_json(moved(rule.criteria, activities)),
            fully_graded=present.fully_graded,
            needs_approval=present.needs_approval,
            on_fall=present.on_fall,
            repeat=present.repeat,
            created_by_id=person_id,
            created_at=now,
        )
    )
    return made
