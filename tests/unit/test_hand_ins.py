"""What is completed, what is handed in and what is only begun are told apart, whatever comes last."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given

from lti_tool.domain.criteria import Ask, Completed, Submitted
from lti_tool.domain.decision import Decision, Facts, decide
from lti_tool.domain.events import ActivityProgress, GradeFact, GradingProgress, ProgressFact, ResultState
from tests.unit.rule_strategies import asks, hand_ins, states

QUIZ = 1
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def told(*progress: str, hidden: tuple[str, ...] = ()) -> ResultState:
    """What is known after these came, an hour after each other; those in `hidden` are not shown to the learner."""
    state = ResultState()
    for hours, one in enumerate(progress):
        fact = ProgressFact(NOON + hours * HOUR, ActivityProgress(one), one not in hidden, event_id=hours)
        state = state.after(None, fact)
    return state


def decided(
    criteria: Completed | Submitted, state: ResultState, since: datetime | None = None, until: datetime | None = None
) -> Decision:
    return decide(Ask(criteria, since, until), Facts({QUIZ: state}))


@pytest.mark.parametrize(
    ("progress", "completed", "handed_in"),
    [
        (("Submitted", "Completed", "Submitted"), True, True),
        (("Completed", "Started"), True, True),
        (("Completed", "Initialized"), True, True),
        (("Submitted", "Started"), False, True),
        (("Submitted", "InProgress"), False, True),
        (("Completed", "InProgress"), False, False),
        (("Completed", "InProgress", "Submitted"), False, True),
        (("InProgress", "Completed"), True, True),
        (("Completed", "InProgress", "Started"), False, False),
    ],
)
def test_what_comes_last_undoes_only_its_own_kind(progress: tuple[str, ...], completed: bool, handed_in: bool) -> None:
    assert decided(Completed(QUIZ), told(*progress)).earned is completed
    assert decided(Submitted(QUIZ), told(*progress)).earned is handed_in


def test_the_order_of_what_comes_never_matters() -> None:
    came = ("InProgress", "Submitted", "Completed", "Started", "Submitted", "Initialized")
    facts = [ProgressFact(NOON + hours * HOUR, ActivityProgress(one)) for hours, one in enumerate(came)]
    ends = set()
    for order in permutations(facts):
        state = ResultState()
        for fact in order:
            state = state.after(None, fact)
        ends.add(state)
    assert ends == {ResultState(None, facts[2], facts[4])}


@pytest.mark.parametrize(
    ("progress", "completed", "handed_in"),
    [
        ((), "Not started, as far as the LMS has told.", "Not started, as far as the LMS has told."),
        (("Started",), "Not completed yet.", "Not handed in yet."),
        (("Submitted",), "Handed in, but not completed yet.", "Handed in."),
        (("InProgress", "Submitted"), "Handed in, but not completed yet.", "Handed in."),
        (("Completed",), "Completed.", "Handed in."),
    ],
)
def test_a_learner_reads_what_is_missing(progress: tuple[str, ...], completed: str, handed_in: str) -> None:
    assert decided(Completed(QUIZ), told(*progress)).detail == completed
    assert decided(Submitted(QUIZ), told(*progress)).detail == handed_in


def test_a_hand_in_that_is_hidden_is_not_spoken_of() -> None:
    state = told("InProgress", "Submitted", hidden=("Submitted",))
    assert decided(Completed(QUIZ), state).detail == "Not completed yet."
    only = told("Submitted", hidden=("Submitted",))
    for criteria in (Completed(QUIZ), Submitted(QUIZ)):
        decision = decided(criteria, only)
        assert decision.detail == "The grade has not been released to the learner yet."
        assert not decision.root.counts


def test_what_was_failed_is_handed_in_and_not_completed() -> None:
    failed = GradeFact(NOON, None, None, GradingProgress.FAILED)
    state = told("Completed").after(failed, None)
    assert not decided(Completed(QUIZ), state).earned
    assert decided(Submitted(QUIZ), state).earned


def test_it_was_handed_in_at_the_first_of_both_that_counts() -> None:
    state = told("Started", "Submitted", "Completed")
    root = decided(Submitted(QUIZ), state).root
    assert (root.occurred_at, root.event_id) == (NOON + HOUR, 1)
    hidden = told("Started", "Submitted", "Completed", hidden=("Submitted",))
    root = decided(Submitted(QUIZ), hidden).root
    assert (root.met, root.occurred_at, root.event_id) == (True, NOON + 2 * HOUR, 2)
    root = decided(Submitted(QUIZ), state, since=NOON + 2 * HOUR).root
    assert (root.met, root.event_id) == (True, 2)
    root = decided(Submitted(QUIZ), state, until=NOON + HOUR).root
    assert (root.met, root.event_id) == (True, 1)


@pytest.mark.parametrize("criteria", [Completed(QUIZ), Submitted(QUIZ)])
def test_neither_counts_outside_the_days_nor_takes_away(criteria: Completed | Submitted) -> None:
    decision = decided(criteria, told("Submitted", "Completed"), until=NOON - HOUR)
    assert not decision.earned
    assert decision.detail.startswith("The result came after 23 Nov 2026, 11:00 UTC")
    assert decision.still_earned([True])


def test_a_hidden_hand_in_takes_nothing_away_though_something_else_counts() -> None:
    """A second attempt is handed in, hidden until it is graded; the first one had earned the badge."""
    state = told("Started", "Submitted", hidden=("Submitted",))
    decision = decided(Submitted(QUIZ), state)
    assert not decision.earned
    assert decision.still_earned([True])
    # That it is not completed any more is another thing.
    state = told("Completed", "InProgress", "Submitted", hidden=("Submitted",))
    assert not decided(Completed(QUIZ), state).still_earned([True])


@given(asks(), states(), hand_ins())
def test_a_hand_in_never_changes_what_is_completed(ask: Ask, state: ResultState, hand_in: ProgressFact) -> None:
    ask = Ask(Completed(QUIZ), ask.counts_from, ask.counts_until, ask.fully_graded)
    before, after = decide(ask, Facts({QUIZ: state})), decide(ask, Facts({QUIZ: state.after(None, hand_in)}))
    assert before.earned is after.earned
