"""Whether a person's results earn a badge, and why: pure functions of values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lti_tool.domain.events import Score


@dataclass(frozen=True)
class ScoreAtLeast:
    """A final score of at least `percent` per cent in the activity with our key `activity_id`."""

    activity_id: int
    percent: float


@dataclass(frozen=True)
class Completed:
    """The activity with our key `activity_id` is completed, whatever the score."""

    activity_id: int


Criteria = ScoreAtLeast | Completed


@dataclass(frozen=True)
class Reason:
    """How one condition was decided: `progress` is 0 to 1, `detail` says it in words."""

    activity_id: int
    met: bool
    progress: float
    detail: str
    occurred_at: datetime | None


@dataclass(frozen=True)
class Decision:
    """The outcome for one person: earned or not, with the reason of each condition."""

    earned: bool
    reasons: tuple[Reason, ...]

    @property
    def progress(self) -> float:
        """How much of the way is done, 0 to 1."""
        return sum(reason.progress for reason in self.reasons) / len(self.reasons)

    @property
    def achieved_at(self) -> datetime | None:
        """When the last condition was met, as the platform dates it."""
        moments = [reason.occurred_at for reason in self.reasons if reason.met and reason.occurred_at]
        return max(moments) if self.earned and moments else None


def decide(criteria: Criteria, results: Mapping[int, Score], counts_from: datetime | None = None) -> Decision:
    """Decide for one person; `results` are keyed by activity, older ones than `counts_from` do not count."""
    score = results.get(criteria.activity_id)
    if score is not None and not score.released:
        reason = _no(criteria, score, "The grade has not been released to the learner yet.")
    elif score is not None and counts_from is not None and score.occurred_at < counts_from:
        reason = _no(criteria, score, "The result is from before this badge was switched on.")
    elif isinstance(criteria, ScoreAtLeast):
        reason = _decide_score(criteria, score)
    else:
        reason = _decide_completed(criteria, score)
    return Decision(reason.met, (reason,))


def describe(criteria: Criteria, titles: Mapping[int, str]) -> str:
    """The criteria as a sentence; `titles` are those of the activities."""
    title = titles.get(criteria.activity_id, "an activity that is gone")
    if isinstance(criteria, ScoreAtLeast):
        return f"Score at least {number(criteria.percent)} % in {title}"
    return f"Complete {title}"


def activities_of(criteria: Criteria) -> set[int]:
    """The keys of the activities that criteria speak of."""
    return {criteria.activity_id}


def moved(criteria: Criteria, activities: Mapping[int, int]) -> Criteria:
    """The same criteria on other activities, old key to new; raises KeyError when one is missing."""
    return replace(criteria, activity_id=activities[criteria.activity_id])


def criteria_to_json(criteria: Criteria) -> dict[str, Any]:
    """The stored form of criteria."""
    if isinstance(criteria, ScoreAtLeast):
        return {"kind": "score", "activity": criteria.activity_id, "percent": criteria.percent}
    return {"kind": "completed", "activity": criteria.activity_id}


def criteria_from_json(stored: Mapping[str, Any]) -> Criteria:
    """The value of a stored form; raises ValueError for a kind that this version does not know."""
    match stored["kind"]:
        case "score":
            return ScoreAtLeast(stored["activity"], stored["percent"])
        case "completed":
            return Completed(stored["activity"])
    raise ValueError(f"unknown kind of criteria: {stored['kind']}")


def number(value: float) -> str:
    """A number without needless digits: 80, 79.5, 79.99; never rounded up over a threshold."""
    cut = int(value * 100) / 100
    return f"{cut:.2f}".rstrip("0").rstrip(".")


def _decide_score(criteria: ScoreAtLeast, score: Score | None) -> Reason:
    if score is None:
        return _no(criteria, None, "No result yet.")
    percent = score.percent
    if percent is None:
        return _no(criteria, score, "There is no final grade yet.")
    met = percent >= criteria.percent
    progress = 1.0 if met else min(percent / criteria.percent, 0.99)
    words = f"{number(percent)} % reached, {number(criteria.percent)} % needed."
    return Reason(criteria.activity_id, met, progress, words, score.occurred_at)


def _decide_completed(criteria: Completed, score: Score | None) -> Reason:
    if score is None:
        return _no(criteria, None, "Not started, as far as the LMS has told.")
    if not score.is_completed:
        return _no(criteria, score, "Not completed yet.")
    return Reason(criteria.activity_id, True, 1.0, "Completed.", score.occurred_at)


def _no(criteria: Criteria, score: Score | None, detail: str) -> Reason:
    return Reason(criteria.activity_id, False, 0.0, detail, score.occurred_at if score else None)
