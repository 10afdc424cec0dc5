"""Whether a person earns a badge, and why: pure functions of values; deciding and explaining are one thing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lti_tool.domain.criteria import (
    Approved,
    Ask,
    BadgeEarned,
    Completed,
    Condition,
    Criteria,
    Group,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
    activities_of,
    cut,
    number,
)
from lti_tool.domain.events import ActivityProgress, GradeFact, GradingProgress, ProgressFact, ResultState

# A learner who lacks one condition, and has met another or has this much of one, is one step away.
CLOSE = 0.75
NOTHING = ResultState()
NOT_STARTED = "Not started, as far as the LMS has told."
# Who has completed an activity has done whatever was to be handed in.
HANDED_IN = (ActivityProgress.SUBMITTED, ActivityProgress.COMPLETED)


@dataclass(frozen=True)
class Facts:
    """What is known of one person: results by activity, badges and when each was earned, a teacher's exceptions."""

    results: Mapping[int, ResultState]
    badges: Mapping[int, datetime] = field(default_factory=dict)
    approved_at: datetime | None = None
    extended_until: datetime | None = None
    excused: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Reason:
    """How one condition or group was decided.

    `progress` is 0 to 1, `steps` how many conditions are still missing, `occurred_at` when it was met (or the moment of
    the result that did not meet it), `event_id` our event that told it, `parts` the reasons of a group's parts.
    `counts` is False where the newest result has no say (hidden, not final, too early or too late).
    """

    criteria: Criteria
    met: bool
    progress: float
    detail: str
    occurred_at: datetime | None = None
    event_id: int | None = None
    parts: tuple["Reason", ...] = ()
    counts: bool = True

    @property
    def activity_id(self) -> int | None:
        """The activity that the condition speaks of."""
        return getattr(self.criteria, "activity_id", None)

    @property
    def steps(self) -> int:
        """How many single conditions are still missing, on the shortest way."""
        if self.met:
            return 0
        if not isinstance(self.criteria, Group):
            return 1
        return sum(sorted(part.steps for part in self.parts)[: self.criteria.number])

    def leaves(self) -> Iterator["Reason"]:
        """The reasons of the single conditions, from left to right."""
        if not isinstance(self.criteria, Group):
            yield self
        for part in self.parts:
            yield from part.leaves()

    def holds(self, before: Iterator[bool]) -> bool:
        """Whether it is met, or was met (`before`, for each condition) and nothing that counts says otherwise."""
        if not isinstance(self.criteria, Group):
            was_met = next(before, False)
            return self.met or (was_met and not self.counts)
        held = [part.holds(before) for part in self.parts]
        return sum(held) >= self.criteria.number


@dataclass(frozen=True)
class Decision:
    """The outcome for one person: earned or not, with the reason of everything that was asked."""

    root: Reason

    @property
    def earned(self) -> bool:
        """Whether everything that is needed is met."""
        return self.root.met

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The reason of each single condition."""
        return tuple(self.root.leaves())

    @property
    def progress(self) -> float:
        """How much of the way is done, 0 to 1."""
        return self.root.progress

    def still_earned(self, before: Sequence[bool]) -> bool:
        """Whether what was earned is earned still; `before` says which of the single conditions were met then.

        A newer result that does not count takes nothing away.
        """
        return self.root.holds(iter(before))

    @property
    def is_close(self) -> bool:
        """Whether one condition is missing, and not much of it: most of its score, or it is one of several."""
        return self.root.steps == 1 and any(reason.met or reason.progress >= CLOSE for reason in self.reasons)

    @property
    def achieved_at(self) -> datetime | None:
        """When the last condition that was needed was met, as the platform dates it."""
        return self.root.occurred_at if self.earned else None

    @property
    def event_id(self) -> int | None:
        """Our event that told the last condition that was needed."""
        return self.root.event_id if self.earned else None

    @property
    def detail(self) -> str:
        """All reasons in one line."""
        return " ".join(reason.detail for reason in self.reasons)


def decide(ask: Ask, facts: Facts) -> Decision:
    """Decide for one person, with the reason of every condition and group."""
    return Decision(_decide(ask.criteria, ask, facts))


def _decide(criteria: Criteria, ask: Ask, facts: Facts) -> Reason:
    if isinstance(criteria, Group):
        return _decide_group(criteria, tuple(_decide(part, ask, facts) for part in criteria.parts))
    if isinstance(criteria, BadgeEarned):
        earned_at = facts.badges.get(criteria.badge_class_id)
        if earned_at is None:
            return Reason(criteria, False, 0.0, "This badge is not earned yet.")
        if ask.counts_from is not None and earned_at < ask.counts_from and not activities_of(ask.criteria):
            # Beside results that are asked for, a badge of any time will do.
            words = f"This badge was earned before {_day(ask.counts_from)}, when this one began to count."
            return Reason(criteria, False, 0.0, words, earned_at)
        return Reason(criteria, True, 1.0, "This badge is earned.", earned_at)
    if isinstance(criteria, Approved):
        if facts.approved_at is None:
            return Reason(criteria, False, 0.0, "A teacher has not approved it yet.")
        return Reason(criteria, True, 1.0, "Approved by a teacher.", facts.approved_at)
    if criteria.activity_id in facts.excused:
        return Reason(criteria, True, 1.0, "Excused by a teacher.")
    state = facts.results.get(criteria.activity_id, NOTHING)
    if isinstance(criteria, ScoreAtLeast | PointsAtLeast):
        return _decide_grade(criteria, state.grade, ask, facts)
    if isinstance(criteria, Completed):
        return _decide_completed(criteria, state, ask, facts)
    return _decide_handed_in(criteria, state, ask, facts)


def _decide_group(group: Group, parts: tuple[Reason, ...]) -> Reason:
    met = [part for part in parts if part.met]
    best = sorted((part.progress for part in parts), reverse=True)[: group.number]
    # As floats, a mean of ones could be less than one.
    progress = 1.0 if len(met) >= group.number else min(sum(best) / group.number, 0.99)
    detail = f"{min(len(met), group.number)} of {group.number} needed."
    if len(met) < group.number:
        return Reason(group, False, progress, detail, parts=parts)
    # Enough was met at the moment of the last that was needed; what has no moment was never in the way.
    dated = sorted((part.occurred_at, part.event_id or 0) for part in met if part.occurred_at is not None)
    needed = group.number - (len(met) - len(dated))
    occurred_at, event_id = dated[needed - 1] if needed > 0 else (None, 0)
    return Reason(group, True, 1.0, detail, occurred_at, event_id or None, parts)


def _decide_grade(criteria: ScoreAtLeast | PointsAtLeast, grade: GradeFact | None, ask: Ask, facts: Facts) -> Reason:
    if grade is None:
        return Reason(criteria, False, 0.0, "No result yet.")
    if fault := _why_not_counted(grade, ask, facts):
        return _no(criteria, grade, fault, counts=False)
    if isinstance(criteria, PointsAtLeast):
        reached, needed, unit = grade.given, criteria.points, "points"
    else:
        reached, needed, unit = grade.percent, criteria.percent, "%"
    is_final = not ask.fully_graded or grade.grading is GradingProgress.FULLY_GRADED
    if reached is None and grade.given is not None and is_final:
        words = f"{cut(grade.given)} points, but the LMS tells no maximum to reckon the per cent from."
        return _no(criteria, grade, words, counts=False)
    if reached is None or not is_final:
        return _no(criteria, grade, "There is no final grade yet.", counts=False)
    met = reached >= needed
    progress = 1.0 if met else min(max(reached / needed, 0.0), 0.99)
    words = f"{cut(reached)} {unit} reached, {number(needed)} {unit} needed."
    return Reason(criteria, met, progress, words, grade.at, grade.event_id)


def _decide_completed(criteria: Completed, state: ResultState, ask: Ask, facts: Facts) -> Reason:
    known = state.progress or state.hand_in
    if known is None:
        return Reason(criteria, False, 0.0, NOT_STARTED)
    if fault := _why_not_counted(known, ask, facts):
        return _no(criteria, known, fault, counts=False)
    has_failed = state.grade is not None and state.grade.grading is GradingProgress.FAILED
    if known.progress is ActivityProgress.COMPLETED and not has_failed:
        return Reason(criteria, True, 1.0, "Completed.", known.at, known.event_id)
    was_handed_in = state.hand_in is not None and not _why_not_counted(state.hand_in, ask, facts)
    return _no(criteria, known, "Handed in, but not completed yet." if was_handed_in else "Not completed yet.")


def _decide_handed_in(criteria: Submitted, state: ResultState, ask: Ask, facts: Facts) -> Reason:
    known = [fact for fact in (state.hand_in, state.progress) if fact is not None]
    if not known:
        return Reason(criteria, False, 0.0, NOT_STARTED)
    faults = {fact: _why_not_counted(fact, ask, facts) for fact in known}
    enough = [fact for fact in known if fact.progress in HANDED_IN and not faults[fact]]
    if enough:
        first = min(enough, key=_moment)
        return Reason(criteria, True, 1.0, "Handed in.", first.at, first.event_id)
    for fact in sorted(known, key=_moment, reverse=True):
        # A hand-in that does not count may stand in the place of one that did: nothing is taken away.
        if fault := faults[fact]:
            return _no(criteria, fact, fault, counts=False)
    return _no(criteria, known[-1], "Not handed in yet.")


def _moment(fact: ProgressFact) -> datetime:
    return fact.at


def last_day(ask: Ask, facts: Facts) -> datetime | None:
    """Until when results count for this person, more time that a teacher gave included; None without an end."""
    if ask.counts_until is None:
        return None
    return max(filter(None, (ask.counts_until, facts.extended_until)))


def _why_not_counted(fact: GradeFact | ProgressFact, ask: Ask, facts: Facts) -> str | None:
    if not fact.released:
        return "The grade has not been released to the learner yet."
    if ask.counts_from is not None and fact.at < ask.counts_from:
        return f"The result is from before {_day(ask.counts_from)}, when this badge began to count."
    until = last_day(ask, facts)
    if until is not None and fact.at > until:
        return f"The result came after {_day(until)}, when this badge ended."
    return None


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def _no(criteria: Condition, fact: GradeFact | ProgressFact, detail: str, *, counts: bool = True) -> Reason:
    return Reason(criteria, False, 0.0, detail, fact.at, fact.event_id, counts=counts)
