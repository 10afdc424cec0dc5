"""Runs: awards that one act brings to many people at once; a large one waits for a person, and any can be undone."""

import secrets
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from lti_tool.db import chunks
from lti_tool.domain.criteria import badges_of
from lti_tool.errors import ConflictError, NotFoundError, OutdatedError
from lti_tool.logs import get_logger
from lti_tool.models import (
    Award,
    AwardRun,
    AwardStatus,
    Course,
    Event,
    EventStatus,
    Person,
    RevokedBy,
    Rule,
    RuleException,
    RuleStatus,
    RunCause,
    RunStatus,
)
from lti_tool.services import awarding, chains, evaluation, facts, issuers, revocation
from lti_tool.settings import Settings
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

# Between the key of an act and what tells a later run of it apart.
AGAIN = "~"
# A small class must be able to award to most of its learners at once.
NEVER_MANY = 10
CHANGED = "More badges have come to this list since you looked, or its rule was changed."


def new_key() -> str:
    """The key of the runs of one act."""
    return secrets.token_hex(16)


def begin(
    session: Session,
    course_id: int,
    cause: RunCause,
    started_by: str,
    now: datetime,
    *,
    key: str | None = None,
    rule_id: int | None = None,
) -> AwardRun:
    """The run of this act in this course, open for awards; the same one for the same key."""
    key = key or new_key()
    run = session.scalar(select(AwardRun).where(AwardRun.course_id == course_id, AwardRun.key == key))
    if run is None:
        run = AwardRun(
            course_id=course_id,
            key=key,
            rule_id=rule_id,
            cause=cause,
            status=RunStatus.OPEN,
            started_by=started_by[:200],
            started_at=now,
        )
        session.add(run)
        session.flush()
    elif run.status is not RunStatus.WAITING and run.status is not RunStatus.OPEN:
        # Somebody has decided already: what comes after is a run of its own.
        return begin(session, course_id, cause, started_by, now, key=f"{_act(key)}{AGAIN}{secrets.token_hex(3)}")
    return run


def finish(session: Session, run: AwardRun, settings: Settings, now: datetime) -> bool:
    """Close a run: its awards go out, or wait for a person when they are many; whether they go out."""
    if run.status is not RunStatus.OPEN:
        return run.status is RunStatus.RELEASED
    session.flush()
    awarding.lock_people(session, run.course_id, select(Award.person_id).where(Award.run_id == run.id))
    count = session.scalar(select(func.count()).where(Award.run_id == run.id)) or 0
    if count == 0 and run.cause in (RunCause.PULL, RunCause.REPLAY, RunCause.EXCEPTION):
        # Results are read every hour: an act that awarded nothing is nothing to look at. Nor is an exception.
        session.delete(run)
        return True
    run.status = RunStatus.WAITING if is_large(session, run.course_id, count, settings) else RunStatus.RELEASED
    session.flush()
    awarding.release(session, now, run_id=run.id)
    if run.status is RunStatus.WAITING:
        log.warning("run_waits", run_id=run.id, course_id=run.course_id, awards=count)
    else:
        _earn_more(session, run, now)
    return run.status is RunStatus.RELEASED


def is_large(session: Session, course_id: int, count: int, settings: Settings) -> bool:
    """Whether so many awards at once need a person's word."""
    if count > settings.brake_awards:
        return True
    query = select(func.count()).select_from(awarding.learner_query(course_id).order_by(None).subquery())
    learners = session.scalar(query) or 0
    return count > NEVER_MANY and count * 100 > learners * settings.brake_percent


def finish_worked_on(tools: Toolbox, key: str, now: datetime) -> None:
    """Close the runs of a pull or a replay once none of its events is left to be worked on."""
    with tools.database.write() as session:
        left = select(Event.id).where(Event.run_key == key, Event.status == EventStatus.RECEIVED).limit(1)
        if session.scalar(left) is not None:
            return
        query = select(AwardRun).where(
            AwardRun.status == RunStatus.OPEN, (AwardRun.key == key) | AwardRun.key.startswith(f"{key}{AGAIN}")
        )
        for run in session.scalars(query.with_for_update()):
            finish(session, run, tools.settings, now)
        session.commit()


def finish_left_open(tools: Toolbox, now: datetime) -> None:
    """Close the runs whose last event was worked on by somebody who was stopped before closing them."""
    query = select(AwardRun.key).where(
        AwardRun.status == RunStatus.OPEN, AwardRun.cause.in_([RunCause.PULL, RunCause.REPLAY])
    )
    with tools.database.read() as session:
        keys = {_act(key) for key in session.scalars(query)}
    for key in sorted(keys):
        finish_worked_on(tools, key, now)


def mark(session: Session, run: AwardRun) -> str:
    """Tells whether a run is as somebody saw it: which awards it has, and what their rules ask."""
    numbers = select(func.count(), func.max(Award.id), func.sum(Rule.version)).join(Rule, Rule.id == Award.rule_id)
    return "-".join(str(number or 0) for number in session.execute(numbers.where(Award.run_id == run.id)).one())


def confirm(tools: Toolbox, course_id: int, run_id: int, who: str, now: datetime, *, shown: str | None = None) -> int:
    """Let the awards of a waiting run go out; how many do at once.

    Raises NotFoundError, ConflictError, and OutdatedError when it is not the run whose mark was `shown`.
    """
    with tools.database.write() as session:
        # Neither is a rule changed meanwhile, nor does the run grow.
        session.get_one(Course, course_id, with_for_update={"key_share": True})
        awarding.lock_people(session, course_id, select(Award.person_id).where(Award.run_id == run_id))
        run = find(session, course_id, run_id, lock=True)
        if run.status is not RunStatus.WAITING:
            raise ConflictError("Somebody has decided on these awards already. Reload the page to see what they said.")
        if shown is not None and shown != mark(session, run):
            raise OutdatedError(CHANGED)
        run.status, run.decided_by, run.decided_at = RunStatus.RELEASED, who[:200], now
        session.flush()
        awarding.release(session, now, run_id=run.id)
        _earn_more(session, run, now)
        going = (Award.run_id == run.id) & Award.status.not_in((AwardStatus.HELD, *facts.GONE))
        count = session.scalar(select(func.count()).where(going)) or 0
        session.commit()
        log.info("run_confirmed", run_id=run_id, course_id=course_id)
        return count


def undo(tools: Toolbox, course_id: int, run_id: int, who: str, now: datetime) -> int:
    """Take every award of a run back, and what made them; how many. What Badgr has is revoked there.

    Exceptions that made them are taken back too; else the rules that made them are paused, for they would make them
    again. Raises NotFoundError, ConflictError. The people may earn the badge again.
    """
    with tools.database.write() as session:
        awarding.lock_people(session, course_id, select(Award.person_id).where(Award.run_id == run_id))
        run = find(session, course_id, run_id, lock=True)
        if run.status is RunStatus.UNDONE:
            raise ConflictError("These awards were taken back already.")
        awards = session.scalars(select(Award).where(Award.run_id == run.id).with_for_update()).all()
        if any(revocation.was_sent(award) and not award.may_be_revoked for award in awards):
            # Half of it would be worse than nothing, and could not be asked for again.
            raise ConflictError(issuers.STAFF_ONLY)
        run.status, run.decided_by, run.decided_at = RunStatus.UNDONE, who[:200], now
        taken = revocation.start_all(session, awards, "Awarded by mistake.", who, RevokedBy.UNDO, now)
        if run.cause is RunCause.EXCEPTION:
            session.execute(delete(RuleException).where(RuleException.run_id == run.id))
        else:
            rule_ids = {award.rule_id for award in awards if not award.by_hand}
            for rule in session.scalars(select(Rule).where(Rule.id.in_(rule_ids), Rule.status == RuleStatus.ACTIVE)):
                rule.status = RuleStatus.PAUSED
        session.commit()
        log.info("run_undone", run_id=run_id, course_id=course_id, awards=taken)
        return taken


def find(session: Session, course_id: int, run_id: int, *, lock: bool = False) -> AwardRun:
    """A run of this course; raises NotFoundError for one of another course."""
    query = select(AwardRun).join(Course).where(AwardRun.id == run_id, AwardRun.course_id == course_id)
    run = session.scalar(query.with_for_update(of=AwardRun) if lock else query)
    if run is None:
        raise NotFoundError("There are no such awards in this course.")
    return run


def _earn_more(session: Session, run: AwardRun, now: datetime) -> None:
    """What the badges of a run earn further in its course belongs to the run: undone with it, too."""
    rules = session.scalars(select(Rule).where(Rule.course_id == run.course_id, Rule.status == RuleStatus.ACTIVE))
    asked = set[int]().union(*(badges_of(rule.criteria) for rule in rules))
    query = select(Award).where(Award.run_id == run.id, Award.status.not_in(facts.GONE), ~Award.awaits_approval)
    awards = session.scalars(query).all()
    people = sorted({award.person_id for award in awards if award.badge_class_id in asked})
    for part in chunks(people):
        some = select(Person.id).where(Person.id.in_(part))
        evaluation.evaluate(session, run.course, awarding.lock_people(session, run.course_id, some), now, run)
    chains.follow(session, awards, now, but_course_id=run.course_id)


def _act(key: str) -> str:
    return key.partition(AGAIN)[0]
