"""Gathers what is known of people in a course, for deciding: results, badges, and what teachers have granted."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.db import chunks
from lti_tool.domain.criteria import activities_of, badges_of
from lti_tool.domain.decision import Decision, Facts, decide
from lti_tool.domain.events import ResultState
from lti_tool.models import (
    Activity,
    Award,
    AwardRun,
    AwardStatus,
    BadgeClass,
    ExceptionKind,
    Result,
    Rule,
    RuleException,
)
from lti_tool.models.award import UNDECIDED
from lti_tool.models.result import STATE_COLUMNS, state_of

# An award that is being taken back earns nothing any more.
GONE = (AwardStatus.REVOKING, AwardStatus.REVOKED)


@dataclass(frozen=True)
class FactBook:
    """Facts of several people for several rules, read in a constant number of queries."""

    results: dict[int, dict[int, ResultState]]
    badges: dict[int, dict[int, datetime]]
    exceptions: dict[tuple[int, int], list[RuleException]]
    titles: dict[int, str]
    badge_names: dict[int, str] = field(default_factory=dict)

    def of(self, rule_id: int, person_id: int) -> Facts:
        """What is known of one person for one rule."""
        granted = self.exceptions.get((rule_id, person_id), [])
        return Facts(
            self.results.get(person_id, {}),
            self.badges.get(person_id, {}),
            approved_at=max((e.created_at for e in granted if e.kind is ExceptionKind.APPROVED), default=None),
            extended_until=max((e.until for e in granted if e.until is not None), default=None),
            excused=frozenset(e.activity_id for e in granted if e.activity_id and e.kind is ExceptionKind.EXCUSED),
        )

    def decide(self, rule: Rule, person_id: int) -> Decision:
        """Decide by the current version of a rule."""
        return decide(rule.ask, self.of(rule.id, person_id))


def read_facts(
    session: Session, course_id: int, rules: Sequence[Rule], person_ids: Sequence[int] | None = None
) -> FactBook:
    """Everything that these rules of a course ask for, of everybody or of some."""
    asked = [rule.criteria for rule in rules]
    badge_ids = set().union(*(badges_of(criteria) for criteria in asked))
    activity_ids = set().union(*(activities_of(criteria) for criteria in asked))
    return FactBook(
        results_of(session, course_id, person_ids, activity_ids if rules else None),
        badges_of_people(session, badge_ids, person_ids),
        exceptions_of(session, [rule.id for rule in rules], person_ids),
        activity_titles(session, course_id),
        badge_names(session, badge_ids),
    )


def results_of(
    session: Session,
    course_id: int,
    person_ids: Sequence[int] | None = None,
    activity_ids: Collection[int] | None = None,
) -> dict[int, dict[int, ResultState]]:
    """The results in a course by person and then by activity; of everybody or of some, in all activities or in some."""
    query = (
        select(Result.person_id, Result.activity_id, *STATE_COLUMNS)
        .join(Activity, Activity.id == Result.activity_id)
        .where(Activity.course_id == course_id)
    )
    if activity_ids is not None:
        query = query.where(Result.activity_id.in_(activity_ids))
    found: dict[int, dict[int, ResultState]] = {}
    for ids in _chunks(person_ids):
        for person_id, activity_id, *state in session.execute(
            query if ids is None else query.where(Result.person_id.in_(ids))
        ):
            found.setdefault(person_id, {})[activity_id] = state_of(*state)
    return found


def badges_of_people(
    session: Session, badge_class_ids: Collection[int], person_ids: Sequence[int] | None = None
) -> dict[int, dict[int, datetime]]:
    """Who has earned which of these badge classes, and when first; by person and then by badge class.

    What waits for a person's word (an approval, the brake) is not earned yet: it may be refused.
    """
    found: dict[int, dict[int, datetime]] = {}
    if not badge_class_ids:
        return found
    query = (
        select(Award.person_id, Award.badge_class_id, func.min(Award.achieved_at))
        .outerjoin(AwardRun, AwardRun.id == Award.run_id)
        .where(Award.badge_class_id.in_(badge_class_ids), Award.status.not_in(GONE), ~Award.awaits_approval)
        .where(AwardRun.id.is_(None) | AwardRun.status.not_in(UNDECIDED))
        .group_by(Award.person_id, Award.badge_class_id)
    )
    for ids in _chunks(person_ids):
        for person_id, badge_class_id, at in session.execute(
            query if ids is None else query.where(Award.person_id.in_(ids))
        ):
            found.setdefault(person_id, {})[badge_class_id] = at
    return found


def exceptions_of(
    session: Session, rule_ids: Sequence[int], person_ids: Sequence[int] | None = None
) -> dict[tuple[int, int], list[RuleException]]:
    """What teachers have granted, by rule and person."""
    query = select(RuleException).where(RuleException.rule_id.in_(rule_ids)).order_by(RuleException.id)
    found: dict[tuple[int, int], list[RuleException]] = {}
    for ids in _chunks(person_ids):
        for granted in session.scalars(query if ids is None else query.where(RuleException.person_id.in_(ids))):
            found.setdefault((granted.rule_id, granted.person_id), []).append(granted)
    return found


def activity_titles(session: Session, course_id: int) -> dict[int, str]:
    """The titles of a course's activities by our key."""
    query = select(Activity.id, Activity.title).where(Activity.course_id == course_id)
    return {row.id: row.title for row in session.execute(query)}


def badge_names(session: Session, badge_class_ids: Collection[int]) -> dict[int, str]:
    """The names of badge classes by our key."""
    if not badge_class_ids:
        return {}
    query = select(BadgeClass.id, BadgeClass.name).where(BadgeClass.id.in_(badge_class_ids))
    return {row.id: row.name for row in session.execute(query)}


def _chunks(person_ids: Sequence[int] | None) -> Iterable[Sequence[int] | None]:
    return [None] if person_ids is None else chunks(person_ids)
