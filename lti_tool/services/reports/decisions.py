"""Awards that wait for a teacher's word: to be approved, or to be kept although the results fell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.criteria import asks_approval
from lti_tool.models import Award, Rule, RuleStatus
from lti_tool.services import decisions, revocation, rules
from lti_tool.services.reports.common import ReasonView, label_of, reason_view, state_of
from lti_tool.services.reports.outdated import outdated, whats_missing

SHOWN = 200


@dataclass(frozen=True)
class OpenAward:
    """An award that waits; `fall_detail` is what the results say now, where they fell, and `fell_at` since when.

    `missing` says what the rule as it is now asks for beyond, where it would not bring it.
    """

    id: int
    rule_id: int
    person_id: int
    person_name: str
    badge_name: str
    status: str
    status_label: str
    reasons: list[ReasonView]
    opened_at: datetime
    fell_at: datetime | None
    fall_detail: str
    was_sent: bool
    missing: str | None = None


@dataclass(frozen=True)
class AskingRule:
    """A rule with a teacher's approval among its conditions: that is given on its page of learners."""

    id: int
    badge_name: str


@dataclass(frozen=True)
class OpenAwards:
    """The oldest two hundred of them, and how many there are; of one rule when `badge_name` is given.

    `outdated` says how many of all the rules as they are now would not bring.
    """

    awards: list[OpenAward]
    total: int
    badge_name: str | None = None
    asking: Sequence[AskingRule] = ()
    outdated: int = 0


def approvals(session: Session, course_id: int, rule_id: int | None) -> OpenAwards:
    """What waits for approval, in the course or of one rule; raises NotFoundError for a rule of another course."""
    name = rules.find(session, course_id, rule_id).badge_class.name if rule_id is not None else None
    query = select(Rule).where(Rule.course_id == course_id, Rule.status == RuleStatus.ACTIVE).order_by(Rule.id)
    asking = [
        AskingRule(rule.id, rule.badge_class.name)
        for rule in session.scalars(query.options(joinedload(Rule.badge_class)))
        if rule_id in (None, rule.id) and asks_approval(rule.criteria)
    ]
    waiting = decisions.waiting_for_approval(course_id, rule_id)
    found, old = _open(session, waiting, name), outdated(session, waiting)
    shown = session.scalars(select(Award).where(Award.id.in_([award.id for award in found.awards]))).all()
    missing = whats_missing(session, course_id, shown, old)
    marked = [replace(award, missing=missing.get(award.id)) for award in found.awards]
    return replace(found, awards=marked, asking=asking, outdated=len(old))


def falls(session: Session, course_id: int) -> OpenAwards:
    """What the results do not earn any more, and a teacher has to decide on."""
    return _open(session, decisions.proposals(course_id))


def _open(session: Session, query: Select[Award], badge_name: str | None = None) -> OpenAwards:
    total = session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    shown = query.options(joinedload(Award.person), joinedload(Award.badge_class)).limit(SHOWN)
    return OpenAwards([_award(award) for award in session.scalars(shown)], total, badge_name)


def _award(award: Award) -> OpenAward:
    return OpenAward(
        id=award.id,
        rule_id=award.rule_id,
        person_id=award.person_id,
        person_name=award.person.display_name,
        badge_name=award.badge_class.name,
        status=state_of(award),
        status_label=label_of(award),
        reasons=[reason_view(reason) for reason in award.reasons],
        opened_at=award.opened_at,
        fell_at=award.fell_at,
        fall_detail=award.fall_detail or "",
        was_sent=revocation.was_sent(award),
    )
