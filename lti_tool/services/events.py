"""What is kept of events, in which form, and for how long."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from lti_tool.domain.events import GradeEvent
from lti_tool.models import Event, EventStatus, MissingId
from lti_tool.services import sources
from lti_tool.settings import Settings
from lti_tool.sources import KINDS

# What is not worked on yet stays. What still fits nothing after all this time goes too: it is mostly about people of
# courses that never use badges.
DONE = (EventStatus.PROCESSED, EventStatus.FAILED)
NEVER_FITTED = "It fitted no course or person until its content was removed."


def told_by(event: Event) -> list[GradeEvent]:
    """What an event says; raises KeyError and MalformedError when it cannot be read any more."""
    return read_body(event.source.kind, event.body, is_rewritten=event.is_rewritten)


def read_body(kind: str, body: str, *, is_rewritten: bool) -> list[GradeEvent]:
    """What the content of an event of this kind of source says; raises KeyError and MalformedError."""
    return KINDS[sources.PULL_KIND if is_rewritten else kind].parse(body.encode())


def remove_old_bodies(session: Session, settings: Settings, now: datetime) -> None:
    """Take the contents out of old events; the fact that they came, and what came of them, stays."""
    if not settings.event_retention_days:
        return
    before = now - timedelta(days=settings.event_retention_days)
    old = (Event.received_at < before) & Event.body_removed_at.is_(None)
    unfitting = old & (Event.status == EventStatus.UNMATCHED)
    session.execute(delete(MissingId).where(MissingId.event_id.in_(select(Event.id).where(unfitting))))
    closed = {"status": EventStatus.PROCESSED, "reason": NEVER_FITTED}
    session.execute(update(Event).where(unfitting).values(closed))
    session.execute(update(Event).where(old & Event.status.in_(DONE)).values(body="", body_removed_at=now))
