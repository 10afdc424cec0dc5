"""How often somebody may earn a badge: once, once in each course, or each time anew after it fell."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.models import Award, AwardStatus, Repeat, RevokedBy, Rule
from lti_tool.services.facts import GONE

# What these have taken back may be earned again.
REGAINED = (RevokedBy.FALL, RevokedBy.UNDO)


class Former(Protocol):
    """What of an award says whether its badge can be earned again."""

    @property
    def course_id(self) -> int: ...
    @property
    def status(self) -> AwardStatus: ...
    @property
    def revoked_by(self) -> RevokedBy | None: ...
    @property
    def fell_at(self) -> datetime | None: ...


AnyFormer = TypeVar("AnyFormer", bound=Former)


def latest_of(rule: Rule, awards: Sequence[Award]) -> Award | None:
    """Of somebody's awards of the rule's badge, by number, the one that says how they stand with the rule."""
    return next(reversed(_counted(rule.current.repeat, rule.course_id, awards)), None)


def number_after(rule: Rule, former: Sequence[Award], *, by_hand: bool) -> int | None:
    """Which time it would be that somebody with these awards of the badge, by number, earns it by the rule.

    None when once more is not allowed.
    """
    number = former[-1].number + 1 if former else 1
    return number if may_earn(rule.current.repeat, rule.course_id, former, by_hand=by_hand) else None


def may_earn(repeat: Repeat, course_id: int, former: Sequence[Former], *, by_hand: bool = False) -> bool:
    """Whether somebody with these awards of a badge, the first first, may earn it by a rule of this course."""
    counted = _counted(repeat, course_id, former)
    if not counted:
        return True
    last = counted[-1]
    if last.status is AwardStatus.REVOKED and (by_hand or last.revoked_by in REGAINED):
        return True
    return repeat is Repeat.EACH_TIME and last.fell_at is not None


def holders(session: Session, badge_class_id: int | None, course_id: int, repeat: Repeat) -> tuple[set[int], set[int]]:
    """The people who have a badge or are about to, and those whom their awards of it keep from earning it here."""
    columns = (Award.person_id, Award.course_id, Award.status, Award.revoked_by, Award.fell_at)
    query = select(*columns).where(Award.badge_class_id == badge_class_id).order_by(Award.person_id, Award.number)
    owners, barred = set[int](), set[int]()
    rows = session.execute(query) if badge_class_id is not None else ()
    for person_id, awards in groupby(rows, key=attrgetter("person_id")):
        former: list[Any] = list(awards)
        if any(award.status not in GONE for award in _counted(repeat, course_id, former)):
            owners.add(person_id)
        if not may_earn(repeat, course_id, former):
            barred.add(person_id)
    return owners, barred


def _counted(repeat: Repeat, course_id: int, awards: Sequence[AnyFormer]) -> Sequence[AnyFormer]:
    # A course is a term: what was earned in another one does not count here.
    return [a for a in awards if a.course_id == course_id] if repeat is Repeat.PER_TERM else awards
