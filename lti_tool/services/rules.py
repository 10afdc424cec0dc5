"""Makes rules: which badge class, what earns it; previews, edits in versions, switches on and off."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from lti_tool.badgr.types import BadgeClass as RemoteBadgeClass
from lti_tool.db import get_or_create
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
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
    RuleVersion,
    RunCause,
)
from lti_tool.services import awarding, drafts, facts, issuers, narratives, repeats, runs, standings
from lti_tool.services.awarding import Earning
from lti_tool.services.drafts import Draft
from lti_tool.services.standings import Standing, Subject
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

LONGEST_ADDRESS = 2000
GONE_RULE = "This rule is archived. Make a new one, or copy it."


@dataclass(frozen=True)
class Options:
    """What is written on the assertions of a rule, and whether Badgr mails the learners."""

    narrative: str
    evidence_url: str
    notify: bool


@dataclass(frozen=True)
class Effect:
    """What an edit changes for whom: who earns the badge by it, and who has it and would not earn it any more."""

    added: list[Standing]
    added_count: int
    dropped: list[str]
    dropped_count: int


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
    owners, barred = repeats.holders(session, rule.badge_class_id, course_id, draft.repeat)
    earners = standings.earners(session, subject)
    before = standings.earners(session, standings.subject_of(rule))
    added = [standing for standing in now_earned.earned if standing.may_earn]
    dropped = sorted((before & owners) - earners)
    names = session.scalars(select(Person).where(Person.id.in_(dropped[: standings.SHOWN])).order_by(Person.name))
    return Effect(added, len(earners - barred), [person.display_name for person in names], len(dropped))


def edit(tools: Toolbox, course_id: int, rule_id: int, person_id: int, draft: Draft, now: datetime) -> AwardRun | None:
    """Change what earns the badge; who has it keeps it. Gives the run of what an active rule awards by it.

    A version that was ever switched on is kept as it was, for the awards that name it.
    """
    with tools.database.write() as session:
        # An event that is being stored waits for us, or we for it: no result slips between the two.
        session.get_one(Course, course_id, with_for_update=True)
        rule = find(session, course_id, rule_id)
        if rule.status is RuleStatus.ARCHIVED:
            raise ConflictError(GONE_RULE)
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
    tools: Toolbox, course_id: int, rule_id: int, person_id: int, now: datetime, *, also_earned_before: bool
) -> AwardRun:
    """Switch a rule on, for what is already done too or from now on; awards open at once for who has earned it.

    The run says whether they go out: more than usual at once wait for a person.
    """
    with tools.database.write() as session:
        # An event that is being stored waits for us, or we for it: no result slips between the two.
        session.get_one(Course, course_id, with_for_update=True)
        rule = find(session, course_id, rule_id)
        if rule.status is RuleStatus.ACTIVE:
            raise ConflictError("This rule is switched on already.")
        if rule.status is RuleStatus.ARCHIVED:
            raise ConflictError(GONE_RULE)
        _start_counting(session, rule, person_id, now, also_earned_before=also_earned_before)
        rule.status, rule.activated_at = RuleStatus.ACTIVE, now
        run = _award_all(session, tools, rule, RunCause.SWITCH_ON, person_id, now)
        _catch_up(session, rule, run, now)
        session.commit()
        log.info("rule_activated", rule_id=rule_id, course_id=course_id)
        return run


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
    _set_status(tools, course_id, rule_id, RuleStatus.PAUSED)


def archive(tools: Toolbox, course_id: int, rule_id: int) -> None:
    """Put a rule away for good: it awards nothing any more and is not shown to learners; its awards stay."""
    _set_status(tools, course_id, rule_id, RuleStatus.ARCHIVED)


def find(session: Session, course_id: int, rule_id: int) -> Rule:
    """A rule of this course; raises NotFoundError for one of another course."""
    rule = session.scalar(select(Rule).where(Rule.id == rule_id, Rule.course_id == course_id))
    if rule is None:
        raise NotFoundError("There is no such badge rule in this course.")
    return rule


def _set_status(tools: Toolbox, course_id: int, rule_id: int, status: RuleStatus) -> None:
    with tools.database.write() as session:
        find(session, course_id, rule_id).status = status
        session.commit()
        log.info("rule_status", rule_id=rule_id, course_id=course_id, status=status.value)


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


def _start_counting(session: Session, rule: Rule, person_id: int, now: datetime, *, also_earned_before: bool) -> None:
    """Results count from now on only, or from where they did; that is a version of its own once one was in use."""
    present = rule.current
    counts_from = present.counts_from if also_earned_before else max(filter(None, (present.counts_from, now)))
    if counts_from == present.counts_from:
        return
    if rule.activated_at is None:
        present.counts_from = counts_from
        return
    rule.version += 1
    session.add(
        RuleVersion(
            rule_id=rule.id,
            number=rule.version,
            criteria_json=present.criteria_json,
            counts_from=counts_from,
            counts_until=present.counts_until,
            fully_graded=present.fully_graded,
            needs_approval=present.needs_approval,
            on_fall=present.on_fall,
            repeat=present.repeat,
            created_by_id=person_id,
            created_at=now,
        )
    )
    session.flush()
    session.refresh(rule)


def _copy_badge_class(
    session: Session, course: Course, connection: Connection, remote: RemoteBadgeClass, now: datetime
) -> BadgeClass:
    key = {"server_id": connection.server_id, "entity_id": remote.entity_id}
    empty = {"issuer_entity_id": "", "name": "", "description": "", "open_badge_id": "", "fetched_at": now}
    badge_class = get_or_create(session, BadgeClass, key, issuer_name=course.issuer_name or "", tags=[], **empty)
    badge_class.issuer_name = course.issuer_name or badge_class.issuer_name
    issuers.copy(badge_class, remote, now)
    return badge_class
