"""How a whole course stands with what a rule asks: numbers of everybody, names of some; fast for 50,000 learners."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any

from sqlalchemy import Integer, Select, String, case, cast, func, select, type_coerce
from sqlalchemy.orm import Session

from lti_tool.domain.criteria import (
    Ask,
    Completed,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
    activities_of,
    badges_of,
    conditions,
)
from lti_tool.domain.decision import CLOSE, Decision, Facts, decide
from lti_tool.domain.events import ResultState
from lti_tool.models import Activity, Course, Enrolment, HoldReason, Person, Repeat, Result, Rule, RuleException
from lti_tool.models.result import STATE_COLUMNS, state_of
from lti_tool.services import awarding, facts, holding, repeats
from lti_tool.services.facts import FactBook

SHOWN = 100
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
# Where a moment lies.
NEVER, EARLY, LATE, INSIDE = range(4)
MOMENTS = ("graded_at", "progressed_at", "handed_in_at")
RELEASED = ("grade_released", "progress_released", "hand_in_released")
# Of somebody without a result.
NO_CLASS = -1
# A person, whether no launch and no roster tells a role, and whether no address is known.
Learner = tuple[int, int, int]


@dataclass(frozen=True)
class Subject:
    """What is looked at: an ask in a course, with the rule whose exceptions count and the badge that it is about.

    `repeat` says whose former awards of the badge keep them from earning it.
    """

    ask: Ask
    course_id: int
    rule_id: int | None = None
    badge_class_id: int | None = None
    repeat: Repeat = Repeat.ONCE


def subject_of(rule: Rule) -> Subject:
    """A rule as it is now."""
    return Subject(rule.ask, rule.course_id, rule.id, rule.badge_class_id, rule.current.repeat)


@dataclass(frozen=True)
class Standing:
    """How one learner stands: why, whether they have the badge, may earn it (again), and what would hold it back."""

    person_id: int
    name: str
    decision: Decision
    has_badge: bool
    may_earn: bool
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
    verdicts = _verdicts(session, subject, [learner[0] for learner in learners])
    owners, barred = repeats.holders(session, subject.badge_class_id, subject.course_id, subject.repeat)
    earned, close, unreachable, new = [], [], [], 0
    for learner, (is_earned, is_close) in zip(learners, verdicts, strict=True):
        if is_earned:
            earned.append(learner)
            if learner[0] not in barred:
                new += 1
                if _hold(course, learner) is not None:
                    unreachable.append(learner)
        elif is_close:
            close.append(learner)
    shown = list(dict.fromkeys(learner[0] for group in (earned, close, unreachable) for learner in group[:names]))
    book = _book(session, subject, shown)
    people = _names(session, shown)

    def named(group: Sequence[Learner]) -> list[Standing]:
        return [
            Standing(
                learner[0],
                people[learner[0]],
                decide(subject.ask, book.of(subject.rule_id or 0, learner[0])),
                learner[0] in owners,
                learner[0] not in barred,
                _hold(course, learner),
            )
            for learner in group[:names]
        ]

    counts = len(earned), len(close), len(unreachable), new, len(learners)
    return Survey(named(earned), named(close), named(unreachable), *counts)


def earners(session: Session, subject: Subject, people: list[int] | None = None) -> set[int]:
    """The people who have earned it: of the learners, or of those who are named."""
    if people is None:
        people = [learner[0] for learner in _learners(session, subject.course_id)]
    verdicts = _verdicts(session, subject, people)
    return {person_id for person_id, (earned, _) in zip(people, verdicts, strict=True) if earned}


def _learners(session: Session, course_id: int) -> Sequence[Learner]:
    query: Select[Any] = awarding.learner_query(course_id)
    # `coalesce` with an empty text: an address may be missing in both ways.
    address = func.coalesce(func.nullif(Person.chosen_address, ""), Person.email, "")
    has_no_role = Enrolment.launch_role.is_(None) & Enrolment.roster_role.is_(None)
    columns = (Enrolment.person_id, type_coerce(has_no_role, Integer), type_coerce(address == "", Integer))
    # Not by the session: it makes an object of each of 50,000 rows.
    rows: Any = session.connection().execute(query.with_only_columns(*columns, maintain_column_froms=True))
    found: Sequence[Learner] = rows.all()
    return found


def _names(session: Session, person_ids: list[int]) -> dict[int, str]:
    people = session.scalars(select(Person).where(Person.id.in_(person_ids)))
    return {person.id: person.display_name for person in people}


def _hold(course: Course, learner: Learner) -> HoldReason | None:
    # By values, not by rows: as `holding.why_held`, for people of whom `learner_query` says that they may earn.
    _, has_no_role, has_no_address = learner
    if has_no_role:
        return HoldReason.NOT_ON_ROSTER
    if has_no_address:
        return HoldReason.NO_EMAIL
    return holding.connection_fault(course)


def _verdicts(session: Session, subject: Subject, people: list[int]) -> list[tuple[bool, bool]]:
    """Earned and close for each of these people; who has the same to every condition shares a decision."""
    deciding = _Deciding(subject.ask)
    classes = [
        deciding.classes(activity_id, session.connection().execute(query).all())
        for activity_id, query in _result_queries(subject)
    ]
    keys = zip(*(map(found.get, people, repeat(NO_CLASS)) for found in classes), strict=True) if classes else repeat(())
    verdicts = [deciding.verdict(key) for _, key in zip(people, keys, strict=False)]
    special = _special_people(session, subject)
    places = {person_id: number for number, person_id in enumerate(people) if person_id in special}
    book = _book(session, subject, sorted(places))
    for person_id, number in places.items():
        decision = decide(subject.ask, book.of(subject.rule_id or 0, person_id))
        verdicts[number] = decision.earned, decision.is_close
    return verdicts


def _special_people(session: Session, subject: Subject) -> set[int]:
    """Who has more than results: exceptions, or badges that are asked for."""
    found: set[int] = set()
    if subject.rule_id is not None:
        found |= set(session.scalars(select(RuleException.person_id).where(RuleException.rule_id == subject.rule_id)))
    return found | facts.badges_of_people(session, badges_of(subject.ask.criteria)).keys()


def _result_queries(subject: Subject) -> Iterator[tuple[int, Select[Any]]]:
    """For each activity its different results, in `_columns` order, each with the people who have it.

    The database puts equal results together: a large course has few different ones, and reading rows takes longest.
    """
    for activity_id in sorted(activities_of(subject.ask.criteria)):
        columns = [
            (_window(column, subject.ask) if column.key in MOMENTS else column).label(column.key)
            for column in _columns(subject.ask, activity_id)
        ]
        results = (
            select(cast(Result.person_id, String).label("person"), *columns)
            .join(Activity, Activity.id == Result.activity_id)
            .where(Activity.course_id == subject.course_id, Result.activity_id == activity_id)
            .subquery()
        )
        person, *told = results.c
        yield activity_id, select(func.aggregate_strings(person, ","), *told).group_by(*told)


def _columns(ask: Ask, activity_id: int) -> list[Any]:
    """The columns of a result that the conditions on this activity look at; reading them is what takes longest."""
    asked = [c for c in conditions(ask.criteria) if activity_id in activities_of(c)]
    wanted = {"graded_at", "grading_progress"}
    if any(isinstance(c, ScoreAtLeast | PointsAtLeast) for c in asked):
        wanted |= {"score_given", "score_maximum", "grade_released"}
    if any(isinstance(c, Completed | Submitted) for c in asked):
        wanted |= {"progressed_at", "activity_progress", "progress_released"}
    if any(isinstance(c, Submitted) for c in asked):
        wanted |= {"handed_in_at", "hand_in_released"}
    return [column for column in STATE_COLUMNS if column.key in wanted]


def _window(moment: Any, ask: Ask) -> Any:
    """Where a moment lies, as a small number: moments themselves are nearly all different, and slow to read."""
    cases = [(moment.is_(None), NEVER)]
    if ask.counts_from is not None:
        cases.append((moment < ask.counts_from, EARLY))
    if ask.counts_until is not None:
        cases.append((moment > ask.counts_until, LATE))
    return case(*cases, else_=INSIDE)


def _moments(ask: Ask) -> dict[int, datetime | None]:
    """A moment for each place of `_window`."""
    start, end = ask.counts_from or LONG_AGO, ask.counts_until or LONG_AGO
    inside = ask.counts_from or ask.counts_until or LONG_AGO
    return {NEVER: None, EARLY: start - INSTANT, LATE: end + INSTANT, INSIDE: inside}


class _Deciding:
    """Decides once for each combination of what single conditions make of a result: met, close to it, or neither."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._activities = sorted(activities_of(ask.criteria))
        self._moments = _moments(ask)
        self._states: list[ResultState] = []
        self._verdicts: dict[tuple[int, ...], tuple[bool, bool]] = {}

    def classes(self, activity_id: int, rows: Iterable[Any]) -> dict[int, int]:
        """The class of each person's result in an activity: results of a class are the same to every condition."""
        keys = [column.key for column in _columns(self._ask, activity_id)]
        alone = [
            replace(self._ask, criteria=c) for c in conditions(self._ask.criteria) if activity_id in activities_of(c)
        ]
        by_levels: dict[tuple[int, ...], int] = {}
        found: dict[int, int] = {}
        for people, *values in rows:
            state = self._state(dict(zip(keys, values, strict=True)))
            levels = tuple(_level(decide(ask, Facts({activity_id: state}))) for ask in alone)
            if levels not in by_levels:
                by_levels[levels] = len(self._states)
                self._states.append(state)
            found.update(dict.fromkeys(map(int, people.split(",")), by_levels[levels]))
        return found

    def verdict(self, classes: tuple[int, ...]) -> tuple[bool, bool]:
        """Earned and close, for one person's classes in the order of the activities."""
        known = self._verdicts.get(classes)
        if known is None:
            pairs = zip(self._activities, classes, strict=True)
            results = {activity_id: self._states[number] for activity_id, number in pairs if number != NO_CLASS}
            decision = decide(self._ask, Facts(results))
            known = self._verdicts[classes] = decision.earned, decision.is_close
        return known

    def _state(self, values: Mapping[str, Any]) -> ResultState:
        told = {key: self._moments[value] if key in MOMENTS else value for key, value in values.items()}
        columns: list[Any] = [told.get(c.key, True if c.key in RELEASED else None) for c in STATE_COLUMNS]
        return state_of(*columns)


def _level(decision: Decision) -> int:
    return 2 if decision.earned else 1 if decision.progress >= CLOSE else 0


def _book(session: Session, subject: Subject, people: list[int]) -> FactBook:
    activity_ids = activities_of(subject.ask.criteria)
    rule_ids = [subject.rule_id] if subject.rule_id is not None else []
    return FactBook(
        facts.results_of(session, subject.course_id, people, activity_ids),
        facts.badges_of_people(session, badges_of(subject.ask.criteria), people),
        facts.exceptions_of(session, rule_ids, people),
        {},
    )
