"""Opens awards when results earn them, and says what holds an award back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from lti_tool.db import chunks, insert_all_absent, wake
from lti_tool.domain.criteria import describe
from lti_tool.domain.decision import Decision
from lti_tool.domain.launch import Role
from lti_tool.errors import ConflictError, NotFoundError
from lti_tool.models import (
    Award,
    AwardRun,
    AwardStatus,
    AwardStep,
    Enrolment,
    HoldReason,
    Person,
    RevokedBy,
    Rule,
    RunStatus,
)
from lti_tool.services import reasons, repeats
from lti_tool.services.facts import FactBook
from lti_tool.services.holding import HOLD_ADVICE, HOLD_LABEL, why_award_held
from lti_tool.toolbox import Toolbox

KEY = ["badge_class_id", "person_id", "number"]
ELSEWHERE = "Earned in another course, by a learner."


@dataclass(frozen=True)
class Achievement:
    """That somebody has earned a badge: why, when, and by which of our events."""

    sentence: str
    detail: str
    reasons: list[dict[str, Any]]
    achieved_at: datetime
    event_id: int | None = None
    by_hand: bool = False


def achievement(rule: Rule, decision: Decision, book: FactBook, now: datetime) -> Achievement:
    """What results have earned."""
    return Achievement(
        describe(rule.criteria, book.titles, book.badge_names),
        decision.detail,
        reasons.stored_reasons(decision, book),
        # A platform's clock may be ahead of ours; Badgr takes no date from the future (BADGR.md §6.1).
        min(decision.achieved_at or now, now),
        decision.event_id,
    )


@dataclass(frozen=True)
class Earning:
    """That somebody earns a badge by a rule; `former` are the awards of this badge that they have, the first first."""

    rule: Rule
    enrolment: Enrolment
    achievement: Achievement
    former: Sequence[Award]


def open_award(
    session: Session, rule: Rule, enrolment: Enrolment, earned: Achievement, now: datetime, run: AwardRun | None = None
) -> Award | None:
    """Record that a person earned a badge; None when there is an award of it already that forbids another one."""
    known = awards_of(session, [rule.badge_class_id], [enrolment.person_id])
    former = known.get((enrolment.person_id, rule.badge_class_id), [])
    return next(iter(open_awards(session, [Earning(rule, enrolment, earned, former)], now, run)), None)


def open_awards(
    session: Session, earnings: Iterable[Earning], now: datetime, run: AwardRun | None = None
) -> list[Award]:
    """Record that people earned badges, where no award that they have forbids another one; the new awards."""
    wanted: dict[tuple[int, int, int], Earning] = {}
    for earning in earnings:
        rule, former = earning.rule, earning.former
        if former and _gives_way(former[-1], earning.enrolment):
            _give_way(session, former[-1], now)
        number = repeats.number_after(rule, former, by_hand=earning.achievement.by_hand)
        if number is not None:
            wanted.setdefault((rule.badge_class_id, earning.enrolment.person_id, number), earning)
    session.flush()
    opened: list[Award] = []
    # In one order for everybody, so that two courses never wait for each other.
    for some in chunks(sorted(wanted)):
        rows = [dict(zip(KEY, key, strict=True)) | _new(wanted[key], now, run) for key in some]
        ids = insert_all_absent(session, Award, KEY, rows)
        awards = session.scalars(select(Award).where(Award.id.in_(ids)).order_by(Award.id)).all()
        for award in awards:
            _tell_opened(session, award, wanted[award.badge_class_id, award.person_id, award.number], now)
        opened += awards
        made = {(award.badge_class_id, award.person_id, award.number) for award in awards}
        for key in set(some) - made:
            # Earned just now in another course, unseen by us: the next look tells whether it is earned here too.
            decide_again(session, wanted[key].enrolment, now)
    return opened


def _new(earning: Earning, now: datetime, run: AwardRun | None) -> dict[str, Any]:
    rule, earned = earning.rule, earning.achievement
    return {
        "rule_id": rule.id,
        "rule_version_id": rule.current.id,
        "run_id": run.id if run else None,
        "course_id": rule.course_id,
        "status": AwardStatus.HELD,
        "reasons": earned.reasons,
        "achieved_at": earned.achieved_at,
        "opened_at": now,
        "due_at": now,
        "attempts": 0,
        "tried_addresses": [],
        "awaits_approval": rule.current.needs_approval and not earned.by_hand,
        "by_hand": earned.by_hand,
    }


def _tell_opened(session: Session, award: Award, earning: Earning, now: datetime) -> None:
    earned = earning.achievement
    story = f"Awarded by hand: {earned.detail}" if earned.by_hand else f"Earned: {earned.sentence}. {earned.detail}"
    add_step(session, award, "opened", story, now, earned.event_id)
    settle(session, award, earning.enrolment, now)


def _gives_way(award: Award, enrolment: Enrolment) -> bool:
    """Whether an award waits for ever in another course, where its person is no learner; here they are one."""
    is_stuck = award.hold_reason is HoldReason.NOT_A_LEARNER and award.status is AwardStatus.HELD and not award.attempts
    return is_stuck and award.course_id != enrolment.course_id and may_earn_here(enrolment)


def _give_way(session: Session, award: Award, now: datetime) -> None:
    award.status, award.hold_reason, award.advice, award.due_at = AwardStatus.REVOKED, None, None, now
    award.revocation_reason, award.revoked_by, award.revoked_at = ELSEWHERE, RevokedBy.FALL, now
    add_step(session, award, "revoked", f"Taken back before it was sent: {ELSEWHERE}", now)


def awards_of(
    session: Session, badge_class_ids: Sequence[int], person_ids: Sequence[int]
) -> dict[tuple[int, int], list[Award]]:
    """The awards of these badges that these people have, in whatever course; by person and badge, the first first."""
    found: dict[tuple[int, int], list[Award]] = {}
    for people in chunks(person_ids):
        query = select(Award).where(Award.badge_class_id.in_(badge_class_ids), Award.person_id.in_(people))
        query = query.options(selectinload(Award.rule), selectinload(Award.rule_version)).order_by(Award.number)
        for award in session.scalars(query):
            found.setdefault((award.person_id, award.badge_class_id), []).append(award)
    return found


def settle(session: Session, award: Award, enrolment: Enrolment, now: datetime) -> None:
    """Hold the award, or let it go out; to be called whenever a cause of holding may have come or gone."""
    if award.run is not None and award.run.status is RunStatus.OPEN:
        # Whether the run is larger than usual is known at its end.
        return
    reason = why_award_held(award, enrolment)
    if reason is None:
        if award.hold_reason is not None:
            add_step(session, award, "released", "Nothing holds it back any more.", now)
        make_due(session, award, now)
        return
    if award.hold_reason is not reason:
        add_step(session, award, "held", f"{HOLD_LABEL[reason]}. {HOLD_ADVICE[reason]}", now)
    award.status, award.hold_reason, award.advice = AwardStatus.HELD, reason, HOLD_ADVICE[reason]
    if reason is HoldReason.NOT_ON_ROSTER:
        wake(session, "roster", award.course_id)


def decide_again(session: Session, enrolment: Enrolment, now: datetime) -> None:
    """Have somebody decided on soon, by a worker: something has changed that may earn or lose badges."""
    enrolment.evaluate_at = now
    wake(session, "person", enrolment.id)


def make_due(session: Session, award: Award, now: datetime) -> None:
    """Put an award in the queue to be sent now."""
    award.status, award.hold_reason, award.advice, award.due_at = AwardStatus.PENDING, None, None, now
    wake(session, "award", award.id)


def lock_people(session: Session, course_id: int, person_ids: Select[Any]) -> list[Enrolment]:
    """Put what is about to happen to these people in the queue of everything about them in this course.

    Before their awards are locked, and in one order, as events do: so nobody waits in a circle.
    """
    query = select(Enrolment).where(Enrolment.course_id == course_id, Enrolment.person_id.in_(person_ids))
    return list(session.scalars(query.order_by(Enrolment.person_id).with_for_update()))


def release(
    session: Session,
    now: datetime,
    *,
    course_id: int | None = None,
    person_id: int | None = None,
    run_id: int | None = None,
) -> None:
    """Settle the held awards of a course, a person, a run, or all that are given, anew."""
    query = (
        select(Award, Enrolment)
        .join(
            Enrolment,
            (Enrolment.course_id == Award.course_id) & (Enrolment.person_id == Award.person_id),
        )
        .where(Award.status == AwardStatus.HELD)
        .options(joinedload(Enrolment.person))
        .order_by(Award.id)
        .with_for_update(of=Award)
    )
    if course_id is not None:
        query = query.where(Award.course_id == course_id)
    if person_id is not None:
        query = query.where(Award.person_id == person_id)
    if run_id is not None:
        query = query.where(Award.run_id == run_id)
    for award, enrolment in session.execute(query):
        settle(session, award, enrolment, now)
    if run_id is None:
        _try_other_address(session, now, course_id, person_id)


def _try_other_address(session: Session, now: datetime, course_id: int | None, person_id: int | None) -> None:
    """What Badgr has refused for one address it may take for another."""
    address = func.lower(func.coalesce(func.nullif(Person.chosen_address, ""), Person.email))
    query = select(Award).join(Person, Person.id == Award.person_id).with_for_update(of=Award)
    query = query.where(Award.status == AwardStatus.FAILED, Award.recipient.is_not(None), Award.recipient != address)
    if course_id is not None:
        query = query.where(Award.course_id == course_id)
    if person_id is not None:
        query = query.where(Award.person_id == person_id)
    for award in session.scalars(query):
        add_step(session, award, "released", "The address has changed: it is tried again.", now)
        make_due(session, award, now)


def retry(tools: Toolbox, course_id: int, award_id: int, now: datetime, who: str = "A teacher") -> None:
    """Send a failed or waiting award of this course again at once; raises NotFoundError or ConflictError."""
    with tools.database.write() as session:
        award = find(session, course_id, award_id)
        if award.status not in (AwardStatus.FAILED, AwardStatus.PENDING):
            raise ConflictError("This award is not waiting to be sent again. Reload its page to see where it stands.")
        add_step(session, award, "released", f"{who} asked to send it again.", now)
        make_due(session, award, now)
        session.commit()


def find(session: Session, course_id: int, award_id: int, *, lock: bool = False) -> Award:
    """An award of this course, for an update if wanted; raises NotFoundError for one of another course."""
    query = select(Award).where(Award.id == award_id, Award.course_id == course_id)
    award = session.scalar(query.with_for_update() if lock else query)
    if award is None:
        raise NotFoundError("There is no such award in this course.")
    return award


def add_step(session: Session, award: Award, kind: str, text: str, now: datetime, event_id: int | None = None) -> None:
    """Write a line into the award's time line."""
    session.add(AwardStep(award_id=award.id, at=now, kind=kind, text=text[:1000], event_id=event_id))


def learner_query(course_id: int) -> Any:
    """The enrolments of a course that can earn a badge, or may turn out to: active, no teacher, no test user."""
    others = (Role.INSTRUCTOR, Role.OBSERVER)
    return (
        select(Enrolment)
        .join(Person)
        .where(
            Enrolment.course_id == course_id,
            Enrolment.active,
            ~Enrolment.is_test,
            Enrolment.launch_role.is_(None) | Enrolment.launch_role.not_in(others),
            Enrolment.roster_role.is_(None) | Enrolment.roster_role.not_in(others),
            # Somebody without a role in the course is none; somebody whom only an event has named may be one.
            or_(
                Enrolment.launch_role == Role.LEARNER,
                Enrolment.roster_role == Role.LEARNER,
                Enrolment.launch_role.is_(None) & Enrolment.roster_role.is_(None),
            ),
        )
        .order_by(*Person.in_order())
    )


def may_earn_here(enrolment: Enrolment) -> bool:
    """Whether somebody is a learner of the course for certain; `learner_query` counts those who may turn out to be."""
    return enrolment.role is Role.LEARNER and enrolment.active and not enrolment.is_test
