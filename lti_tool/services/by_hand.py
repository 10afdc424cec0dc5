"""Awards and revocations by a teacher's hand: one, many, or a table (CSV), checked whole before anything happens."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.errors import ConflictError, InvalidInputError
from lti_tool.logs import get_logger
from lti_tool.models import Award, AwardRun, Enrolment, Person, RevokedBy, Rule, RuleStatus, RunCause
from lti_tool.services import awarding, exceptions, issuers, obstacles, repeats, revocation, rules, runs
from lti_tool.services.awarding import Achievement
from lti_tool.services.evaluation import ALIVE
from lti_tool.services.obstacles import Obstacle
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

LONGEST_NOTE = 255
MOST_LINES = 5000
COLUMNS = ("learner", "action", "note")
ACTIONS = ("award", "revoke")
# What stands behind the last column; no name of a column, which are trimmed.
MORE = " more "
NOT_ON = "Switch the rule on first: learners do not see a badge that is a draft."


@dataclass(frozen=True)
class Line:
    """One line of a table: whom, what, why; and its number there."""

    person_id: int
    action: str
    note: str
    number: int = 0


@dataclass(frozen=True)
class Plan:
    """What would come of a line: `effect` is award, revoke or none, and for none what stands in its way."""

    line: Line
    person_name: str
    effect: str
    obstacle: Obstacle | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it: how many were awarded, revoked, or left as they were; and whether awards wait for a person."""

    awarded: int
    revoked: int
    unchanged: int
    run: AwardRun | None


def read_table(session: Session, course_id: int, rule_id: int, text: str) -> list[Line]:
    """The lines of a table with the columns learner (address or id in the LMS), action and note.

    Raises InvalidInputError with every fault, each with the number of its line.
    """
    rules.find(session, course_id, rule_id)
    rows = _rows(text)
    people = _people(session, course_id)
    lines: list[Line] = []
    faults: list[str] = []
    seen: set[int] = set()
    for number, row in rows:
        learner, action = row["learner"].strip(), (row["action"].strip() or "award").lower()
        found = people.get(learner.casefold(), set())
        note = " ".join(row["note"].split())
        fault = None
        if row[MORE].strip():
            fault = "it has more cells than the first line names; put quotes around a text with commas in it"
        elif not found:
            fault = f"“{learner[:80]}” is not a learner of this course"
        elif len(found) > 1:
            fault = f"“{learner[:80]}” means several learners of this course; use the id in the LMS"
        elif action not in ACTIONS:
            fault = f"the action must be award or revoke, not “{action[:40]}”"
        elif not 1 <= len(note) <= LONGEST_NOTE:
            fault = f"the note must have 1 to {LONGEST_NOTE} characters"
        elif found & seen:
            fault = f"“{learner[:80]}” stands in an earlier line already"
        if fault:
            faults.append(f"Line {number}: {fault}.")
            continue
        seen |= found
        lines.append(Line(next(iter(found)), action, note, number))
    if faults:
        raise InvalidInputError("\n".join(faults[:50]), "Nothing was changed: the table has faults")
    return lines


def plan(session: Session, course_id: int, rule_id: int, lines: Sequence[Line]) -> list[Plan]:
    """What `carry_out` would make of each line now; nothing is changed. Raises as that does."""
    rule = _check(session, course_id, rule_id, lines)
    people = [line.person_id for line in lines]
    learners = {e.person_id: e.person for e in exceptions.learners_of(session, course_id, people)}
    former = awarding.awards_of(session, [rule.badge_class_id], people)
    plans = []
    for line in lines:
        awards = former.get((line.person_id, rule.badge_class_id), [])
        obstacle = _obstacle(rule, line, awards)
        effect = "none" if obstacle else line.action
        plans.append(Plan(line, learners[line.person_id].display_name, effect, obstacle))
    return plans


def carry_out(
    tools: Toolbox, course_id: int, rule_id: int, lines: Sequence[Line], actor_id: int, now: datetime
) -> Outcome:
    """Award and revoke as the lines say, all in one; raises ConflictError when the account may not revoke."""
    with tools.database.write() as session:
        rule = _check(session, course_id, rule_id, lines)
        who = session.get_one(Person, actor_id).display_name
        given = [line for line in lines if line.action == "award"]
        people = exceptions.learners_of(session, course_id, [line.person_id for line in lines], lock=True)
        learners = {enrolment.person_id: enrolment for enrolment in people}
        run = runs.begin(session, course_id, RunCause.BY_HAND, who, now, rule_id=rule.id) if given else None
        made = [_award(session, rule, learners[line.person_id], line.note, who, now, run) for line in given]
        opened = [award for award in made if award is not None]
        revoked = sum(_revoke(session, rule, line, who, now) for line in lines if line.action == "revoke")
        if run is not None:
            runs.finish(session, run, tools.settings, now)
        session.commit()
        log.info("by_hand", rule_id=rule_id, awarded=len(opened), revoked=revoked)
        return Outcome(len(opened), revoked, len(lines) - len(opened) - revoked, run)


def checked_note(note: str) -> str:
    """The note, in one line; raises InvalidInputError for none or too long a one."""
    note = " ".join(note.split())
    if not 1 <= len(note) <= LONGEST_NOTE:
        raise InvalidInputError(f"note: say why, in 1 to {LONGEST_NOTE} characters. It stands in the award's history.")
    return note


def _check(session: Session, course_id: int, rule_id: int, lines: Sequence[Line]) -> Rule:
    """The rule, when it may award and the account may do what the lines say; raises NotFoundError, ConflictError."""
    rule = rules.find(session, course_id, rule_id)
    if rule.status in (RuleStatus.ARCHIVED, RuleStatus.DRAFT):
        raise ConflictError(rules.GONE_RULE if rule.status is RuleStatus.ARCHIVED else NOT_ON)
    if any(line.action == "revoke" for line in lines) and not _may_revoke(rule):
        raise ConflictError(issuers.STAFF_ONLY)
    return rule


def _may_revoke(rule: Rule) -> bool:
    return rule.badge_class is not None and rule.course.may_revoke(rule.badge_class.issuer_entity_id)


def _obstacle(rule: Rule, line: Line, awards: Sequence[Award]) -> Obstacle | None:
    if line.action == "award":
        happens = repeats.number_after(rule, awards, by_hand=True) is not None
        return None if happens else obstacles.to_awarding(rule, awards)
    own = [award for award in awards if award.rule_id == rule.id and award.status in ALIVE]
    happens = bool(own) and not own[-1].revocation_reason
    return None if happens else obstacles.to_revoking(rule, awards)


def _award(
    session: Session, rule: Rule, enrolment: Enrolment, note: str, who: str, now: datetime, run: AwardRun | None
) -> Award | None:
    detail = f"{note} ({who})"
    reason = {"activity": "Awarded by hand", "met": True, "detail": detail, "occurred_at": now.isoformat()}
    earned = Achievement(
        "Awarded by hand", detail, [reason | {"event": None, "depth": 0, "group": False}], now, by_hand=True
    )
    return awarding.open_award(session, rule, enrolment, earned, now, run)


def _revoke(session: Session, rule: Rule, line: Line, who: str, now: datetime) -> bool:
    query = (
        select(Award)
        .where(Award.rule_id == rule.id, Award.person_id == line.person_id, Award.status.in_(ALIVE))
        .order_by(Award.number.desc())
        .with_for_update()
    )
    found = session.scalars(query).first()
    return found is not None and revocation.start(session, found, line.note, who, RevokedBy.TEACHER, now)


def _rows(text: str) -> list[tuple[int, dict[str, str]]]:
    text = text.removeprefix("\ufeff")
    first = text.split("\n", 1)[0]
    # Spreadsheets of half the world write semicolons.
    # Lines may end in any of three ways.
    lines = io.StringIO(text, newline=None)
    reader = csv.DictReader(lines, restkey=MORE, delimiter=";" if first.count(";") > first.count(",") else ",")
    try:
        names = {(name or "").strip().lower(): name for name in reader.fieldnames or []}
    except csv.Error as error:
        raise InvalidInputError(f"The first line cannot be read: {error}.") from None
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise InvalidInputError(f"The first line must name the columns {', '.join(COLUMNS)}; {missing[0]} is missing.")
    rows = []
    try:
        for row in reader:
            values = {column: row.get(names[column]) or "" for column in COLUMNS}
            values[MORE] = "".join(row.get(MORE) or ())
            if any(value.strip() for value in values.values()):
                rows.append((reader.line_num, values))
    except csv.Error as error:
        raise InvalidInputError(f"Line {reader.line_num} cannot be read: {error}.") from None
    if not 1 <= len(rows) <= MOST_LINES:
        raise InvalidInputError(f"The table must have 1 to {MOST_LINES} lines below the names of its columns.")
    return rows


def _people(session: Session, course_id: int) -> dict[str, set[int]]:
    query = awarding.learner_query(course_id).with_only_columns(Person.id, Person.sub, Person.email)
    people: dict[str, set[int]] = {}
    for person_id, sub, email in session.execute(query):
        for name in filter(None, (sub, email)):
            people.setdefault(name.casefold(), set()).add(person_id)
    return people
