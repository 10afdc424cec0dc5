"""The people of a rule: how each learner stands, what a teacher has granted them, and whom only a word keeps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

from sqlalchemy.orm import Session, joinedload

from lti_tool.domain.criteria import activities_of, asks_approval, badges_of, describe, granted
from lti_tool.models import Enrolment, Person, Rule
from lti_tool.services import awarding, facts, rules, standings
from lti_tool.services.reports.common import BadgeView, badge_view
from lti_tool.services.reports.explanation import ExceptionView, exceptions_of_rule
from lti_tool.services.reports.learners import Cell, cells_of

PAGE_SIZE = 50
SHOWS = ("all", "approval", "exceptions")


@dataclass(frozen=True)
class Search:
    """Which learners are wanted: all, those who lack only an approval, or those with exceptions; by name, or one."""

    words: str = ""
    show: str = "all"
    person_id: int | None = None
    page: int = 1


@dataclass(frozen=True)
class PersonRow:
    """A learner, how they stand, and what was granted to them."""

    person_id: int
    name: str
    cell: Cell
    exceptions: list[ExceptionView]


@dataclass(frozen=True)
class PeopleReport:
    """One page of learners; `activities` are those that the rule asks for, by our key."""

    rule_id: int
    badge: BadgeView
    sentence: str
    status: str
    counts_until: datetime | None
    asks_approval: bool
    activities: list[tuple[int, str]]
    rows: list[PersonRow]
    page: int
    pages: int
    total: int


def people_report(session: Session, course_id: int, rule_id: int, search: Search) -> PeopleReport:
    """The learners of a course for one rule, 50 a page; raises NotFoundError for a rule of another course."""
    rule = rules.find(session, course_id, rule_id)
    wanted = _wanted(session, rule, search)
    pages = max(1, ceil(len(wanted) / PAGE_SIZE))
    page = min(max(1, search.page), pages)
    titles = facts.activity_titles(session, course_id)
    names = facts.badge_names(session, badges_of(rule.criteria))
    asked = sorted(activities_of(rule.criteria), key=lambda key: titles.get(key, ""))
    return PeopleReport(
        rule_id=rule.id,
        badge=badge_view(rule.badge_class),
        sentence=describe(rule.criteria, titles, names),
        status=rule.status.value,
        counts_until=rule.current.counts_until,
        asks_approval=asks_approval(rule.criteria),
        activities=[(key, titles[key]) for key in asked if key in titles],
        rows=_rows(session, rule, wanted[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]),
        page=page,
        pages=pages,
        total=len(wanted),
    )


def lacking_approval(session: Session, rule: Rule) -> set[int]:
    """The people who would have earned it, were they approved."""
    if not asks_approval(rule.criteria):
        return set()
    subject = standings.subject_of(rule)
    approved = replace(subject, ask=replace(rule.ask, criteria=granted(rule.criteria)))
    return standings.earners(session, approved) - standings.earners(session, subject)


def _wanted(session: Session, rule: Rule, search: Search) -> list[int]:
    """The keys of the learners, in order of their names."""
    query = awarding.learner_query(rule.course_id).with_only_columns(Enrolment.person_id)
    if search.person_id is not None:
        query = query.where(Enrolment.person_id == search.person_id)
    if search.words:
        words = search.words
        query = query.where(
            Person.name.icontains(words, autoescape=True) | Person.email.icontains(words, autoescape=True)
        )
    found = list(session.scalars(query))
    if search.show == "approval":
        lacking = lacking_approval(session, rule)
        return [key for key in found if key in lacking]
    if search.show == "exceptions":
        special = {view.person_id for view in exceptions_of_rule(session, rule)}
        return [key for key in found if key in special]
    return found


def _rows(session: Session, rule: Rule, people: Sequence[int]) -> list[PersonRow]:
    query = awarding.learner_query(rule.course_id).where(Enrolment.person_id.in_(people))
    enrolments = list(session.scalars(query.options(joinedload(Enrolment.person))))
    cells = cells_of(session, rule.course_id, [rule], people)
    found: dict[int, list[ExceptionView]] = {}
    for view in exceptions_of_rule(session, rule, list(people)):
        found.setdefault(view.person_id, []).append(view)
    return [
        PersonRow(e.person_id, e.person.display_name, cells[e.person_id][0], found.get(e.person_id, []))
        for e in enrolments
    ]
