"""Makes rules: which badge class, what earns it; previews, edits in versions, switches on and off."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from lti_tool.badgr.types import BadgeClass as RemoteBadgeClass
from lti_tool.db import get_or_create
from lti_tool.errors import ConflictError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import (
    Award,
    AwardRun,
    BadgeClass,
    Connection,
    Course,
    Enrolment,
    Person,
    Rule,
    RuleStatus,
    RunCause,
)
from lti_tool.models.award import UNDECIDED
from lti_tool.services import awarding, drafts, facts, issuers, repeats, runs, standings
from lti_tool.services.awarding import Earning
from lti_tool.services.drafts import Draft
from lti_tool.services.standings import Standing, Subject
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

GONE_RULE = "This rule is archived. Make a new one, or copy it."


@dataclass(frozen=True)
class Effect:
    """What an edit changes for whom: who earns the badge by it, and which learners would not earn it any more.

    `dropped` have the badge by this rule, or it is on its way; `undecided` have earned it, and it waits for a person's
    word. What was given by hand asks for nothing.
    """

    added: list[Standing]
    added_count: int
    dropped: list[str]
    dropped_count: int
    undecided: list[str]
    undecided_count: int


def create(
    tools: Toolbox, course_id: int, person_id: int, remote: RemoteBadgeClass, draft: Draft, now: datetime
) -> int:
    """Store a rule as a draft, with our copy of its badge class; the id of the rule.

    Raises NotFoundError when an activity is not one of this course, InvalidInputError for criteria without sense.
    """
    with tools.database.write() as session:
        # No source names an activity between our looking for it and our waiting for it.
        course = session.get_one(Course, course_id, with_for_update={"key_share": True})
        if course.connection is None:
            raise ConflictError("Connect the course to Badgr first.")
        badge_class = _copy_badge_class(session, course, course.connection, remote, now)
        rule = Rule(
            course_id=course_id,
            badge_class_id=badge_class.id,
            status=RuleStatus.DRAFT,
            version=1,
            created_by_id=person_id,
            created_at=now,
        )
        session.add(rule)
        session.flush()
        session.add(drafts.version(session, rule, draft, 1, person_id, now))
        session.commit()
        log.info("rule_created", rule_id=rule.id, course_id=course_id, person_id=person_id)
        return rule.id


def is_of_interest() -> ColumnElement[bool]:
    """The rules that reports show: those that are not archived, and those by which somebody has an award."""
    return (Rule.status != RuleStatus.ARCHIVED) | select(Award.id).where(Award.rule_id == Rule.id).exists()


def effect(session: Session, course_id: int, rule_id: int, draft: Draft) -> Effect:
    """Whom an edit would add or drop; nothing is stored."""
    rule = find(session, course_id, rule_id)
    draft = drafts.with_known(session, course_id, draft)
    subject = Subject(draft.ask, course_id, rule_id, rule.badge_class_id, draft.repeat)
    now_earned = standings.survey(session, subject)
    _, barred = repeats.holders(session, rule.badge_class_id, course_id, draft.repeat)
    earners = standings.earners(session, subject)
    owners, waiting = _owners(session, rule)
    added = [standing for standing in now_earned.earned if standing.may_earn]
    dropped, undecided = owners - earners, waiting - earners
    return Effect(
        added,
        len(earners - barred),
        _first_names(session, dropped),
        len(dropped),
        _first_names(session, undecided),
        len(undecided),
    )


def edit(
    tools: Toolbox,
    course_id: int,
    rule_id: int,
    person_id: int,
    draft: Draft,
    now: datetime,
    *,
    shown: str | None = None,
) -> AwardRun | None:
    """Change what earns the badge; who has it keeps it. Gives the run of what an active rule awards by it.

    A version that was ever switched on is kept as it was, for the awards that name it. Raises OutdatedError when the
    rule is not the one whose mark was `shown`.
    """
    with tools.database.write() as session:
        # An event that is being stored waits for us, or we for it: no result slips between the two.
        session.get_one(Course, course_id, with_for_update={"key_share": True})
        rule = find(session, course_id, rule_id)
        if rule.status is RuleStatus.ARCHIVED:
            raise ConflictError(GONE_RULE)
        drafts.check_mark(rule, shown)
        if rule.activated_at is None:
            drafts.fill(session, rule, rule.current, draft, now)
        else:
            rule.version += 1
            session.add(drafts.version(session, rule, draft, rule.version, person_id, now))
            session.flush()
            session.refresh(rule)
        run = (
            _award_all(session, tools, rule, RunCause.EDIT, person_id, now)
            if rule.status is RuleStatus.ACTIVE
            else None
        )
        session.commit()
        log.info("rule_edited", rule_id=rule_id, course_id=course_id, version=rule.version)
        return run


def activate(
    tools: Toolbox,
    course_id: int,
    rule_id: int,
    person_id: int,
    now: datetime,
    *,
    also_earned_before: bool,
    shown: str | None = None,
) -> AwardRun:
    """Switch a rule on, for what is already done too or from now on; awards open at once for who has earned it.

    The run says whether they go out: more than usual at once wait for a person. Raises OutdatedError when the rule is
    not the one whose mark was `shown`, InvalidInputError when nothing can count from now on.
    """
    with tools.database.write() as session:
        # An event that is being stored waits for us, or we for it: no result slips between the two.
        session.get_one(Course, course_id, with_for_update={"key_share": True})
        rule = find(session, course_id, rule_id)
        if rule.status is RuleStatus.ACTIVE:
            raise ConflictError("This rule is switched on already.")
        if rule.status is RuleStatus.ARCHIVED:
            raise ConflictError(GONE_RULE)
        drafts.check_mark(rule, shown)
        if not also_earned_before:
            drafts.count_from(session, rule, person_id, now)
        rule.status, rule.activated_at = RuleStatus.ACTIVE, now
        run = _award_all(session, tools, rule, RunCause.SWITCH_ON, person_id, now)
        _catch_up(session, rule, run, now)
        session.commit()
        log.info("rule_activated", rule_id=rule_id, course_id=course_id)
        return run


def pause(tools: Toolbox, course_id: int, rule_id: int) -> None:
    """Stop a rule from opening awards; what is earned already still goes out. Raises ConflictError if it is not on."""
    _set_status(tools, course_id, rule_id, RuleStatus.PAUSED)


def archive(tools: Toolbox, course_id: int, rule_id: int) -> None:
    """Put a rule away for good: it awards nothing any more and is not shown to learners; its awards stay.

    Raises ConflictError for one that was put away already.
    """
    _set_status(tools, course_id, rule_id, RuleStatus.ARCHIVED)


def find(session: Session, course_id: int, rule_id: int) -> Rule:
    """A rule of this course; raises NotFoundError for one of another course."""
    rule = session.scalar(select(Rule).where(Rule.id == rule_id, Rule.course_id == course_id))
    if rule is None:
        raise NotFoundError("There is no such badge rule in this course.")
    return rule


def _set_status(tools: Toolbox, course_id: int, rule_id: int, status: RuleStatus) -> None:
    with tools.database.write() as session:
        # Whoever switches it on or changes it at the same time waits for us, or we for them.
        session.get_one(Course, course_id, with_for_update={"key_share": True})
        rule = find(session, course_id, rule_id)
        if rule.status is RuleStatus.ARCHIVED:
            raise ConflictError(GONE_RULE)
        if status is RuleStatus.PAUSED and rule.status is not RuleStatus.ACTIVE:
            raise ConflictError("This rule is not switched on, so there is nothing to pause.")
        rule.status = status
        session.commit()
        log.info("rule_status", rule_id=rule_id, course_id=course_id, status=status.value)


def _owners(session: Session, rule: Rule) -> tuple[set[int], set[int]]:
    """The learners to whom this rule gives its badge, not by hand: those who have it or get it, and those who wait."""
    learners = awarding.learner_query(rule.course_id).order_by(None).with_only_columns(Enrolment.person_id)
    waits = Award.awaits_approval | func.coalesce(AwardRun.status.in_(UNDECIDED), False)
    query = (
        select(Award.person_id, waits)
        .outerjoin(AwardRun, AwardRun.id == Award.run_id)
        .where(Award.rule_id == rule.id, Award.status.not_in(facts.GONE), Award.revocation_reason.is_(None))
        .where(~Award.by_hand, Award.person_id.in_(learners))
    )
    found: dict[bool, set[int]] = {False: set(), True: set()}
    for person_id, is_waiting in session.execute(query):
        found[bool(is_waiting)].add(person_id)
    return found[False], found[True]


def _first_names(session: Session, people: set[int]) -> list[str]:
    first = sorted(people)[: standings.SHOWN]
    query = select(Person).where(Person.id.in_(first)).order_by(*Person.in_order())
    return [person.display_name for person in session.scalars(query)]


def _award_all(
    session: Session, tools: Toolbox, rule: Rule, cause: RunCause, person_id: int, now: datetime
) -> AwardRun:
    """Open an award for everybody who has earned it, as one run."""
    who = session.get_one(Person, person_id).display_name
    run = runs.begin(session, rule.course_id, cause, who, now, rule_id=rule.id)
    earners = standings.earners(session, standings.subject_of(rule))
    book = facts.read_facts(session, rule.course_id, [rule], sorted(earners))
    former = awarding.awards_of(session, [rule.badge_class_id], sorted(earners))
    enrolments = session.scalars(awarding.learner_query(rule.course_id)).all()
    earnings = [
        Earning(
            rule,
            enrolment,
            awarding.achievement(rule, book.decide(rule, enrolment.person_id), book, now),
            former.get((enrolment.person_id, rule.badge_class_id), []),
        )
        for enrolment in enrolments
        if enrolment.person_id in earners
    ]
    awarding.open_awards(session, earnings, now, run)
    runs.finish(session, run, tools.settings, now)
    return run


def _catch_up(session: Session, rule: Rule, run: AwardRun, now: datetime) -> None:
    """Have who had the badge before decided on again: their results may have fallen while the rule was not on."""
    before = (Award.rule_id == rule.id) & Award.run_id.is_distinct_from(run.id)
    alive = select(Award.person_id).where(before, Award.status.not_in(facts.GONE))
    query = select(Enrolment).where(Enrolment.course_id == rule.course_id, Enrolment.person_id.in_(alive))
    for enrolment in session.scalars(query):
        awarding.decide_again(session, enrolment, now)


def _copy_badge_class(
    session: Session, course: Course, connection: Connection, remote: RemoteBadgeClass, now: datetime
) -> BadgeClass:
    key = {"server_id": connection.server_id, "entity_id": remote.entity_id}
    empty = {"issuer_entity_id": "", "name": "", "description": "", "open_badge_id": "", "fetched_at": now}
    badge_class = get_or_create(session, BadgeClass, key, issuer_name=course.issuer_name or "", tags=[], **empty)
    badge_class.issuer_name = course.issuer_name or badge_class.issuer_name
    issuers.copy(badge_class, remote, now)
    return badge_class
