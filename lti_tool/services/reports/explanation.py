"""Why somebody has a badge, or has it not: one account for the page, the command line and the export."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.criteria import describe
from lti_tool.domain.decision import Decision
from lti_tool.errors import InvalidInputError, NotFoundError
from lti_tool.models import (
    Award,
    AwardStatus,
    Enrolment,
    ExceptionKind,
    HoldReason,
    Person,
    Repeat,
    Rule,
    RuleException,
    RuleStatus,
)
from lti_tool.services import awarding, facts, holding, repeats, rules
from lti_tool.services.facts import GONE
from lti_tool.services.reports.common import (
    BadgeView,
    ReasonView,
    badge_view,
    label_of,
    reason_views,
    state_of,
    told_by,
)

NOT_ON = {
    RuleStatus.DRAFT: "The badge is a draft here: nobody earns it before it is switched on.",
    RuleStatus.PAUSED: "The badge is paused: nobody earns it before it is switched on again.",
    RuleStatus.ARCHIVED: "The badge is archived: nobody earns it any more.",
}
TAKEN_BACK = "It was taken back, and is not awarded again by itself. If that was wrong, award it by hand."
NOT_APPROVED = "Not approved. It is not awarded again by itself. If that was wrong, award it by hand."
ABOUT_TO = "Earned. The award is being opened; reload this page in a moment."


@dataclass(frozen=True)
class ExceptionView:
    """What a teacher has granted to one person in a rule, in words."""

    id: int
    person_id: int
    person_name: str
    text: str
    note: str
    made_by: str
    made_at: datetime


@dataclass(frozen=True)
class AwardLine:
    """An award of the badge that the person has or had; without a number here when it is another course's."""

    id: int | None
    status: str
    status_label: str
    achieved_at: datetime
    version: int
    advice: str | None


@dataclass(frozen=True)
class Explanation:
    """How one person stands with one rule, condition by condition; `progress` is 0 to 1, `missing` counts conditions.

    `summary` says in a sentence whether the badge is awarded, and what keeps it from being so.
    """

    rule_id: int
    person_id: int
    person_name: str
    badge: BadgeView
    sentence: str
    version: int
    earned: bool
    progress: float
    missing: int
    state: str
    summary: str
    advice: str | None
    reasons: list[ReasonView]
    exceptions: list[ExceptionView]
    awards: list[AwardLine]


def explain(session: Session, course_id: int, rule_id: int, person_id: int) -> Explanation:
    """Why a person of the course has the badge of a rule, or has it not; raises NotFoundError."""
    rule = rules.find(session, course_id, rule_id)
    enrolment = session.scalar(select(Enrolment).filter_by(course_id=course_id, person_id=person_id))
    if enrolment is None:
        raise NotFoundError("There is no such person in this course.")
    book = facts.read_facts(session, course_id, [rule], [person_id])
    decision = book.decide(rule, person_id)
    former = awarding.awards_of(session, [rule.badge_class_id], [person_id])
    awards = former.get((person_id, rule.badge_class_id), [])
    state, summary, advice = _summary(session, rule, enrolment, decision, awards)
    return Explanation(
        rule_id=rule.id,
        person_id=person_id,
        person_name=enrolment.person.display_name,
        badge=badge_view(rule.badge_class),
        sentence=describe(rule.criteria, book.titles, book.badge_names),
        version=rule.version,
        earned=decision.earned,
        progress=decision.progress,
        missing=decision.root.steps,
        state=state,
        summary=summary,
        advice=advice,
        reasons=told_by(session, reason_views(decision, book)),
        exceptions=exceptions_of_rule(session, rule, [person_id]),
        awards=[_line(award, course_id) for award in reversed(awards)],
    )


def exceptions_of_rule(session: Session, rule: Rule, person_ids: list[int] | None = None) -> list[ExceptionView]:
    """What was granted in a rule, to everybody or to some, the newest first."""
    query = (
        select(RuleException, Person.name)
        .join(Person, Person.id == RuleException.created_by_id)
        .where(RuleException.rule_id == rule.id)
        .options(joinedload(RuleException.person), joinedload(RuleException.activity))
        .order_by(RuleException.id.desc())
    )
    if person_ids is not None:
        query = query.where(RuleException.person_id.in_(person_ids))
    return [_exception(granted, name) for granted, name in session.execute(query)]


def find_person(session: Session, rule_id: int, words: str) -> tuple[int, int]:
    """The keys of a rule's course and of the person there with this address or id in the LMS.

    Raises NotFoundError, and InvalidInputError when several share the address.
    """
    rule = session.get(Rule, rule_id)
    if rule is None:
        raise NotFoundError("The number of a rule stands in the address of its page.", "There is no such rule")
    query = select(Person.id).join(Enrolment).where(Enrolment.course_id == rule.course_id)
    words = words.strip()
    found = session.scalars(query.where(Person.sub == words)).all()
    found = found or session.scalars(query.where(func.lower(Person.email) == words.lower())).all()
    if not found:
        raise NotFoundError("Name somebody of the rule's course by id in the LMS or by address.", "Nobody was found")
    if len(found) > 1:
        raise InvalidInputError("Several people have this address; use the id in the LMS.")
    return rule.course_id, found[0]


def _summary(
    session: Session, rule: Rule, enrolment: Enrolment, decision: Decision, awards: list[Award]
) -> tuple[str, str, str | None]:
    """The state for a page, the sentence, and what to do."""
    counted = [a for a in awards if rule.current.repeat is not Repeat.PER_TERM or a.course_id == rule.course_id]
    alive = next((award for award in reversed(counted) if award.status not in GONE), None)
    if alive is not None:
        elsewhere = "" if alive.course_id == rule.course_id else " It was earned in another course."
        advice = alive.advice if alive.course_id == rule.course_id else None
        return state_of(alive), f"{_awarded(alive)}{elsewhere}", advice
    if rule.status is not RuleStatus.ACTIVE:
        return "paused", NOT_ON[rule.status], None
    hold = holding.why_held(rule.course, enrolment)
    if hold is HoldReason.NOT_A_LEARNER:
        return "held", "Not a learner of this course, so nothing is awarded.", holding.HOLD_ADVICE[hold]
    if not decision.earned:
        steps = decision.root.steps
        text = f"Not earned yet: {steps} {'condition is' if steps == 1 else 'conditions are'} missing."
        return "progress" if decision.progress else "none", text, None
    if repeats.number_after(rule, awards, by_hand=False) is None:
        return "revoked", NOT_APPROVED if counted and counted[-1].was_refused else TAKEN_BACK, None
    return "on_the_way", ABOUT_TO, None


def _awarded(award: Award) -> str:
    if award.status is AwardStatus.ISSUED:
        return "Earned, and issued by Badgr."
    return f"Earned. {label_of(award)}."


def _line(award: Award, course_id: int) -> AwardLine:
    is_ours = award.course_id == course_id
    return AwardLine(
        id=award.id if is_ours else None,
        status=state_of(award),
        status_label=label_of(award),
        achieved_at=award.achieved_at,
        version=award.rule_version.number,
        advice=award.advice if is_ours else None,
    )


def _exception(granted: RuleException, made_by: str) -> ExceptionView:
    if granted.kind is ExceptionKind.EXTENSION and granted.until is not None:
        text = f"More time, until {granted.until.day} {granted.until:%b %Y, %H:%M} UTC"
    elif granted.kind is ExceptionKind.EXCUSED and granted.activity is not None:
        text = f"Excused from {granted.activity.title}"
    else:
        text = "Approved"
    return ExceptionView(
        id=granted.id,
        person_id=granted.person_id,
        person_name=granted.person.display_name,
        text=text,
        note=granted.note,
        made_by=made_by,
        made_at=granted.created_at,
    )
