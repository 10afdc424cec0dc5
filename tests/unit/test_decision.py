"""Whether results earn a badge, as sentences; and what holds for every rule and every result."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lti_tool.domain.criteria import (
    Approved,
    Ask,
    BadgeEarned,
    Completed,
    Criteria,
    Group,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
    activities_of,
    all_of,
    any_of,
)
from lti_tool.domain.decision import Facts, Reason, decide
from lti_tool.domain.events import ActivityProgress, GradeFact, GradingProgress, ProgressFact, ResultState
from tests.unit.rule_strategies import ACTIVITIES, asks, completions, facts, grades, hand_ins, progresses, states

QUIZ, LAB, ESSAY = 1, 2, 3
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FULL = GradingProgress.FULLY_GRADED


def grade(
    given: float | None,
    maximum: float = 10,
    *,
    at: datetime = NOON,
    grading: GradingProgress = FULL,
    released: bool = True,
) -> ResultState:
    return ResultState(grade=GradeFact(at, given, maximum, grading, released))


def progress(told: str, *, at: datetime = NOON, released: bool = True) -> ResultState:
    return ResultState().after(None, ProgressFact(at, ActivityProgress(told), released))


def earned(criteria: Criteria, results: dict[int, ResultState]) -> bool:
    return decide(Ask(criteria), Facts(results)).earned


@pytest.mark.parametrize(
    ("given", "maximum", "needed", "is_earned"),
    [
        (8, 10, 80, True),
        (7.99, 10, 80, False),
        (12, 10, 80, True),
        (0, 10, 80, False),
        (4.35, 5, 87, True),
        (0.57, 0.57, 100, True),
        (29, 100, 29, True),
        (2, 3, 66.67, False),
    ],
)
def test_a_score_earns_from_the_threshold_on(given: float, maximum: float, needed: float, is_earned: bool) -> None:
    assert earned(ScoreAtLeast(QUIZ, needed), {QUIZ: grade(given, maximum)}) is is_earned


def test_points_count_whatever_the_maximum() -> None:
    assert earned(PointsAtLeast(QUIZ, 7), {QUIZ: grade(7, 100)})
    assert not earned(PointsAtLeast(QUIZ, 7), {QUIZ: grade(6.5, 7)})


def test_a_grade_beyond_all_measure_is_a_percentage_all_the_same() -> None:
    """It must not stop the delivery that it came in."""
    assert GradeFact(NOON, 1e308, 1).percent == 10**9


def test_an_event_without_a_maximum_has_points_but_no_percentage() -> None:
    told = {QUIZ: ResultState(grade=GradeFact(NOON, 71, None))}
    assert earned(PointsAtLeast(QUIZ, 70), told)
    decision = decide(Ask(ScoreAtLeast(QUIZ, 70)), Facts(told))
    assert not decision.earned
    assert decision.detail == "71 points, but the LMS tells no maximum to reckon the per cent from."


@pytest.mark.parametrize("grading", [g for g in GradingProgress if g is not FULL])
def test_a_score_that_is_not_final_does_not_earn(grading: GradingProgress) -> None:
    decision = decide(Ask(ScoreAtLeast(QUIZ, 50)), Facts({QUIZ: grade(10, grading=grading)}))
    assert not decision.earned
    assert decision.detail == "There is no final grade yet."


def test_a_rule_may_take_grades_that_are_not_final() -> None:
    ask = Ask(ScoreAtLeast(QUIZ, 50), fully_graded=False)
    assert decide(ask, Facts({QUIZ: grade(10, grading=GradingProgress.PENDING_MANUAL)})).earned


@pytest.mark.parametrize(
    ("told", "completed", "handed_in"),
    [
        ("Initialized", False, False),
        ("Started", False, False),
        ("InProgress", False, False),
        ("Submitted", False, True),
        ("Completed", True, True),
    ],
)
def test_completed_and_handed_in(told: str, completed: bool, handed_in: bool) -> None:
    assert earned(Completed(LAB), {LAB: progress(told)}) is completed
    assert earned(Submitted(LAB), {LAB: progress(told)}) is handed_in


def test_a_failed_grading_is_no_completion_but_something_was_handed_in() -> None:
    grading = GradeFact(NOON, None, None, GradingProgress.FAILED)
    failed = ResultState(grading, ProgressFact(NOON, ActivityProgress.COMPLETED))
    assert not earned(Completed(LAB), {LAB: failed})
    assert earned(Submitted(LAB), {LAB: failed})


@pytest.mark.parametrize("criteria", [ScoreAtLeast(QUIZ, 1), Completed(QUIZ), Submitted(QUIZ)])
def test_what_is_not_released_does_not_count(criteria: Criteria) -> None:
    hidden = ResultState(
        GradeFact(NOON, 10, 10, released=False), ProgressFact(NOON, ActivityProgress.COMPLETED, released=False)
    )
    decision = decide(Ask(criteria), Facts({QUIZ: hidden}))
    assert not decision.earned
    assert decision.detail == "The grade has not been released to the learner yet."


def test_a_hidden_grade_does_not_hide_a_completion_that_was_told_openly() -> None:
    state = ResultState(GradeFact(NOON, 10, 10, released=False), ProgressFact(NOON, ActivityProgress.COMPLETED))
    assert earned(Completed(QUIZ), {QUIZ: state})


@pytest.mark.parametrize(
    ("at", "is_earned"), [(NOON - HOUR, False), (NOON, True), (NOON + 2 * HOUR, True), (NOON + 3 * HOUR, False)]
)
def test_results_count_within_the_days_of_the_rule(at: datetime, is_earned: bool) -> None:
    ask = Ask(ScoreAtLeast(QUIZ, 80), counts_from=NOON, counts_until=NOON + 2 * HOUR)
    decision = decide(ask, Facts({QUIZ: grade(9, at=at)}))
    assert decision.earned is is_earned
    if not is_earned:
        assert "23 Nov 2026, 12:00 UTC" in decision.detail or "23 Nov 2026, 14:00 UTC" in decision.detail


def test_an_extension_gives_one_person_more_time() -> None:
    ask = Ask(ScoreAtLeast(QUIZ, 80), counts_until=NOON)
    late = {QUIZ: grade(9, at=NOON + HOUR)}
    assert not decide(ask, Facts(late)).earned
    assert decide(ask, Facts(late, extended_until=NOON + HOUR)).earned
    assert not decide(ask, Facts(late, extended_until=NOON + HOUR / 2)).earned


def test_who_is_excused_from_an_activity_need_not_do_it() -> None:
    ask = Ask(all_of(ScoreAtLeast(QUIZ, 80), Completed(LAB)))
    decision = decide(ask, Facts({LAB: progress("Completed")}, excused=frozenset({QUIZ})))
    assert decision.earned
    assert [reason.detail for reason in decision.reasons] == ["Excused by a teacher.", "Completed."]


def test_a_teachers_approval_and_another_badge_are_conditions() -> None:
    ask = Ask(all_of(BadgeEarned(7), Approved()))
    assert not decide(ask, Facts({}, {7: NOON})).earned
    assert not decide(ask, Facts({}, approved_at=NOON)).earned
    decision = decide(ask, Facts({}, {7: NOON}, approved_at=NOON + HOUR))
    assert decision.earned
    assert decision.achieved_at == NOON + HOUR


@pytest.mark.parametrize("met", range(4))
@pytest.mark.parametrize(("needed", "enough"), [(None, 3), (1, 1), (2, 2), (3, 3)])
def test_a_group_needs_as_many_parts_as_it_says(needed: int | None, enough: int, met: int) -> None:
    group = Group(needed, (Completed(1), Completed(2), Completed(3)))
    results = {key: progress("Completed") for key in range(1, met + 1)}
    decision = decide(Ask(group), Facts(results))
    assert decision.earned is (met >= enough)
    assert decision.root.detail == f"{min(met, enough)} of {enough} needed."


def test_it_was_achieved_when_the_last_part_that_was_needed_was_met() -> None:
    results = {key: progress("Completed", at=NOON + key * HOUR) for key in (1, 2, 3)}
    parts = (Completed(3), Completed(1), Completed(2))
    assert decide(Ask(all_of(*parts)), Facts(results)).achieved_at == NOON + 3 * HOUR
    assert decide(Ask(any_of(*parts)), Facts(results)).achieved_at == NOON + HOUR
    assert decide(Ask(Group(2, parts)), Facts(results)).achieved_at == NOON + 2 * HOUR
    assert decide(Ask(Completed(4)), Facts(results)).achieved_at is None


@pytest.mark.parametrize(
    ("results", "is_close"),
    [
        ({QUIZ: grade(7.5)}, False),
        ({QUIZ: grade(9)}, True),
        ({LAB: progress("Completed")}, True),
        ({}, False),
        ({QUIZ: grade(9), LAB: progress("Completed")}, False),
    ],
)
def test_one_step_away_is_whoever_lacks_one_of_several(results: dict[int, ResultState], is_close: bool) -> None:
    ask = Ask(all_of(ScoreAtLeast(QUIZ, 80), Completed(LAB)))
    assert decide(ask, Facts(results)).is_close is is_close


@pytest.mark.parametrize(("points", "is_close"), [(5.9, False), (6, True), (7.9, True), (8, False)])
def test_one_step_away_of_a_single_score_is_whoever_has_most_of_it(points: float, is_close: bool) -> None:
    assert decide(Ask(ScoreAtLeast(QUIZ, 80)), Facts({QUIZ: grade(points)})).is_close is is_close


def oracle(criteria: Criteria, ask: Ask, known: Facts) -> bool:
    """The same question answered by a truth table: each condition alone, and groups by counting."""
    if isinstance(criteria, Group):
        return sum(oracle(part, ask, known) for part in criteria.parts) >= criteria.number
    # Beside results that are asked for, a badge of any time will do.
    any_time = isinstance(criteria, BadgeEarned) and bool(activities_of(ask.criteria))
    alone = replace(ask, criteria=criteria, counts_from=None if any_time else ask.counts_from)
    return decide(alone, known).earned


@given(asks(), facts())
@example(Ask(any_of(BadgeEarned(1), Completed(1)), NOON), Facts({}, {1: NOON - HOUR}))
def test_groups_are_right_by_the_truth_table(ask: Ask, known: Facts) -> None:
    assert decide(ask, known).earned is oracle(ask.criteria, ask, known)


def explained(reason: Reason) -> bool:
    """What the explanation says, read from the parts that a person reads."""
    if isinstance(reason.criteria, Group):
        return sum(explained(part) for part in reason.parts) >= reason.criteria.number
    return reason.met


@given(asks(), facts())
def test_explanation_and_decision_always_agree(ask: Ask, known: Facts) -> None:
    decision = decide(ask, known)
    assert explained(decision.root) is decision.earned
    assert (decision.progress == 1.0) is decision.earned
    assert (decision.root.steps == 0) is decision.earned
    assert not (decision.earned and decision.is_close)
    assert all(reason.detail for reason in decision.reasons)


Told = list[tuple[GradeFact | None, ProgressFact | None]]


@given(st.lists(st.tuples(st.none() | grades(), st.none() | progresses()), max_size=8), st.randoms())
def test_the_order_of_events_never_matters(told: Told, random: Random) -> None:
    shuffled = [*told, *told]
    random.shuffle(shuffled)
    first, second = ResultState(), ResultState()
    for fact in told:
        first = first.after(*fact)
    for fact in shuffled:
        second = second.after(*fact)
    assert first == second
    assert first.hand_in is None or first.hand_in.is_hand_in
    assert first.progress is None or not first.progress.is_hand_in


@given(asks(), facts(), st.integers(6, 9), states())
def test_a_result_that_is_not_asked_for_changes_nothing(ask: Ask, known: Facts, other: int, state: ResultState) -> None:
    more = replace(known, results=dict(known.results) | {other: state})
    assert other not in activities_of(ask.criteria)
    assert decide(ask, more) == decide(ask, known)


def hidden_states() -> st.SearchStrategy[ResultState]:
    """Results of which nothing is shown to their learner."""
    hidden = [facts.map(lambda fact: replace(fact, released=False)) for facts in (grades(), completions(), hand_ins())]
    return st.builds(ResultState, *hidden)


@given(asks(), facts(), ACTIVITIES, hidden_states())
def test_a_result_that_is_hidden_never_earns(ask: Ask, known: Facts, activity: int, hidden: ResultState) -> None:
    without = {key: state for key, state in known.results.items() if key != activity}
    with_hidden = decide(ask, replace(known, results=without | {activity: hidden}))
    assert with_hidden.earned is decide(ask, replace(known, results=without)).earned


@given(asks(), facts(), ACTIVITIES, hidden_states())
def test_a_result_that_is_hidden_takes_nothing_away(ask: Ask, known: Facts, activity: int, hidden: ResultState) -> None:
    before = decide(ask, known)
    after = decide(ask, replace(known, results=dict(known.results) | {activity: hidden}))
    assert after.still_earned([reason.met for reason in before.reasons]) is (before.earned or after.earned)


@given(asks(), facts(), facts())
def test_what_counts_takes_away_what_it_does_not_earn(ask: Ask, known: Facts, later: Facts) -> None:
    before, after = decide(ask, known), decide(ask, later)
    still = after.still_earned([reason.met for reason in before.reasons])
    assert still or not after.earned
    if all(reason.counts for reason in after.reasons):
        assert still is after.earned


@settings(max_examples=200)
@given(asks(), facts(), ACTIVITIES)
def test_being_excused_never_takes_a_badge_away(ask: Ask, known: Facts, activity: int) -> None:
    if decide(ask, known).earned:
        assert decide(ask, replace(known, excused=known.excused | {activity})).earned
