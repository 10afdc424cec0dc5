"""Opens awards when results earn them, and says what holds an award back."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from lti_tool.db import insert_if_absent, wake
from lti_tool.domain.criteria import Decision, decide, describe
from lti_tool.domain.events import Score
from lti_tool.domain.launch import Role
from lti_tool.errors import ConflictError, NotFoundError
from lti_tool.models import (
    Activity,
    Award,
    AwardStatus,
    AwardStep,
    Course,
    Enrolment,
    HoldReason,
    Person,
    Result,
    Rule,
    RuleStatus,
)
from lti_tool.toolbox import Toolbox

HOLD_LABEL = {
    HoldReason.NO_EMAIL: "Held: no e-mail address",
    HoldReason.NOT_ON_ROSTER: "Held: not on the course list yet",
    HoldReason.NOT_A_LEARNER: "Held: not a learner",
    HoldReason.NO_CONNECTION: "Held: no Badgr connection",
}
HOLD_ADVICE = {
    HoldReason.NO_EMAIL: (
        "The LMS does not tell this learner's address; ask the LMS administrator to let the "
        "Badges tool see e-mail addresses. The badge goes out by itself as soon as the address is known."
    ),
    HoldReason.NOT_ON_ROSTER: (
        "The LMS has not yet confirmed that this person is a learner in this course. The badge goes out by "
        "itself when the course list says so or the person opens Badges."
    ),
    HoldReason.NOT_A_LEARNER: (
        "This person is not a learner in this course (a teacher, an observer, a preview account, or somebody "
        "who has left it). No badge is sent."
    ),
    HoldReason.NO_CONNECTION: (
        "The course is not connected to Badgr. A teacher of the course can connect it on the Badges page; "
        "everything that waits goes out then."
    ),
}
ROSTER_PAUSE = timedelta(minutes=10)


def award_earned(session: Session, course: Course, enrolment: Enrolment, now: datetime) -> None:
    """Open an award for every active rule of the course that this person meets and has no award of yet."""
    rules = session.scalars(
        select(Rule).where(Rule.course_id == course.id, Rule.status == RuleStatus.ACTIVE).order_by(Rule.id)
    ).all()
    if not rules or enrolment.is_test:
        return
    scores = scores_of(session, course.id, [enrolment.person_id]).get(enrolment.person_id, {})
    titles = activity_titles(session, course.id)
    for rule in rules:
        decision = decide(rule.criteria, scores, rule.counts_from)
        if decision.earned:
            open_award(session, rule, enrolment, decision, titles, now)


def open_award(
    session: Session,
    rule: Rule,
    enrolment: Enrolment,
    decision: Decision,
    titles: dict[int, str],
    now: datetime,
) -> None:
    """Record that a person earned a badge; does nothing when there is an award of this badge for this person."""
    key = {"badge_class_id": rule.badge_class_id, "person_id": enrolment.person_id}
    is_new = insert_if_absent(
        session,
        Award,
        key,
        rule_id=rule.id,
        course_id=rule.course_id,
        status=AwardStatus.HELD,
        reasons=_stored(decision, titles),
        achieved_at=decision.achieved_at or now,
        opened_at=now,
        due_at=now,
        attempts=0,
    )
    if not is_new:
        return
    award = session.scalars(select(Award).filter_by(**key)).one()
    sentence = describe(rule.criteria, titles)
    details = " ".join(reason.detail for reason in decision.reasons)
    add_step(session, award, "opened", f"Earned: {sentence}. {details}", now, _event_of(session, award, decision))
    settle(session, award, enrolment, now)


def settle(session: Session, award: Award, enrolment: Enrolment, now: datetime) -> None:
    """Hold the award, or let it go out; to be called whenever a cause of holding may have come or gone."""
    reason = why_held(award.course, enrolment)
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


def make_due(session: Session, award: Award, now: datetime) -> None:
    """Put an award in the queue to be sent now."""
    award.status, award.hold_reason, award.advice, award.due_at = AwardStatus.PENDING, None, None, now
    session.flush()
    wake(session, "award", award.id)


def why_held(course: Course, enrolment: Enrolment | None) -> HoldReason | None:
    """What keeps an award of this person in this course from being sent; None when nothing does."""
    if enrolment is None or enrolment.role is None:
        return HoldReason.NOT_ON_ROSTER
    if enrolment.is_test or not enrolment.active or enrolment.role is not Role.LEARNER:
        return HoldReason.NOT_A_LEARNER
    if not enrolment.person.badge_address:
        return HoldReason.NO_EMAIL
    if course.connection is None or not course.connection.is_alive:
        return HoldReason.NO_CONNECTION
    return None


def release(session: Session, now: datetime, *, course_id: int | None = None, person_id: int | None = None) -> None:
    """Settle the held awards of a course, a person, or both anew."""
    query = (
        select(Award, Enrolment)
        .join(
            Enrolment,
            (Enrolment.course_id == Award.course_id) & (Enrolment.person_id == Award.person_id),
        )
        .where(Award.status == AwardStatus.HELD)
        .order_by(Award.id)
        .with_for_update(of=Award)
    )
    if course_id is not None:
        query = query.where(Award.course_id == course_id)
    if person_id is not None:
        query = query.where(Award.person_id == person_id)
    for award, enrolment in session.execute(query):
        settle(session, award, enrolment, now)


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


def scores_of(session: Session, course_id: int, person_ids: Sequence[int] | None = None) -> dict[int, dict[int, Score]]:
    """The results in a course, of everybody or of some, by person and then by activity."""
    found: dict[int, dict[int, Score]] = {}
    query = select(Result).join(Activity).where(Activity.course_id == course_id)
    if person_ids is not None:
        query = query.where(Result.person_id.in_(person_ids))
    for result in session.scalars(query):
        found.setdefault(result.person_id, {})[result.activity_id] = result.score
    return found


def activity_titles(session: Session, course_id: int) -> dict[int, str]:
    """The titles of a course's activities by our key."""
    query = select(Activity.id, Activity.title).where(Activity.course_id == course_id)
    return {row.id: row.title for row in session.execute(query)}


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
        .order_by(Person.name, Person.id)
    )


def _event_of(session: Session, award: Award, decision: Decision) -> int | None:
    """The event that brought the latest of the results that decided."""
    return session.scalar(
        select(Result.event_id)
        .where(
            Result.person_id == award.person_id,
            Result.activity_id.in_([reason.activity_id for reason in decision.reasons]),
        )
        .order_by(Result.occurred_at.desc())
        .limit(1)
    )


def _stored(decision: Decision, titles: dict[int, str]) -> list[dict[str, Any]]:
    return [
        {
            "activity": titles.get(reason.activity_id, ""),
            "met": reason.met,
            "detail": reason.detail,
            "occurred_at": reason.occurred_at.isoformat() if reason.occurred_at else None,
        }
        for reason in decision.reasons
    ]
