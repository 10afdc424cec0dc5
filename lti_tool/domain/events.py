"""What a source told us about one person in one activity, in the words of AGS 2.0, and what is known after it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar


class ActivityProgress(StrEnum):
    """How far a person is in an activity (AGS 2.0 §3.4.7)."""

    INITIALIZED = "Initialized"
    STARTED = "Started"
    IN_PROGRESS = "InProgress"
    SUBMITTED = "Submitted"
    COMPLETED = "Completed"


# These say only that somebody has begun (perhaps once more), and nothing of whether it was completed before.
BEGUN = (ActivityProgress.INITIALIZED, ActivityProgress.STARTED)


class GradingProgress(StrEnum):
    """How far the grading is (AGS 2.0 §3.4.8); only FullyGraded scores are final."""

    FULLY_GRADED = "FullyGraded"
    PENDING = "Pending"
    PENDING_MANUAL = "PendingManual"
    FAILED = "Failed"
    NOT_READY = "NotReady"


class IdKind(StrEnum):
    """Whose id it is by which a source names a person or a course (LMS.md §4.4)."""

    LTI = "lti"  # `sub`, or the id of the context
    CANVAS = "canvas"  # Canvas' global id: shard x 10^13 + local id
    CANVAS_LOCAL = "canvas_local"
    LTI11 = "lti11"  # the user id of LTI 1.1, which some LMSs still send
    SIS = "sis"
    USERNAME = "username"
    NUMBER = "number"  # the LMS's own number of a person, where that is not `sub` (Open edX)
    GUESS = "guess"  # a part of an address that may be the LTI id: it finds somebody, and makes nobody
    EMAIL = "email"  # believed only where the administrator allows it for the source


@dataclass(frozen=True)
class Identifier:
    """An id of a person or a course; unique at most within one platform."""

    kind: IdKind
    value: str


@dataclass(frozen=True)
class ActivityRef:
    """An activity as a source names it: its id there, its title (empty when not told), its kind (quiz, module, …)."""

    external_id: str
    title: str
    kind: str


def same_title(title: str) -> str:
    """What all spellings of an activity's title share: people copy titles with other spaces and capitals."""
    return " ".join(title.split()).casefold()


# More is nonsense, and as a float might be too much.
MOST_PERCENT = Fraction(10**9)


@dataclass(frozen=True)
class GradeFact:
    """A grade at one moment; `given` may exceed `maximum` (AGS 2.0 §3.4). `event_id` is our own row that told it."""

    at: datetime
    given: float | None
    maximum: float | None
    grading: GradingProgress = GradingProgress.FULLY_GRADED
    released: bool = True
    event_id: int | None = field(default=None, compare=False)

    @property
    def percent(self) -> float | None:
        """The grade as a percentage of the maximum, final or not; None without both."""
        if self.given is None or not self.maximum:
            return None
        # In exact fractions: as floats, 4.35 of 5 points would be a little less than 87 per cent.
        return float(min(Fraction(str(self.given)) * 100 / Fraction(str(self.maximum)), MOST_PERCENT))

    @property
    def rank(self) -> tuple[datetime, bool, bool, float, float, str]:
        """What makes one grade the newer of two; among equal times the better one, so that order never matters."""
        known = self.given is not None
        return (self.at, self.released, known, self.given or 0.0, -(self.maximum or 0.0), self.grading.value)


@dataclass(frozen=True)
class ProgressFact:
    """How far somebody was at one moment, or that they handed something in. `event_id` is our own row that told it."""

    at: datetime
    progress: ActivityProgress
    released: bool = True
    event_id: int | None = field(default=None, compare=False)

    @property
    def is_hand_in(self) -> bool:
        """Whether it says that something was handed in, which says nothing of completion."""
        return self.progress is ActivityProgress.SUBMITTED

    @property
    def rank(self) -> tuple[bool, datetime, bool, int]:
        """What makes one count of two; among equal times the further one, so that order never matters.

        What says only that somebody has begun is less than what says whether they have completed, of any time.
        """
        tells_more = self.progress not in BEGUN
        return (tells_more, self.at, self.released, list(ActivityProgress).index(self.progress))


@dataclass(frozen=True)
class ResultState:
    """The newest known grade, progress and hand-in of a person in an activity; each is None while nobody has told it.

    The hand-in is a fact of its own: who hands in a second attempt has not undone the completion of the first.
    """

    grade: GradeFact | None = None
    progress: ProgressFact | None = None
    hand_in: ProgressFact | None = None

    def after(self, grade: GradeFact | None, progress: ProgressFact | None) -> "ResultState":
        """What is known after these facts too: of each kind the newest counts, in whatever order they come."""
        graded = newer(self.grade, grade)
        if progress is not None and progress.is_hand_in:
            return ResultState(graded, self.progress, newer(self.hand_in, progress))
        return ResultState(graded, newer(self.progress, progress), self.hand_in)

    def beside(self, told: ProgressFact) -> ProgressFact | None:
        """What is known of the same kind: beside a hand-in the hand-in, beside other progress the progress."""
        return self.hand_in if told.is_hand_in else self.progress


@dataclass(frozen=True)
class GradeEvent:
    """One thing that a source told us; ids are the source's own, the most certain first. At least one fact is told."""

    course: tuple[Identifier, ...]
    person: tuple[Identifier, ...]
    activity: ActivityRef
    grade: GradeFact | None = None
    progress: ProgressFact | None = None
    deployment_id: str | None = None

    @property
    def occurred_at(self) -> datetime:
        """When it happened, as the source dates it."""
        moments = [fact.at for fact in (self.grade, self.progress) if fact is not None]
        return max(moments)


Fact = TypeVar("Fact", GradeFact, ProgressFact)


def newer(known: Fact | None, told: Fact | None) -> Fact | None:
    """The newer of two facts; what is known stays when both are the same."""
    if known is None or told is None:
        return told if known is None else known
    return told if told.rank > known.rank else known
