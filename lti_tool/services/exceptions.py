"""What teachers grant to single people in a rule: more time, an activity that need not be done, an approval."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import activities_of
from lti_tool.errors import InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import AwardRun, Course, Enrolment, ExceptionKind, Person, Rule, RuleException, RunCause
from lti_tool.services import awarding, evaluation, rules, runs
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

LONGEST_NOTE = 500


@dataclass(frozen=True)
class Grant:
    """What is granted: an extension until a moment, an activity to be excused from, or an approval; and why."""

    kind: ExceptionKind
    activity_id: int | None = None
    until: datetime | None = None
    note: str = ""


@dataclass(frozen=True)
class Granted:
    """To how many learners something was granted, and what that awards: the awards that go out now, or the run."""

    people: int
    awards: int
    run: AwardRun | None


def grant(
    tools: Toolbox, course_id: int, rule_id: int, person_ids: list[int], told: Grant, actor_id: int, now: datetime
) -> Granted:
    """Grant something to learners of the course. Raises NotFoundError, InvalidInputError.

    What they earn by it is a run: one press for a whole class may need a second look, and can be taken back.
    """
    with tools.database.write() as session:
        # The course before its people, as events do: an edit waits for us, or we for it and decide by what it left.
        session.get_one(Course, course_id, with_for_update={"read": True})
        rule = rules.find(session, course_id, rule_id)
        _check(rule, told)
        learners = learners_of(session, course_id, person_ids, lock=True)
        made = [
            RuleException(
                rule_id=rule.id,
                person_id=enrolment.person_id,
                kind=told.kind,
                activity_id=told.activity_id,
                until=told.until,
                note=told.note.strip(),
                created_by_id=actor_id,
                created_at=now,
            )
            for enrolment in learners
        ]
        session.add_all(made)
        session.flush()
        who = session.get_one(Person, actor_id).display_name
        run = runs.begin(session, course_id, RunCause.EXCEPTION, who, now, rule_id=rule.id)
        opened = evaluation.evaluate(session, rule.course, learners, now, run)
        runs.finish(session, run, tools.settings, now)
        if opened:
            for one in made:
                one.run_id = run.id
        session.commit()
        log.info("exception_granted", rule_id=rule_id, kind=told.kind.value, people=len(learners), awards=len(opened))
        return Granted(len(learners), len(opened), run if opened else None)


def take_back(tools: Toolbox, course_id: int, rule_id: int, exception_id: int, now: datetime) -> None:
    """Take an exception back; an award that it earned is kept or not, as the rule says of falling results."""
    with tools.database.write() as session:
        # As above: an activity that gets its name moves exceptions.
        session.get_one(Course, course_id, with_for_update={"read": True})
        rule = rules.find(session, course_id, rule_id)
        granted = session.get(RuleException, exception_id)
        if granted is None or granted.rule_id != rule.id:
            raise NotFoundError("There is no such exception in this rule.")
        enrolment = session.scalar(select(Enrolment).filter_by(course_id=course_id, person_id=granted.person_id))
        session.delete(granted)
        if enrolment is not None:
            awarding.decide_again(session, enrolment, now)
        session.commit()


def learners_of(session: Session, course_id: int, person_ids: list[int], *, lock: bool = False) -> list[Enrolment]:
    """The learners of a course with these keys; raises NotFoundError when one is none of them."""
    wanted = set(person_ids)
    if not wanted:
        raise InvalidInputError("Choose at least one learner.")
    query = awarding.learner_query(course_id).where(Enrolment.person_id.in_(wanted))
    if lock:
        # In the order in which events lock them.
        query = query.order_by(None).order_by(Enrolment.person_id).with_for_update(of=Enrolment)
    found = list(session.scalars(query))
    if len(found) != len(wanted):
        raise NotFoundError("Somebody whom you chose is not a learner of this course.")
    return found


def _check(rule: Rule, told: Grant) -> None:
    if len(told.note) > LONGEST_NOTE:
        raise InvalidInputError(f"note: must have at most {LONGEST_NOTE} characters.")
    if told.kind is ExceptionKind.EXTENSION:
        if rule.current.counts_until is None:
            raise InvalidInputError("This badge has no last day, so nobody needs more time.")
        if told.until is None or told.until <= rule.current.counts_until:
            raise InvalidInputError("until: the new end must be later than the last day of the rule.")
    if told.kind is ExceptionKind.EXCUSED and told.activity_id not in activities_of(rule.criteria):
        raise InvalidInputError("activity: choose one that the rule asks for.")
