"""Whether results earn a badge, as sentences."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_tool.domain.criteria import (
    Completed,
    Criteria,
    ScoreAtLeast,
    criteria_from_json,
    criteria_to_json,
    decide,
    describe,
    number,
)
from lti_tool.domain.events import ActivityProgress, GradingProgress, Score

QUIZ, LAB = 1, 2
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def score(
    given: float | None = None,
    maximum: float | None = 10.0,
    *,
    at: datetime = NOON,
    progress: ActivityProgress = ActivityProgress.COMPLETED,
    grading: GradingProgress = GradingProgress.FULLY_GRADED,
    released: bool = True,
) -> Score:
    return Score(at, given, maximum if given is not None else None, progress, grading, released)


@pytest.mark.parametrize(
    ("given", "maximum", "needed", "earned"),
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
def test_a_score_earns_from_the_threshold_on(given: float, maximum: float, needed: float, earned: bool) -> None:
    assert decide(ScoreAtLeast(QUIZ, needed), {QUIZ: score(given, maximum)}).earned is earned


@pytest.mark.parametrize("grading", [g for g in GradingProgress if g is not GradingProgress.FULLY_GRADED])
def test_a_score_that_is_not_final_does_not_earn(grading: GradingProgress) -> None:
    decision = decide(ScoreAtLeast(QUIZ, 50), {QUIZ: score(10, grading=grading)})
    assert not decision.earned
    assert decision.reasons[0].detail == "There is no final grade yet."


@pytest.mark.parametrize("progress", list(ActivityProgress))
def test_only_a_completed_activity_is_completed(progress: ActivityProgress) -> None:
    result = {LAB: score(progress=progress, grading=GradingProgress.NOT_READY)}
    assert decide(Completed(LAB), result).earned is (progress is ActivityProgress.COMPLETED)


def test_a_completion_that_failed_does_not_earn() -> None:
    assert not decide(Completed(LAB), {LAB: score(grading=GradingProgress.FAILED)}).earned


@pytest.mark.parametrize("criteria", [ScoreAtLeast(QUIZ, 1), Completed(QUIZ)])
def test_a_grade_that_is_not_released_does_not_earn(criteria: Criteria) -> None:
    decision = decide(criteria, {QUIZ: score(10, released=False)})
    assert not decision.earned
    assert "released" in decision.reasons[0].detail


def test_a_result_from_before_the_start_does_not_earn() -> None:
    rule = ScoreAtLeast(QUIZ, 80)
    assert not decide(rule, {QUIZ: score(9)}, counts_from=NOON + timedelta(seconds=1)).earned
    assert decide(rule, {QUIZ: score(9)}, counts_from=NOON).earned


def test_results_of_other_activities_change_nothing() -> None:
    assert decide(ScoreAtLeast(QUIZ, 80), {LAB: score(10)}) == decide(ScoreAtLeast(QUIZ, 80), {})


def test_a_decision_says_what_is_missing() -> None:
    decision = decide(ScoreAtLeast(QUIZ, 80), {QUIZ: score(6.5)})
    assert decision.reasons[0].detail == "65 % reached, 80 % needed."
    assert decision.progress == pytest.approx(0.8125)


def test_an_earned_badge_dates_from_its_result() -> None:
    assert decide(Completed(LAB), {LAB: score()}).achieved_at == NOON
    assert decide(ScoreAtLeast(QUIZ, 80), {QUIZ: score(1)}).achieved_at is None


@given(st.floats(0, 1000), st.floats(0.01, 1000), st.floats(1, 100))
def test_progress_is_whole_exactly_when_it_is_earned(points: float, maximum: float, needed: float) -> None:
    decision = decide(ScoreAtLeast(QUIZ, needed), {QUIZ: score(points, maximum)})
    assert decision.earned is (decision.progress == 1.0)
    assert 0 <= decision.progress <= 1


@given(st.one_of(st.builds(ScoreAtLeast, st.integers(1), st.floats(1, 100)), st.builds(Completed, st.integers(1))))
def test_criteria_survive_being_stored(criteria: Criteria) -> None:
    assert criteria_from_json(criteria_to_json(criteria)) == criteria


def test_criteria_of_an_unknown_kind_are_not_guessed() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        criteria_from_json({"kind": "magic"})


def test_criteria_read_as_a_sentence() -> None:
    assert describe(ScoreAtLeast(QUIZ, 80), {QUIZ: "Quiz 1"}) == "Score at least 80 % in Quiz 1"
    assert describe(Completed(LAB), {LAB: "Lab 2"}) == "Complete Lab 2"


@pytest.mark.parametrize(("value", "text"), [(80, "80"), (79.5, "79.5"), (79.999, "79.99"), (100.0, "100")])
def test_a_number_is_never_rounded_up_over_a_threshold(value: float, text: str) -> None:
    assert number(value) == text
