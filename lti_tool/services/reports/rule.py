"""The page of one rule: what it asks, how the class stands with it, its former versions, and the awards so far."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.badgr.types import Lifetime
from lti_tool.domain.criteria import badges_of, describe
from lti_tool.models import (
    Award,
    AwardRun,
    Course,
    OnFall,
    Repeat,
    Rule,
    RuleStatus,
    RuleVersion,
    RunCause,
    RunStatus,
)
from lti_tool.services import columns, copies, decisions, drafts, facts, rules, standings
from lti_tool.services.copies import Target
from lti_tool.services.drafts import Draft
from lti_tool.services.reports.activities import NamedActivity, named_activities
from lti_tool.services.reports.common import BadgeView, badge_view, label_of, state_of
from lti_tool.services.reports.preview import Preview, PreviewPerson, people, preview

SHOWN = 100


@dataclass(frozen=True)
class RuleView:
    """A rule with its sentence."""

    id: int
    badge: BadgeView
    sentence: str
    status: str
    counts_from: datetime | None
    counts_until: datetime | None
    fully_graded: bool
    needs_approval: bool
    on_fall: OnFall
    repeat: Repeat
    activated_at: datetime | None
    # What tells whether it is still as it was shown.
    mark: str
    # The column in the gradebook: whether there is one, whether the LMS allows it, and what keeps scores from it.
    has_column: bool
    can_have_column: bool
    column_fault: str | None
    # What is written on each assertion.
    narrative: str
    evidence_url: str
    notify: bool
    # The badge's own lifetime, in words; whether Badgr still has the badge, and whether another issuer gives it.
    lifetime: str
    is_gone: bool
    is_foreign: bool


@dataclass(frozen=True)
class VersionRow:
    """A version of a rule: what it asked, who made it, and how many awards name it."""

    number: int
    sentence: str
    said: Draft
    made_by: str
    at: datetime
    awards: int


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
    versions: list[VersionRow]
    awards: list[AwardRow]
    # For a copied rule that was never switched on.
    copied_activities: list[NamedActivity]
    # Those that no source has named yet: perhaps mistyped.
    unknown_activities: list[NamedActivity]
    # When awards of a paused rule were taken back as a whole, which has paused it.
    undone_at: datetime | None
    # Other rules of the course for the same badge, by our key and sentence.
    twins: dict[int, str]
    # How many awards wait for a teacher's approval.
    to_approve: int
    targets: list[Target]


@dataclass(frozen=True)
class Change:
    """What an edit would change: the sentences before and after, who would be added, and who would be dropped.

    Of these, `undecided` are those whose badge waits for a person's word.
    """

    before: str
    after: str
    added: list[PreviewPerson]
    added_count: int
    dropped: list[str]
    dropped_count: int
    undecided: list[str]
    undecided_count: int


def rule_report(session: Session, course_id: int, rule_id: int, person_id: int) -> RuleReport:
    """The page of a rule of this course, for this teacher; raises NotFoundError."""
    rule = rules.find(session, course_id, rule_id)
    named = named_activities(session, rule)
    is_asleep = rule.copied_from_id is not None and rule.activated_at is None
    return RuleReport(
        rule=_rule_view(session, rule),
        preview=preview(session, standings.subject_of(rule)),
        versions=_versions(session, rule),
        awards=_awards(session, rule),
        copied_activities=named if is_asleep else [],
        undone_at=_undone_at(session, rule) if rule.status is RuleStatus.PAUSED else None,
        unknown_activities=[activity for activity in named if not activity.is_known],
        twins=_twins(session, rule),
        to_approve=session.scalar(
            select(func.count()).select_from(decisions.waiting_for_approval(course_id, rule.id).subquery())
        )
        or 0,
        targets=copies.targets(session, rule.course, person_id),
    )


def change_report(session: Session, course_id: int, rule_id: int, draft: Draft, after: str) -> Change:
    """What an edit would change for whom, with the sentence that it makes; nothing is stored."""
    rule = rules.find(session, course_id, rule_id)
    effect = rules.effect(session, course_id, rule_id, draft)
    return Change(
        sentence_of(session, rule),
        after,
        people(session, effect.added, facts.activity_titles(session, course_id), standings.subject_of(rule)),
        effect.added_count,
        effect.dropped,
        effect.dropped_count,
        effect.undecided,
        effect.undecided_count,
    )


def sentence_of(session: Session, rule: Rule) -> str:
    """What a rule asks now."""
    titles = facts.activity_titles(session, rule.course_id)
    return describe(rule.criteria, titles, facts.badge_names(session, badges_of(rule.criteria)))


def _rule_view(session: Session, rule: Rule) -> RuleView:
    present = rule.current
    return RuleView(
        id=rule.id,
        badge=badge_view(rule.badge_class),
        sentence=sentence_of(session, rule),
        status=rule.status.value,
        counts_from=present.counts_from,
        counts_until=present.counts_until,
        fully_graded=present.fully_graded,
        needs_approval=present.needs_approval,
        on_fall=present.on_fall,
        repeat=present.repeat,
        activated_at=rule.activated_at,
        mark=drafts.mark(rule),
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
        is_foreign=_is_foreign(rule, rule.course),
    )


def _is_foreign(rule: Rule, course: Course) -> bool:
    """Whether the badge is not one of the issuer in whose name the course awards, as a copied rule's may be."""
    return course.issuer_entity_id is not None and course.issuer_entity_id != rule.badge_class.issuer_entity_id


def _lifetime(rule: Rule) -> str:
    lifetime = Lifetime.parse(rule.badge_class.expires)
    if lifetime is None:
        return ""
    return f"{lifetime.amount} {lifetime.unit.removesuffix('s') if lifetime.amount == 1 else lifetime.unit}"


def _versions(session: Session, rule: Rule) -> list[VersionRow]:
    counts: dict[int, int] = dict(
        session.execute(
            select(Award.rule_version_id, func.count()).where(Award.rule_id == rule.id).group_by(Award.rule_version_id)
        ).all()
    )
    found = session.scalars(
        select(RuleVersion)
        .where(RuleVersion.rule_id == rule.id)
        .options(joinedload(RuleVersion.created_by))
        .order_by(RuleVersion.number.desc())
        .limit(SHOWN)
    ).all()
    titles = facts.activity_titles(session, rule.course_id)
    names = facts.badge_names(session, set().union(*(badges_of(version.criteria) for version in found)))
    return [
        VersionRow(
            number=version.number,
            sentence=describe(version.criteria, titles, names),
            said=drafts.draft_of(version),
            made_by=version.created_by.display_name,
            at=version.created_at,
            awards=counts.get(version.id, 0),
        )
        for version in found
    ]


def _undone_at(session: Session, rule: Rule) -> datetime | None:
    query = select(func.max(AwardRun.decided_at)).join(Award, Award.run_id == AwardRun.id)
    # Taking exceptions back pauses nothing, nor does taking back what was given by hand.
    query = query.where(AwardRun.status == RunStatus.UNDONE, AwardRun.cause != RunCause.EXCEPTION, ~Award.by_hand)
    query = query.where(Award.rule_id == rule.id)
    found = session.scalar(query)
    return found if found is not None and (rule.activated_at is None or found >= rule.activated_at) else None


def _twins(session: Session, rule: Rule) -> dict[int, str]:
    query = select(Rule).where(
        Rule.course_id == rule.course_id,
        Rule.badge_class_id == rule.badge_class_id,
        Rule.id != rule.id,
        Rule.status != RuleStatus.ARCHIVED,
    )
    return {twin.id: sentence_of(session, twin) for twin in session.scalars(query.order_by(Rule.id))}


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
