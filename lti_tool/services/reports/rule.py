"""The page of one rule: who earns it now, who is close, who cannot be reached, and the awards so far."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.badgr.types import Lifetime
from lti_tool.domain.criteria import describe
from lti_tool.models import Award, Rule
from lti_tool.services import columns, drafts, facts, holding, rules, standings
from lti_tool.services.reports.common import BadgeView, badge_view, label_of, state_of
from lti_tool.services.standings import Standing, Subject

SHOWN = 100


@dataclass(frozen=True)
class RuleView:
    """A rule with its sentence."""

    id: int
    badge: BadgeView
    sentence: str
    status: str
    counts_from: datetime | None
    activated_at: datetime | None
    # The column in the gradebook: whether there is one, whether the LMS allows it, and what keeps scores from it.
    has_column: bool
    can_have_column: bool
    column_fault: str | None
    # What is written on each assertion.
    narrative: str
    evidence_url: str
    notify: bool
    # The badge's own lifetime, in words; and whether Badgr still has the badge.
    lifetime: str
    is_gone: bool


@dataclass(frozen=True)
class PreviewPerson:
    """A learner in a preview: how far, and what would keep the badge from going out."""

    name: str
    detail: str
    note: str | None


@dataclass(frozen=True)
class Preview:
    """How the class stands with a rule; every list holds at most 100 names, the numbers count everybody."""

    earned: list[PreviewPerson]
    close: list[PreviewPerson]
    unreachable: list[PreviewPerson]
    earned_count: int
    close_count: int
    unreachable_count: int
    new_count: int
    rest: int
    total: int
    # The first reading of the course list has not ended: names and numbers are about to come.
    is_list_awaited: bool


@dataclass(frozen=True)
class AwardRow:
    """An award in a list."""

    id: int
    person_name: str
    status: str
    status_label: str
    at: datetime


@dataclass(frozen=True)
class RuleReport:
    """Everything on a rule's page."""

    rule: RuleView
    preview: Preview
    awards: list[AwardRow]


def rule_report(session: Session, course_id: int, rule_id: int) -> RuleReport:
    """The page of a rule of this course; raises NotFoundError."""
    rule = rules.find(session, course_id, rule_id)
    titles, names = facts.activity_titles(session, course_id), drafts.offered_badges(session, rule.course)
    view = RuleView(
        id=rule.id,
        badge=badge_view(rule.badge_class),
        sentence=describe(rule.criteria, titles, names),
        status=rule.status.value,
        counts_from=rule.current.counts_from,
        activated_at=rule.activated_at,
        has_column=rule.has_column,
        can_have_column=columns.is_offered(rule.course),
        column_fault=session.scalar(
            select(Award.score_advice).where(Award.rule_id == rule.id, Award.score_advice.is_not(None)).limit(1)
        ),
        narrative=rule.narrative,
        evidence_url=rule.evidence_url or "",
        notify=rule.notify,
        lifetime=_lifetime(rule),
        is_gone=rule.badge_class.gone_at is not None,
    )
    return RuleReport(view, _preview(session, rule), _awards(session, rule))


def _lifetime(rule: Rule) -> str:
    lifetime = Lifetime.parse(rule.badge_class.expires)
    if lifetime is None:
        return ""
    return f"{lifetime.amount} {lifetime.unit.removesuffix('s') if lifetime.amount == 1 else lifetime.unit}"


def _preview(session: Session, rule: Rule) -> Preview:
    found = standings.survey(session, Subject(rule.ask, rule.course_id, rule.id, rule.badge_class_id))
    return Preview(
        earned=[_person(standing) for standing in found.earned],
        close=[_person(standing) for standing in found.close],
        unreachable=[_person(standing) for standing in found.unreachable],
        earned_count=found.earned_count,
        close_count=found.close_count,
        unreachable_count=found.unreachable_count,
        new_count=found.new_count,
        rest=found.rest,
        total=found.total,
        is_list_awaited=rule.course.memberships_url is not None and rule.course.roster_synced_at is None,
    )


def _person(standing: Standing) -> PreviewPerson:
    note = None if standing.hold is None else holding.HOLD_LABEL[standing.hold]
    if standing.has_badge:
        note = "Has this badge already"
    return PreviewPerson(standing.name, standing.decision.detail, note)


def _awards(session: Session, rule: Rule) -> list[AwardRow]:
    awards = session.scalars(
        select(Award)
        .where(Award.rule_id == rule.id)
        .options(joinedload(Award.person))
        .order_by(Award.id.desc())
        .limit(SHOWN)
    )
    return [
        AwardRow(
            id=award.id,
            person_name=award.person.display_name,
            status=state_of(award),
            status_label=label_of(award),
            at=award.issued_at or award.opened_at,
        )
        for award in awards
    ]
