"""Decides anew on one person in one course: opens what is earned, and notices what is not earned any more."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import wake
from lti_tool.domain.criteria import badges_of
from lti_tool.domain.decision import decide
from lti_tool.models import Award, AwardRun, AwardStatus, Course, Enrolment, OnFall, RevokedBy, Rule, RuleStatus
from lti_tool.services import awarding, facts, revocation
from lti_tool.services.facts import FactBook
from lti_tool.toolbox import Toolbox

# Awards whose results still have a say.
ALIVE = (AwardStatus.HELD, AwardStatus.PENDING, AwardStatus.SENDING, AwardStatus.ISSUED, AwardStatus.FAILED)


def request(session: Session, enrolment: Enrolment, now: datetime) -> None:
    """Have somebody decided on soon, by a worker: something has changed that may earn or lose badges."""
    enrolment.evaluate_at = now
    wake(session, "person", enrolment.id)


def due_people(session: Session, now: datetime, limit: int = 1000) -> list[int]:
    """The enrolments that somebody has to decide on."""
    query = select(Enrolment.id).where(Enrolment.evaluate_at <= now).order_by(Enrolment.evaluate_at)
    return list(session.scalars(query.limit(limit)))


def evaluate_due(tools: Toolbox, enrolment_id: int, now: datetime) -> None:
    """Decide on somebody if that is due."""
    with tools.database.write() as session:
        enrolment = session.get(Enrolment, enrolment_id, with_for_update=True)
        if enrolment is None or enrolment.evaluate_at is None or enrolment.evaluate_at > now:
            return
        enrolment.evaluate_at = None
        evaluate(session, enrolment.course, enrolment, now)
        session.commit()


def evaluate(
    session: Session, course: Course, enrolment: Enrolment, now: datetime, run: AwardRun | None = None
) -> list[Award]:
    """Open an award for every active rule that this person meets, and mark those that are met no more; the new ones.

    The caller holds the lock on the enrolment: everything about one person in one course stands in a queue.
    """
    if enrolment.is_test:
        return []
    query = select(Rule).where(Rule.course_id == course.id, Rule.status == RuleStatus.ACTIVE).order_by(Rule.id)
    rules = session.scalars(query.options(joinedload(Rule.current))).all()
    if not rules:
        return []
    opened: list[Award] = []
    # A badge may be what another rule waits for: round again, until nothing is added.
    for _ in range(len(rules)):
        book = facts.read_facts(session, course.id, rules, [enrolment.person_id])
        new = _open_earned(session, rules, enrolment, book, now, run)
        opened += new
        if not any(badges_of(rule.criteria) & {award.badge_class_id for award in new} for rule in rules):
            break
    _notice_falls(session, rules, enrolment, now)
    if opened:
        _tell_other_courses(session, enrolment, {award.badge_class_id for award in opened}, now)
    return opened


def _open_earned(
    session: Session, rules: Sequence[Rule], enrolment: Enrolment, book: FactBook, now: datetime, run: AwardRun | None
) -> list[Award]:
    opened = []
    for rule in rules:
        decision = book.decide(rule, enrolment.person_id)
        if decision.earned:
            earned = awarding.achievement(rule, decision, book, now)
            if award := awarding.open_award(session, rule, enrolment, earned, now, run):
                opened.append(award)
    return opened


def _notice_falls(session: Session, rules: Sequence[Rule], enrolment: Enrolment, now: datetime) -> None:
    """Each award is held against the version that earned it: an edit of the rule takes nothing away by itself."""
    active = {rule.id: rule for rule in rules}
    query = (
        select(Award)
        .where(
            Award.person_id == enrolment.person_id,
            Award.rule_id.in_(active),
            Award.status.in_(ALIVE),
            ~Award.by_hand,
        )
        .options(joinedload(Award.rule_version))
        .order_by(Award.id)
    )
    awards = session.scalars(query).all()
    if not awards:
        return
    book = facts.read_facts(session, enrolment.course_id, [], [enrolment.person_id])
    badges = facts.badges_of_people(
        session, set().union(*(badges_of(a.rule_version.criteria) for a in awards)), [enrolment.person_id]
    )
    granted = facts.exceptions_of(session, list(active), [enrolment.person_id])
    whole = FactBook(book.results, badges, granted, book.titles)
    latest = {award.rule_id: award for award in awards}
    for award in latest.values():
        decision = decide(award.rule_version.ask, whole.of(award.rule_id, award.person_id))
        if not decision.earned:
            _fall(session, award, decision.detail, now)
        elif award.fell_at is not None and award.fall_kept_at is None:
            award.fell_at, award.fall_detail = None, None
            awarding.add_step(session, award, "risen", f"The results earn it again. {decision.detail}", now)


def _fall(session: Session, award: Award, detail: str, now: datetime) -> None:
    if award.fell_at is None:
        award.fell_at, award.fall_detail = now, detail[:1000]
        awarding.add_step(session, award, "fell", f"The results do not earn it any more. {detail}", now)
    if award.rule_version.on_fall is OnFall.REVOKE and award.fall_kept_at is None:
        revocation.start(
            session, award, f"The results do not earn it any more. {detail}", "The rule", RevokedBy.FALL, now
        )


def _tell_other_courses(session: Session, enrolment: Enrolment, badge_class_ids: set[int], now: datetime) -> None:
    """Rules of the person's other courses may wait for these badges; each decides in a transaction of its own."""
    query = (
        select(Enrolment, Rule)
        .join(Rule, Rule.course_id == Enrolment.course_id)
        .where(
            Enrolment.person_id == enrolment.person_id,
            Enrolment.id != enrolment.id,
            Rule.status == RuleStatus.ACTIVE,
        )
    )
    for other, rule in session.execute(query).unique():
        if badges_of(rule.criteria) & badge_class_ids:
            request(session, other, now)
