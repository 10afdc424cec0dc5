"""What a source told us about one person in one activity, in the words of AGS 2.0."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction


class ActivityProgress(StrEnum):
    """How far a person is in an activity (AGS 2.0 §3.4.7)."""

    INITIALIZED = "Initialized"
    STARTED = "Started"
    IN_PROGRESS = "InProgress"
    SUBMITTED = "Submitted"
    COMPLETED = "Completed"


class GradingProgress(StrEnum):
    """How far the grading is (AGS 2.0 §3.4.8); only FullyGraded scores are final."""

    FULLY_GRADED = "FullyGraded"
    PENDING = "Pending"
    PENDING_MANUAL = "PendingManual"
    FAILED = "Failed"
    NOT_READY = "NotReady"


@dataclass(frozen=True)
class ActivityRef:
    """An activity as a source names it: its id there, its title, its kind (quiz, assignment, lab, …)."""

    external_id: str
    title: str
    kind: str


@dataclass(frozen=True)
class Score:
    """A score or completion at one moment; `given` may exceed `maximum` (AGS 2.0 §3.4)."""

    occurred_at: datetime
    given: float | None
    maximum: float | None
    activity_progress: ActivityProgress
    grading_progress: GradingProgress
    released: bool = True

    @property
    def percent(self) -> float | None:
        """The score as a percentage of the maximum; None without a final score."""
        if self.given is None or not self.maximum or self.grading_progress is not GradingProgress.FULLY_GRADED:
            return None
        # In exact fractions: as floats, 4.35 of 5 points would be a little less than 87 per cent.
        return float(Fraction(str(self.given)) * 100 / Fraction(str(self.maximum)))

    @property
    def is_completed(self) -> bool:
        """Whether the person has completed the activity; a failed grading is no completion."""
        return (
            self.activity_progress is ActivityProgress.COMPLETED and self.grading_progress is not GradingProgress.FAILED
        )


@dataclass(frozen=True)
class GradeEvent:
    """One thing that a source told us; ids are the platform's (`sub`, context id)."""

    deployment_id: str | None
    context_id: str
    sub: str
    activity: ActivityRef
    score: Score
