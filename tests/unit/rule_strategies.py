"""Random rules and results, for properties that hold for all of them."""

from datetime import UTC, datetime, timedelta

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
)
from lti_tool.domain.decision import Facts
from lti_tool.domain.events import ActivityProgress, GradeFact, GradingProgress, ProgressFact, ResultState

ACTIVITIES = st.integers(1, 5)
BADGES = st.integers(1, 3)
START = datetime(2026, 9, 1, tzinfo=UTC)


def moments() -> st.SearchStrategy[datetime]:
    """Few moments, so that equal times are frequent."""
    return st.integers(0, 20).map(lambda hours: START + timedelta(hours=hours))


def conditions() -> st.SearchStrategy[Criteria]:
    """Any single condition."""
    return st.one_of(
        st.builds(ScoreAtLeast, ACTIVITIES, st.integers(1, 100).map(float)),
        st.builds(PointsAtLeast, ACTIVITIES, st.integers(1, 12).map(float)),
        st.builds(Completed, ACTIVITIES),
        st.builds(Submitted, ACTIVITIES),
        st.builds(BadgeEarned, BADGES),
        st.just(Approved()),
    )


def _groups(parts: st.SearchStrategy[Criteria]) -> st.SearchStrategy[Criteria]:
    return st.lists(parts, min_size=1, max_size=4).flatmap(
        lambda chosen: st.one_of(st.none(), st.integers(1, len(chosen))).map(
            lambda needed: Group(needed, tuple(chosen))
        )
    )


def criteria() -> st.SearchStrategy[Criteria]:
    """Conditions, and groups up to three deep."""
    return st.one_of(conditions(), _groups(conditions()), _groups(st.one_of(conditions(), _groups(conditions()))))


def grades() -> st.SearchStrategy[GradeFact]:
    """Any grade, of ten points."""
    points = st.one_of(st.none(), st.integers(0, 24).map(lambda half: half / 2))
    return st.builds(GradeFact, moments(), points, st.just(10.0), st.sampled_from(GradingProgress), st.booleans())


def progresses() -> st.SearchStrategy[ProgressFact]:
    """Any progress, as it is told: a hand-in too."""
    return st.builds(ProgressFact, moments(), st.sampled_from(ActivityProgress), st.booleans())


def hand_ins() -> st.SearchStrategy[ProgressFact]:
    """Any hand-in."""
    return st.builds(ProgressFact, moments(), st.just(ActivityProgress.SUBMITTED), st.booleans())


def completions() -> st.SearchStrategy[ProgressFact]:
    """Any progress but a hand-in."""
    others = [progress for progress in ActivityProgress if progress is not ActivityProgress.SUBMITTED]
    return st.builds(ProgressFact, moments(), st.sampled_from(others), st.booleans())


def states() -> st.SearchStrategy[ResultState]:
    """Any result, of which a part may not be known."""
    return st.builds(ResultState, st.none() | grades(), st.none() | completions(), st.none() | hand_ins())


def asks() -> st.SearchStrategy[Ask]:
    """Any rule, with or without days."""
    return st.builds(Ask, criteria(), st.one_of(st.none(), moments()), st.one_of(st.none(), moments()), st.booleans())


def facts() -> st.SearchStrategy[Facts]:
    """Anything that may be known of a person."""
    return st.builds(
        Facts,
        st.dictionaries(ACTIVITIES, states()),
        st.dictionaries(BADGES, moments()),
        st.one_of(st.none(), moments()),
        st.one_of(st.none(), moments()),
        st.frozensets(ACTIVITIES, max_size=2),
    )
