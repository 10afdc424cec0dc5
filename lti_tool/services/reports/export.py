"""A whole course as data: each learner and rule with every condition; piece by piece, so that any size works."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import chunks
from lti_tool.domain.criteria import badges_of, conditions, describe
from lti_tool.models import Award, Course, Enrolment, Person, Rule
from lti_tool.services import awarding, facts, repeats, rules
from lti_tool.services.facts import FactBook
from lti_tool.services.reports.common import ReasonView, events_of, reason_views, with_event
from lti_tool.services.reports.learners import cell
from lti_tool.toolbox import Toolbox

# A spreadsheet takes what begins so for a formula (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")
FIRST = (
    "learner", "learner_id", "email", "badge", "rule", "rule_id", "rule_status", "rule_version", "state", "status",
    "percent", "award_id", "award_version", "by_hand", "recipient", "assertion_url", "achieved_at", "issued_at",
)  # fmt: skip
EACH = ("condition", "met", "detail", "result_at", "event", "source")


@dataclass(frozen=True)
class Row:
    """How one learner stands with one rule; `percent` is how much of the way is done, 0 to 100."""

    learner: str
    learner_id: str
    email: str | None
    badge: str
    rule: str
    rule_id: int
    rule_status: str
    rule_version: int
    state: str
    status: str
    percent: int
    award_id: int | None
    award_version: int | None
    by_hand: bool
    recipient: str | None
    assertion_url: str | None
    achieved_at: datetime | None
    issued_at: datetime | None
    conditions: list[ReasonView]


@dataclass(frozen=True)
class Scope:
    """What is exported: rules of a course, with their sentences; and of whom, in order of names."""

    course_id: int
    title: str
    rule_ids: list[int]
    sentences: dict[int, str]
    people: list[int]
    most_conditions: int


def scope(session: Session, course_id: int, rule_id: int | None) -> Scope:
    """All rules of a course that are in use or have awarded, or one of any kind; raises NotFoundError."""
    query = select(Rule).where(Rule.course_id == course_id, rules.is_of_interest()).order_by(Rule.id)
    chosen = [rules.find(session, course_id, rule_id)] if rule_id is not None else list(session.scalars(query))
    titles = facts.activity_titles(session, course_id)
    names = facts.badge_names(session, set().union(*(badges_of(rule.criteria) for rule in chosen)))
    course = session.get_one(Course, course_id)
    return Scope(
        course_id,
        course.title or course.label,
        [rule.id for rule in chosen],
        {rule.id: describe(rule.criteria, titles, names) for rule in chosen},
        list(session.scalars(awarding.learner_query(course_id).with_only_columns(Enrolment.person_id))),
        max((len(list(conditions(rule.criteria))) for rule in chosen), default=0),
    )


def csv_pieces(tools: Toolbox, chosen: Scope) -> Iterator[str]:
    """A table with one line for each learner and rule; the conditions follow one another to the right."""
    # With a mark of its coding, for without one spreadsheets read UTF-8 wrongly.
    yield "\ufeff"
    head: list[object] = [*FIRST, *(f"{name}_{n}" for n in range(1, chosen.most_conditions + 1) for name in EACH)]
    yield _csv([head])
    for rows in _chunks(tools, chosen):
        yield _csv([_cells(row, len(head)) for row in rows])


def json_pieces(tools: Toolbox, chosen: Scope) -> Iterator[str]:
    """An object with the course's title and a list of rows."""
    yield f'{{"course": {json.dumps(chosen.title)}, "rows": ['
    separator = "\n"
    for rows in _chunks(tools, chosen):
        for row in rows:
            yield separator + json.dumps(_plain(row), default=datetime.isoformat)
            separator = ",\n"
    yield "\n]}\n"


def harmless(value: object) -> str:
    """A cell as text that no spreadsheet takes for a formula."""
    text = "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _chunks(tools: Toolbox, chosen: Scope) -> Iterator[list[Row]]:
    """The rows of some hundred learners at a time, each read by a constant number of queries."""
    for people in chunks(chosen.people):
        # No transaction is held while a slow reader takes its time.
        with tools.database.read() as session:
            rows = _rows(session, chosen, people)
        yield rows


def _rows(session: Session, chosen: Scope, people: Sequence[int]) -> list[Row]:
    found = session.scalars(
        select(Rule).where(Rule.id.in_(chosen.rule_ids)).options(joinedload(Rule.badge_class)).order_by(Rule.id)
    ).all()
    book = facts.read_facts(session, chosen.course_id, found, people)
    awards = awarding.awards_of(session, [rule.badge_class_id for rule in found], people)
    by_key = {person.id: person for person in session.scalars(select(Person).where(Person.id.in_(people)))}
    rows = [
        _row(chosen, rule, by_key[key], repeats.latest_of(rule, awards.get((key, rule.badge_class_id), [])), book)
        for key in people
        if key in by_key
        for rule in found
    ]
    return _with_events(session, rows)


def _row(chosen: Scope, rule: Rule, person: Person, award: Award | None, book: FactBook) -> Row:
    decision = book.decide(rule, person.id)
    shown = cell(rule, award, decision)
    own = award if award is not None and award.course_id == rule.course_id else None
    return Row(
        learner=person.display_name,
        learner_id=person.sub,
        email=person.email,
        badge=rule.badge_class.name,
        rule=chosen.sentences[rule.id],
        rule_id=rule.id,
        rule_status=rule.status.value,
        rule_version=rule.version,
        state=shown.state,
        status=shown.label,
        percent=int(decision.progress * 100),
        award_id=own.id if own else None,
        award_version=own.rule_version.number if own else None,
        by_hand=own.by_hand if own else False,
        recipient=own.recipient if own else None,
        assertion_url=own.open_badge_id if own else None,
        achieved_at=own.achieved_at if own else None,
        issued_at=own.issued_at if own else None,
        conditions=[reason for reason in reason_views(decision, book) if not reason.is_group],
    )


def _with_events(session: Session, rows: list[Row]) -> list[Row]:
    events = events_of(session, {r.event_id for row in rows for r in row.conditions if r.event_id is not None})
    for row in rows:
        row.conditions[:] = [with_event(reason, events) for reason in row.conditions]
    return rows


def _plain(row: Row) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name != "conditions"} | {
        "conditions": [_plain_condition(reason) for reason in row.conditions]
    }


def _plain_condition(reason: ReasonView) -> dict[str, Any]:
    event = reason.event
    return {
        "condition": reason.activity,
        "met": reason.met,
        "detail": reason.detail,
        "percent": int(reason.progress * 100),
        "result_at": reason.occurred_at,
        "event": event.delivery_id if event else None,
        "source": event.source if event else None,
        "received_at": event.received_at if event else None,
    }


def _cells(row: Row, width: int) -> list[object]:
    plain = _plain(row)
    cells = [plain[name] for name in FIRST] + [part[name] for part in plain["conditions"] for name in EACH]
    return cells + [None] * (width - len(cells))


def _csv(rows: list[list[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([[harmless(value) for value in row] for row in rows])
    return text.getvalue()
