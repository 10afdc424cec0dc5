"""Who has what: the learners of a course against its badges, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.decision import Decision
from lti_tool.models import Award, Enrolment, Person, Rule, RuleStatus
from lti_tool.services import awarding, facts, repeats
from lti_tool.services.reports.common import STATE, BadgeView, badge_view, label_of, state_of
from lti_tool.services.rules import is_of_interest

PAGE_SIZE = 50
# What can be asked for: everybody, those with an award in a state, those with none.
SHOWS = ("all", "issued", "on_the_way", "held", "failed", "revoked", "none")


@dataclass(frozen=True)
class Cell:
    """How one learner stands with one rule; `progress` is 0 to 1."""

    rule_id: int
    state: str
    label: str
    progress: float
    award_id: int | None


@dataclass(frozen=True)
class LearnerRow:
    """One learner with a cell for each rule."""

    person_id: int
    name: str
    note: str | None
    cells: list[Cell]


@dataclass(frozen=True)
class LearnerTable:
    """One page of the table."""

    head: list[BadgeView]
    rows: list[LearnerRow]
    page: int
    pages: int
    total: int


def learner_table(session: Session, course_id: int, query: str, page: int, show: str = "all") -> LearnerTable:
    """The learners whose name or address contains `query`, 50 a page, pages from 1; `show` is one of `SHOWS`."""
    rules = session.scalars(
        select(Rule)
        .where(Rule.course_id == course_id, is_of_interest())
        .options(joinedload(Rule.badge_class))
        .order_by(Rule.status == RuleStatus.ARCHIVED, Rule.id)
    ).all()
    learners = awarding.learner_query(course_id).options(joinedload(Enrolment.person))
    if query:
        learners = learners.where(
            Person.name.icontains(query, autoescape=True) | Person.email.icontains(query, autoescape=True)
        )
    if show != "all":
        awards = select(Award.id).where(Award.course_id == course_id, Award.person_id == Enrolment.person_id)
        wanted = [status for status, state in STATE.items() if state == show]
        learners = learners.where(awards.where(Award.status.in_(wanted)).exists() if wanted else ~awards.exists())
    total = session.scalar(select(func.count()).select_from(learners.order_by(None).subquery())) or 0
    pages = max(1, ceil(total / PAGE_SIZE))
    page = min(max(1, page), pages)
    shown = session.scalars(learners.limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)).all()
    rows = _rows(session, course_id, list(rules), list(shown))
    return LearnerTable([_head(rule) for rule in rules], rows, page, pages, total)


def cells_of(session: Session, course_id: int, rules: Sequence[Rule], people: Sequence[int]) -> dict[int, list[Cell]]:
    """For each of these people (a page of them) a cell for each rule."""
    book = facts.read_facts(session, course_id, rules, people)
    awards = awarding.awards_of(session, [rule.badge_class_id for rule in rules], people)

    def latest(rule: Rule, person_id: int) -> Award | None:
        return repeats.latest_of(rule, awards.get((person_id, rule.badge_class_id), []))

    return {key: [cell(rule, latest(rule, key), book.decide(rule, key)) for rule in rules] for key in people}


def _head(rule: Rule) -> BadgeView:
    view = badge_view(rule.badge_class)
    return replace(view, name=f"{view.name} (archived)") if rule.status is RuleStatus.ARCHIVED else view


def cell(rule: Rule, award: Award | None, decision: Decision) -> Cell:
    """How somebody stands with a rule, who has this award of its badge, and for whom the results say this."""
    if award is not None:
        # A badge earned in another course is told, but that course's award page is behind its wall.
        is_ours = award.course_id == rule.course_id
        return Cell(rule.id, state_of(award), label_of(award), 1.0, award.id if is_ours else None)
    if rule.status is RuleStatus.ARCHIVED:
        return Cell(rule.id, "none", "–", 0.0, None)
    if decision.earned:
        label = "Earned, being decided" if rule.status is RuleStatus.ACTIVE else "Earned, rule not on"
        return Cell(rule.id, "progress", label, 1.0, None)
    state = "progress" if decision.progress else "none"
    return Cell(rule.id, state, _missing(decision), decision.progress, None)


def _missing(decision: Decision) -> str:
    """What is missing, in short: of several conditions only how many."""
    steps = decision.root.steps
    if len(decision.reasons) == 1:
        return decision.detail
    return f"{steps} {'condition is' if steps == 1 else 'conditions are'} missing."


def _rows(session: Session, course_id: int, rules: list[Rule], enrolments: list[Enrolment]) -> list[LearnerRow]:
    cells = cells_of(session, course_id, rules, [enrolment.person_id for enrolment in enrolments])
    return [
        LearnerRow(
            enrolment.person_id,
            enrolment.person.display_name,
            None if enrolment.person.email else "No e-mail address",
            cells[enrolment.person_id],
        )
        for enrolment in enrolments
    ]
