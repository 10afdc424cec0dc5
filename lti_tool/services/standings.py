"""How a whole course stands with what a rule asks: numbers of everybody, names of some; fast for 50,000 learners."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import Ask, activities_of, badges_of, conditions
from lti_tool.domain.decision import CLOSE, Decision, Facts, decide
from lti_tool.domain.events import ResultState
from lti_tool.models import Activity, Award, Course, Enrolment, HoldReason, Person, Result, RuleException
from lti_tool.models.result import STATE_COLUMNS, state_of
from lti_tool.services import awarding, facts, holding
from lti_tool.services.facts import GONE, FactBook

SHOWN = 100
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Subject:
    """What is looked at: an ask in a course, with the rule whose exceptions count and the badge that it is about."""

    ask: Ask
    course_id: int
    rule_id: int | None = None
    badge_class_id: int | None = None


@dataclass(frozen=True)
class Standing:
    """How one learner stands: why, whether they have the badge, and what would keep it from going out."""

    person_id: int
    name: str
    decision: Decision
    has_badge: bool
    hold: HoldReason | None


@dataclass(frozen=True)
class Survey:
    """How a course stands: `earned`, `close` and `unreachable` name the first people, the numbers count everybody."""

    earned: list[Standing]
    close: list[Standing]
    unreachable: list[Standing]
    earned_count: int
    close_count: int
    unreachable_count: int
    # Who would get the badge now: has earned it and does not have it.
    new_count: int
    total: int

    @property
    def rest(self) -> int:
        """Everybody else."""
        return self.total - self.earned_count - self.close_count


def survey(session: Session, subject: Subject, names: int = SHOWN) -> Survey:
    """The numbers of everybody and the first so many names of each kind, in a constant number of queries."""
    course = session.get_one(Course, subject.course_id)
    learners = _learners(session, subject.course_id)
    verdicts = _verdicts(session, subject, [learner.person_id for learner in learners])
    owners = owners_of(session, subject.badge_class_id)
    holds = {learner.person_id: _hold(course, learner) for learner in learners}
    earned, close, unreachable, new = [], [], [], 0
    for learner in learners:
        is_earned, is_close = verdicts[learner.person_id]
        if is_earned:
            earned.append(learner)
            if learner.person_id not in owners:
                new += 1
                if holds[learner.person_id] is not None:
                    unreachable.append(learner)
        elif is_close:
            close.append(learner)
    shown = [learner.person_id for group in (earned, close, unreachable) for learner in group[:names]]
    book = _book(session, subject, list(dict.fromkeys(shown)))

    def named(group: Sequence[Row[Any]]) -> list[Standing]:
        return [
            Standing(
                learner.person_id,
                learner.name or f"Person {learner.sub[:12]}",
                decide(subject.ask, book.of(subject.rule_id or 0, learner.person_id)),
                learner.person_id in owners,
                holds[learner.person_id],
            )
            for learner in group[:names]
        ]

    counts = len(earned), len(close), len(unreachable), new, len(learners)
    return Survey(named(earned), named(close), named(unreachable), *counts)


def earners(session: Session, subject: Subject) -> set[int]:
    """The people who have earned it."""
    people = [learner.person_id for learner in _learners(session, subject.course_id)]
    return {person_id for person_id, (earned, _) in _verdicts(session, subject, people).items() if earned}


def owners_of(session: Session, badge_class_id: int | None) -> set[int]:
    """The people who have this badge, or are about to."""
    query = select(Award.person_id).where(Award.badge_class_id == badge_class_id, Award.status.not_in(GONE))
    return set(session.scalars(query)) if badge_class_id is not None else set()


def _learners(session: Session, course_id: int) -> Sequence[Row[Any]]:
    query: Select[Any] = awarding.learner_query(course_id)
    columns = (Person.name, Person.sub, Person.email, Person.chosen_address, Enrolment.launch_role)
    rows: Any = session.execute(
        query.with_only_columns(Enrolment.person_id, *columns, Enrolment.roster_role, maintain_column_froms=True)
    ).all()
    found: Sequence[Row[Any]] = rows
    return found


def _hold(course: Course, learner: Row[Any]) -> HoldReason | None:
    # By values, not by rows: as `holding.why_held`, for people of whom `learner_query` says that they may earn.
    if learner.launch_role is None and learner.roster_role is None:
        return HoldReason.NOT_ON_ROSTER
    if not (learner.chosen_address or learner.email):
        return HoldReason.NO_EMAIL
    return holding.connection_fault(course)


def _verdicts(session: Session, subject: Subject, people: list[int]) -> dict[int, tuple[bool, bool]]:
    """Earned and close for everybody; people whose results say the same to every condition share a decision."""
    special = _special_people(session, subject)
    deciding = _Deciding(subject.ask)
    states = _states(session, subject, deciding)
    verdicts = {person_id: deciding.verdict(states.get(person_id, {})) for person_id in people}
    book = _book(session, subject, sorted(special & verdicts.keys()))
    for person_id in special & verdicts.keys():
        decision = decide(subject.ask, book.of(subject.rule_id or 0, person_id))
        verdicts[person_id] = decision.earned, decision.is_close
    return verdicts


def _special_people(session: Session, subject: Subject) -> set[int]:
    """Who has more than results: exceptions, or badges that are asked for."""
    found: set[int] = set()
    if subject.rule_id is not None:
        found |= set(session.scalars(select(RuleException.person_id).where(RuleException.rule_id == subject.rule_id)))
    return found | facts.badges_of_people(session, badges_of(subject.ask.criteria)).keys()


def _states(session: Session, subject: Subject, deciding: "_Deciding") -> dict[int, dict[int, int]]:
    """For each person and activity the class of their result."""
    has_window = subject.ask.counts_from is not None or subject.ask.counts_until is not None
    # Moments and events are left out where nobody looks at them: reading them is what takes longest.
    columns = [
        column
        if has_window or column.key not in ("graded_at", "progressed_at")
        else (column.is_not(None)).label(column.key)
        for column in STATE_COLUMNS
        if not column.key.endswith("event_id")
    ]
    query = (
        select(Result.person_id, Result.activity_id, *columns)
        .join(Activity, Activity.id == Result.activity_id)
        .where(Activity.course_id == subject.course_id, Result.activity_id.in_(activities_of(subject.ask.criteria)))
    )
    found: dict[int, dict[int, int]] = {}
    for person_id, activity_id, *values in session.execute(query):
        found.setdefault(person_id, {})[activity_id] = deciding.class_of(activity_id, tuple(values))
    return found


class _Deciding:
    """Decides once for each combination of what single conditions make of a result: met, close to it, or neither."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._conditions = [c for c in conditions(ask.criteria) if activities_of(c)]
        self._classes: dict[tuple[int, tuple[Any, ...]], int] = {}
        self._seen: dict[tuple[int, tuple[int, ...]], int] = {}
        self._states: list[ResultState] = []
        self._verdicts: dict[frozenset[tuple[int, int]], tuple[bool, bool]] = {}

    def class_of(self, activity_id: int, values: tuple[Any, ...]) -> int:
        """The class of a result: results of a class are the same to every condition."""
        key = (activity_id, values)
        known = self._classes.get(key)
        if known is None:
            known = self._classes[key] = self._classify(activity_id, _state(values))
        return known

    def verdict(self, classes: Mapping[int, int]) -> tuple[bool, bool]:
        """Earned and close, for one person's classes by activity."""
        key = frozenset(classes.items())
        known = self._verdicts.get(key)
        if known is None:
            results = {activity_id: self._states[number] for activity_id, number in classes.items()}
            decision = decide(self._ask, Facts(results))
            known = self._verdicts[key] = decision.earned, decision.is_close
        return known

    def _classify(self, activity_id: int, state: ResultState) -> int:
        levels = tuple(self._levels(activity_id, state))
        number = self._seen.get((activity_id, levels))
        if number is None:
            number = self._seen[activity_id, levels] = len(self._states)
            self._states.append(state)
        return number

    def _levels(self, activity_id: int, state: ResultState) -> Iterator[int]:
        ask = self._ask
        for condition in self._conditions:
            if activity_id in activities_of(condition):
                alone = Ask(condition, ask.counts_from, ask.counts_until, ask.fully_graded)
                decision = decide(alone, Facts({activity_id: state}))
                yield 2 if decision.earned else 1 if decision.progress >= CLOSE else 0


def _state(values: tuple[Any, ...]) -> ResultState:
    graded_at, given, maximum, grading, released, progressed_at, progress, progress_released = values
    return state_of(
        _moment(graded_at), given, maximum, grading, released, None,
        _moment(progressed_at), progress, progress_released, None,
    )  # fmt: skip


def _moment(value: datetime | bool | None) -> datetime | None:
    return value if isinstance(value, datetime) else LONG_AGO if value else None


def _book(session: Session, subject: Subject, people: list[int]) -> FactBook:
    activity_ids = activities_of(subject.ask.criteria)
    rule_ids = [subject.rule_id] if subject.rule_id is not None else []
    return FactBook(
        facts.results_of(session, subject.course_id, people, activity_ids),
        facts.badges_of_people(session, badges_of(subject.ask.criteria), people),
        facts.exceptions_of(session, rule_ids, people),
        {},
    )
