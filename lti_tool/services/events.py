"""What is kept of events, and for how long."""

from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from lti_tool.models import Event, EventStatus
from lti_tool.settings import Settings

# Those that wait for somebody stay readable: they may still be matched.
DONE = (EventStatus.PROCESSED, EventStatus.FAILED)


def remove_old_bodies(session: Session, settings: Settings, now: datetime) -> None:
    """Take the contents out of old events that are dealt with; the fact that they came stays."""
    if not settings.event_retention_days:
        return
    before = now - timedelta(days=settings.event_retention_days)
    old = (Event.received_at < before) & Event.body_removed_at.is_(None) & Event.status.in_(DONE)
    session.execute(update(Event).where(old).values(body="", body_removed_at=now))
