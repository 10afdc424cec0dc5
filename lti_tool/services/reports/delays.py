"""How long it takes from an event to the badge at Badgr, of those awards that waited for nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from lti_tool.logs import get_logger
from lti_tool.models import AwardStep, Event

log = get_logger(__name__)

# Of a busy week the newest are as good as all.
ROWS = 5000


@dataclass(frozen=True)
class Delay:
    """Delays in seconds: half of the awards were faster than `p50`, 95 of 100 than `p95`; None when there was none."""

    number: int
    p50: float | None
    p95: float | None

    def exceeds(self, objective_seconds: int) -> bool:
        """Whether an administrator should know."""
        return self.p95 is not None and self.p95 > objective_seconds


def delay(session: Session, now: datetime, span: timedelta, source_id: int | None = None) -> Delay:
    """The delays of the awards that were issued within this time, of all sources or of one.

    Counted is what an event brought at once when it was worked on. Left out is what waited for somebody (an address, a
    connection, an approval, the first visit to a course) and what a replay or a rule that was switched on brought.
    """
    opened, issued, held = aliased(AwardStep), aliased(AwardStep), aliased(AwardStep)
    waited = select(held.id).where(held.award_id == opened.award_id, held.kind == "held").exists()
    query = (
        select(Event.received_at, issued.at)
        .join(opened, opened.award_id == issued.award_id)
        .join(Event, Event.id == opened.event_id)
        .where(
            issued.kind == "issued",
            issued.at >= now - span,
            opened.kind == "opened",
            # The award was opened when the event was worked on, not later by something else.
            opened.at == Event.processed_at,
            Event.attempts <= 1,
            Event.run_key.is_(None),
            ~waited,
        )
        .order_by(issued.at.desc())
        .limit(ROWS)
    )
    if source_id is not None:
        query = query.where(Event.source_id == source_id)
    return _delay([(sent - received).total_seconds() for received, sent in session.execute(query)])


def raise_alarm(session: Session, objective_seconds: int, now: datetime) -> None:
    """Say in the log that badges are slower than wanted; meant to be called once an hour."""
    found = delay(session, now, timedelta(hours=1))
    if found.exceeds(objective_seconds):
        log.error(
            "delay_over_objective", p95=found.p95, p50=found.p50, awards=found.number, objective=objective_seconds
        )


def _delay(seconds: Sequence[float]) -> Delay:
    ordered = sorted(seconds)
    if not ordered:
        return Delay(0, None, None)
    # The nearest rank: a delay that really happened.
    p50, p95 = (ordered[max(0, -(-len(ordered) * share // 100) - 1)] for share in (50, 95))
    return Delay(len(ordered), p50, p95)
