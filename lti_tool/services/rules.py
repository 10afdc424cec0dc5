"""Makes rules: which badge class, what earns it; previews them, switches them on and off."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.badgr.types import BadgeClass as RemoteBadgeClass
from lti_tool.db import get_or_create
from lti_tool.domain.criteria import Completed, Criteria, Decision, ScoreAtLeast, criteria_to_json, decide
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import (
    Activity,
    Award,
    BadgeClass,
    Connection,
    Course,
    Enrolment,
    Rule,
    RuleStatus,
)
from lti_tool.services import awarding, issuers, narratives
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

# A learner with this much of the way behind shows up as "close".
CLOSE = 0.75
LONGEST_ADDRESS = 2000


@dataclass(frozen=True)
class Draft:
    """A rule as an instructor describes it: the activity by our key, or by the title of one yet to be heard of."""

    kind: str
    percent: float
    activity_id: int | None
    new_activity_title: str


@dataclass(frozen=True)
class Options:
    """What is written on the assertions of a rule, and whether Badgr mails the learners."""

    narrative: str
    evidence_url: str
    notify: bool


@dataclass(frozen=True)
class Standing:
    """How one learner stands with a rule."""

    enrolment: Enrolment
    decision: Decision
    has_badge: bool


def create(
    tools: Toolbox, course_id: int, person_id: int, remote: RemoteBadgeClass, draft: Draft, now: datetime
) -> int:
    """Store a rule as a draft, with our copy of its badge class; the id of the rule.

    Raises NotFoundError when the activity is not one of this course.
    """
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        if course.connection is None:
            raise ConflictError("Connect the course to Badgr first.")
        badge_class = _copy_badge_class(session, course, course.connection, remote, now)
        rule = Rule(
            course_id=course_id,
            badge_class_id=badge_class.id,
            criteria_json=criteria_to_json(_criteria(session, course, draft, now)),
            status=RuleStatus.DRAFT,
            created_by_id=person_id,
            created_at=now,
        )
        session.add(rule)
        session.commit()
        log.info("rule_created", rule_id=rule.id, course_id=course_id, person_id=person_id)
        return rule.id


def standings(session: Session, rule: Rule) -> list[Standing]:
    """How every learner of the course stands with this rule, by name."""
    enrolments = session.scalars(awarding.learner_query(rule.course_id)).all()
    scores = awarding.scores_of(session, rule.course_id)
    has_badge = set(session.scalars(select(Award.person_id).where(Award.badge_class_id == rule.badge_class_id)))
    return [
        Standing(
            enrolment,
            decide(rule.criteria, scores.get(enrolment.person_id, {}), rule.counts_from),
            enrolment.person_id in has_badge,
        )
        for enrolment in enrolments
    ]


def activate(tools: Toolbox, course_id: int, rule_id: int, now: datetime, *, also_earned_before: bool) -> None:
    """Switch a rule on, for what is already done too or from now on; awards open at once for who has earned it."""
    with tools.database.write() as session:
        # An event that is being stored waits for us, or we for it: no result slips between the two.
        session.get_one(Course, course_id, with_for_update=True)
        rule = find(session, course_id, rule_id)
        if rule.status is RuleStatus.ACTIVE:
            raise ConflictError("This rule is switched on already.")
        rule.status, rule.activated_at = RuleStatus.ACTIVE, now
        rule.counts_from = None if also_earned_before else now
        titles = awarding.activity_titles(session, course_id)
        for standing in standings(session, rule):
            if standing.decision.earned:
                awarding.open_award(session, rule, standing.enrolment, standing.decision, titles, now)
        session.commit()
        log.info("rule_activated", rule_id=rule_id, course_id=course_id)


def save_options(tools: Toolbox, course_id: int, rule_id: int, options: Options) -> None:
    """Keep the options of a rule; raises InvalidInputError naming what is wrong."""
    url = options.evidence_url.strip()
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or len(url) > LONGEST_ADDRESS):
        raise InvalidInputError("evidence: must be a whole address, such as https://school.example.org/, or nothing.")
    narrative = narratives.check(options.narrative)
    with tools.database.write() as session:
        rule = find(session, course_id, rule_id)
        rule.narrative, rule.evidence_url, rule.notify = narrative, url or None, options.notify
        session.commit()


def pause(tools: Toolbox, course_id: int, rule_id: int) -> None:
    """Stop a rule from opening awards; what is earned already still goes out."""
    with tools.database.write() as session:
        find(session, course_id, rule_id).status = RuleStatus.PAUSED
        session.commit()
        log.info("rule_paused", rule_id=rule_id, course_id=course_id)


def find(session: Session, course_id: int, rule_id: int) -> Rule:
    """A rule of this course; raises NotFoundError for one of another course."""
    rule = session.scalar(select(Rule).where(Rule.id == rule_id, Rule.course_id == course_id))
    if rule is None:
        raise NotFoundError("There is no such badge rule in this course.")
    return rule


def _copy_badge_class(
    session: Session, course: Course, connection: Connection, remote: RemoteBadgeClass, now: datetime
) -> BadgeClass:
    key = {"server_id": connection.server_id, "entity_id": remote.entity_id}
    empty = {"issuer_entity_id": "", "name": "", "description": "", "open_badge_id": "", "fetched_at": now}
    badge_class = get_or_create(session, BadgeClass, key, issuer_name=course.issuer_name or "", tags=[], **empty)
    badge_class.issuer_name = course.issuer_name or badge_class.issuer_name
    issuers.copy(badge_class, remote, now)
    return badge_class


def _criteria(session: Session, course: Course, draft: Draft, now: datetime) -> Criteria:
    if draft.activity_id is not None:
        activity = session.scalar(
            select(Activity).where(Activity.id == draft.activity_id, Activity.course_id == course.id)
        )
        if activity is None:
            raise NotFoundError("There is no such activity in this course.")
    else:
        activity = Activity(course_id=course.id, title=draft.new_activity_title, created_at=now)
        session.add(activity)
        session.flush()
    if draft.kind == "score":
        return ScoreAtLeast(activity.id, draft.percent)
    return Completed(activity.id)
