"""Decides anew on one person in one course: opens what is earned, and notices what is not earned any more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import badges_of
from lti_tool.domain.decision import Decision, Reason, decide, last_day
from lti_tool.models import Award, AwardRun, AwardStatus, Course, Enrolment, OnFall, RevokedBy, Rule, RuleStatus
from lti_tool.models.award import FELL
from lti_tool.services import awarding, chains, facts, revocation
from lti_tool.services.awarding import Earning
from lti_tool.services.facts import FactBook
from lti_tool.toolbox import Toolbox

# Awards whose results still have a say.
ALIVE = (AwardStatus.HELD, AwardStatus.PENDING, AwardStatus.SENDING, AwardStatus.ISSUED, AwardStatus.FAILED)


def due_people(session: Session, now: datetime, limit: int = 1000) -> list[int]:
    """The enrolments that somebody has to decide on."""
    query = select(Enrolment.id).where(Enrolment.evaluate_at <= now).order_by(Enrolment.evaluate_at)
    return list(session.scalars(query.limit(limit)))


def evaluate_due(tools: Toolbox, enrolment_id: int, now: datetime) -> None:
    """Decide on somebody if that is due."""
    with tools.database.write() as session:
        course_id = session.scalar(select(Enrolment.course_id).where(Enrolment.id == enrolment_id))
        # The course before its people, as events do: a rule that is being changed waits for us, or we for it.
        session.scalar(select(Course.id).where(Course.id == course_id).with_for_update(read=True))
        enrolment = session.get(Enrolment, enrolment_id, with_for_update=True)
        if enrolment is None or enrolment.evaluate_at is None or enrolment.evaluate_at > now:
            return
        enrolment.evaluate_at = None
        evaluate(session, enrolment.course, [enrolment], now)
        session.commit()


def evaluate(
    session: Session, course: Course, enrolments: Sequence[Enrolment], now: datetime, run: AwardRun | None = None
) -> list[Award]:
    """Open an award for every active rule that these people meet, and mark those that are met no more; the new ones.

    The caller holds the locks on the enrolments: everything about one person in one course stands in a queue.
    """
    people = {enrolment.person_id: enrolment for enrolment in enrolments if not enrolment.is_test}
    query = select(Rule).where(Rule.course_id == course.id, Rule.status == RuleStatus.ACTIVE).order_by(Rule.id)
    rules = session.scalars(query).all() if people else []
    if not rules:
        return []
    asked = set().union(*(badges_of(rule.criteria) for rule in rules))
    opened: list[Award] = []
    left: Sequence[int] = sorted(people)
    # A badge may be what another rule waits for: round again for whom it was added.
    for turn in range(len(rules)):
        book = facts.read_facts(session, course.id, rules, left)
        former = awarding.awards_of(session, [rule.badge_class_id for rule in rules], left)
        earned = [earning for person_id in left for earning in _earned(rules, people[person_id], book, former, now)]
        new = awarding.open_awards(session, earned, now, run)
        if turn == 0:
            # What was just earned once more is looked at no further back.
            gone = {(award.person_id, award.badge_class_id) for award in new}
            before = {key: awards for key, awards in former.items() if key not in gone}
            _notice_falls(session, course, {rule.id for rule in rules}, before, book, now)
        opened += new
        left = sorted({award.person_id for award in new if award.badge_class_id in asked})
        if not left:
            break
    chains.follow(session, opened, now, but_course_id=course.id)
    return opened


def _earned(
    rules: Sequence[Rule],
    enrolment: Enrolment,
    book: FactBook,
    former: Mapping[tuple[int, int], list[Award]],
    now: datetime,
) -> Iterator[Earning]:
    for rule in rules:
        decision = book.decide(rule, enrolment.person_id)
        if decision.earned:
            own = former.get((enrolment.person_id, rule.badge_class_id), [])
            yield Earning(rule, enrolment, awarding.achievement(rule, decision, book, now), own)


def _notice_falls(
    session: Session,
    course: Course,
    rule_ids: set[int],
    former: Mapping[tuple[int, int], list[Award]],
    book: FactBook,
    now: datetime,
) -> None:
    """Mark what has fallen, and what has risen again.

    Each award is held against the version that earned it, for an edit of the rule takes nothing away by itself; and who
    earns it by the rule as it is now has not lost it either.
    """
    here = [[award for award in awards if award.course_id == course.id] for awards in former.values()]
    latest = [awards[-1] for awards in here if awards]
    own = [a for a in latest if a.rule_id in rule_ids and a.status in ALIVE and not a.by_hand]
    # Most were earned by what the rules ask for now, which the book has; former versions may ask for something else.
    old = [award for award in own if award.rule_version.number != award.rule.version]
    if old:
        book = _book_of_versions(session, course, old, book)
    for award in own:
        decision = _decision(award, book)
        if not decision.earned:
            if not decision.still_earned(_met_before(award, decision, book)):
                _fall(session, award, decision.detail, now)
        elif award.fell_at is not None and award.fall_kept_at is None:
            award.fell_at, award.fall_detail = None, None
            awarding.add_step(session, award, "risen", f"The results earn it again. {decision.detail}", now)


def _decision(award: Award, book: FactBook) -> Decision:
    """By the version that earned it; where that does not any more, by the rule as it is now if that does."""
    by_then = decide(award.rule_version.ask, book.of(award.rule_id, award.person_id))
    if by_then.earned:
        return by_then
    by_now = book.decide(award.rule, award.person_id)
    return by_now if by_now.earned else by_then


def _met_before(award: Award, decision: Decision, book: FactBook) -> list[bool]:
    """Which conditions were met when the badge was earned, in order.

    Not those that were met by the very result which is too late now: more time was given for it, and taken back.
    """
    until = last_day(award.rule_version.ask, book.of(award.rule_id, award.person_id))

    def is_late(then: dict[str, Any], reason: Reason) -> bool:
        at = reason.occurred_at
        return until is not None and at is not None and at > until and then["occurred_at"] == at.isoformat()

    stored = [reason for reason in award.reasons if not reason["group"]]
    return [then["met"] and not is_late(then, now) for then, now in zip(stored, decision.reasons, strict=True)]


def _book_of_versions(session: Session, course: Course, awards: Sequence[Award], book: FactBook) -> FactBook:
    people = sorted({award.person_id for award in awards} | book.results.keys())
    asked = set().union(*(badges_of(award.rule_version.criteria) for award in awards))
    more = facts.badges_of_people(session, asked, people)
    badges = {key: book.badges.get(key, {}) | more.get(key, {}) for key in book.badges.keys() | more.keys()}
    return replace(book, results=facts.results_of(session, course.id, people), badges=badges)


def _fall(session: Session, award: Award, detail: str, now: datetime) -> None:
    if award.fell_at is None:
        award.fell_at, award.fall_detail = now, detail[:1000]
        awarding.add_step(session, award, "fell", f"{FELL} {detail}", now)
    if award.rule_version.on_fall is OnFall.REVOKE and award.fall_kept_at is None:
        revocation.start(session, award, FELL, "The rule", RevokedBy.FALL, now)
