"""Counts what goes wrong at sources, and raises the alarm when one that used to speak falls silent."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from lti_tool.db import get_or_create
from lti_tool.logs import get_logger
from lti_tool.models import Deployment, Event, Platform, Source, SourceHour
from lti_tool.services import marks
from lti_tool.services.sources import OWN_KINDS
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

# Some LMSs send everything that happens in them: not each of it is worth a row.
HEARD_STEP = timedelta(minutes=1)


def note_refusal(tools: Toolbox, source_id: int, reason: str, now: datetime) -> None:
    """Count a delivery that was refused, and keep why."""
    with tools.database.write() as session:
        _hour(session, source_id, now).failures += 1
        source = session.get_one(Source, source_id)
        source.last_fault_at, source.last_fault = now, reason[:500]
        session.commit()


def note_heard(tools: Toolbox, source: Source, now: datetime) -> None:
    """Remember that a source has said something that was right, though about nothing that is kept."""
    if source.last_heard_at is not None and source.last_heard_at > now - HEARD_STEP:
        return
    with tools.database.write() as session:
        session.execute(update(Source).where(Source.id == source.id).values(last_heard_at=now))
        session.commit()


def note_lost(session: Session, deployment: Deployment, number: int, now: datetime) -> None:
    """Count results that the LMS has, and that the sources which should have told them did not.

    These are the ones that have spoken before: some are only there to read by, and one that is still to be set up in
    the LMS has lost nothing.
    """
    query = (
        select(Source.id)
        .where(Source.platform_id == deployment.platform_id, Source.kind.not_in(OWN_KINDS), Source.enabled)
        .where(Source.deployment_id.is_(None) | (Source.deployment_id == deployment.id))
        .where(select(Event.id).where(Event.source_id == Source.id, is_real()).exists())
        .order_by(Source.id)
    )
    for source_id in session.scalars(query):
        _hour(session, source_id, now).lost += number


def silent_sources(session: Session, now: datetime) -> list[Source]:
    """The sources that have spoken once, and not for as long as an administrator thinks normal."""
    is_on = (Source.enabled, Platform.enabled, Source.alarm_after_hours > 0)
    query = select(Source).join(Source.platform).where(*is_on).order_by(Source.id)
    return [source for source in session.scalars(query) if _is_silent(session, source, now)]


def raise_alarms(session: Session, now: datetime) -> None:
    """Say once that a source has fallen silent, and forget it when it speaks again."""
    silent = {source.id for source in silent_sources(session, now)}
    query = select(Source).where(Source.alarmed_at.is_not(None) | Source.id.in_(silent)).with_for_update()
    for source in session.scalars(query):
        if source.id not in silent:
            source.alarmed_at = None
            log.warning("source_speaks_again", source_id=source.id)
        elif source.alarmed_at is None:
            source.alarmed_at = now
            log.error("source_silent", source_id=source.id, hours=source.alarm_after_hours)


def _is_silent(session: Session, source: Source, now: datetime) -> bool:
    last = heard_at(session, source)
    return last is not None and last < now - timedelta(hours=source.alarm_after_hours)


def last_event_at(session: Session, source_id: int) -> datetime | None:
    """When the last event of a source came; what the tool sends to itself as a test does not count."""
    query = select(Event.received_at).where(Event.source_id == source_id, is_real())
    return session.scalar(query.order_by(Event.received_at.desc()).limit(1))


def heard_at(session: Session, source: Source) -> datetime | None:
    """When a source has spoken last, of whatever; None when it never has."""
    return max(filter(None, (last_event_at(session, source.id), source.last_heard_at)), default=None)


def is_real() -> ColumnElement[bool]:
    """That an event is no test of the tool's own."""
    return Event.run_key.is_distinct_from(marks.TEST_RUN)


def _hour(session: Session, source_id: int, now: datetime) -> SourceHour:
    hour = now.replace(minute=0, second=0, microsecond=0)
    return get_or_create(session, SourceHour, {"source_id": source_id, "hour": hour}, failures=0, lost=0)
