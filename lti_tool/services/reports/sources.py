"""The health of sources: when each last spoke, how much, what was refused or lost, and what is an alarm."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.errors import NotFoundError
from lti_tool.models import Event, EventStatus, Source, SourceHour
from lti_tool.services import health
from lti_tool.services.admins import Admin
from lti_tool.services.reports.delays import Delay, delay
from lti_tool.services.reports.hours import hour_from, hour_of
from lti_tool.services.sources import OWN_KINDS
from lti_tool.settings import Settings
from lti_tool.sources import KINDS

DAY, WEEK, HOUR = timedelta(days=1), timedelta(days=7), timedelta(hours=1)
# So many of the newest events tell how far the sender's clock is ahead.
NEWEST = 100
NOT_YOURS = "It does not exist, or it is not yours to administer."


@dataclass(frozen=True)
class SourceRow:
    """A source in the list; the numbers are of the last 24 hours."""

    id: int
    name: str
    kind: str
    platform_name: str
    state: str
    state_label: str
    last_event_at: datetime | None
    events: int
    refused: int
    lost: int


@dataclass(frozen=True)
class Bar:
    """One hour of a source."""

    hour: datetime
    events: int
    refused: int
    lost: int


@dataclass(frozen=True)
class Chart:
    """A source hour by hour."""

    bars: list[Bar]

    @property
    def events(self) -> int:
        """How many events came."""
        return sum(bar.events for bar in self.bars)

    @property
    def refused(self) -> int:
        """How many deliveries were refused."""
        return sum(bar.refused for bar in self.bars)

    @property
    def lost(self) -> int:
        """How many results the pull found that no event had told."""
        return sum(bar.lost for bar in self.bars)

    @property
    def busiest(self) -> Bar:
        """The hour with the most events."""
        return max(self.bars, key=lambda bar: bar.events)


@dataclass(frozen=True)
class Health:
    """Everything that is known of how a source is; `ahead` is by how many seconds its clock is at least ahead."""

    state: str
    state_label: str
    last_event_at: datetime | None
    day: Chart
    week: Chart
    last_fault: str | None
    last_fault_at: datetime | None
    ahead: float | None
    waiting: int
    unmatched: int
    failed: int
    in_replay: int
    delay_day: Delay
    delay_week: Delay


@dataclass(frozen=True)
class Alarm:
    """Something that somebody should look at; `source_id` is None when it is about all of them."""

    text: str
    source_id: int | None


def source_list(session: Session, admin: Admin, now: datetime) -> list[SourceRow]:
    """The sources that this administrator may see."""
    query = _visible(admin).order_by(Source.platform_id, Source.id)
    silent = {source.id for source in health.silent_sources(session, now)}
    rows = []
    for source in session.scalars(query):
        last = health.last_event_at(session, source.id)
        events = _count(session, source.id, Event.received_at >= now - DAY, health.is_real())
        refused, lost = _sums(_hours(session, source.id, now - DAY))
        state, label = _state(source, health.heard_at(session, source), is_silent=source.id in silent)
        kind = KINDS[source.kind].label if source.kind in KINDS else source.kind
        rows.append(
            SourceRow(source.id, source.name, kind, source.platform.name, state, label, last, events, refused, lost)
        )
    return rows


def find_source(session: Session, admin: Admin, source_id: int) -> Source:
    """A source that this administrator may see; raises NotFoundError."""
    found = session.scalar(_visible(admin).where(Source.id == source_id))
    if found is None:
        raise NotFoundError(NOT_YOURS)
    return found


def source_health(session: Session, source: Source, now: datetime) -> Health:
    """How a source is."""
    is_silent = source.id in {silent.id for silent in health.silent_sources(session, now)}
    last = health.last_event_at(session, source.id)
    state, label = _state(source, health.heard_at(session, source), is_silent=is_silent)
    week = _chart(session, source.id, now)
    waiting = Event.status == EventStatus.RECEIVED
    return Health(
        state=state,
        state_label=label,
        last_event_at=last,
        day=Chart(week.bars[-24:]),
        week=week,
        last_fault=source.last_fault,
        last_fault_at=source.last_fault_at,
        ahead=_ahead(session, source.id, now),
        waiting=_count(session, source.id, waiting),
        unmatched=_count(session, source.id, Event.status == EventStatus.UNMATCHED),
        failed=_count(session, source.id, Event.status == EventStatus.FAILED),
        in_replay=_count(session, source.id, waiting, Event.run_key.is_not(None)),
        delay_day=delay(session, now, DAY, source.id),
        delay_week=delay(session, now, WEEK, source.id),
    )


def alarms(session: Session, admin: Admin, settings: Settings, now: datetime) -> Iterator[Alarm]:
    """What an administrator should look at first."""
    visible = set(session.scalars(_visible(admin).with_only_columns(Source.id)))
    for source in health.silent_sources(session, now):
        if source.id in visible:
            yield Alarm(
                f"{source.name} has fallen silent: no event for more than {source.alarm_after_hours} hours. See in the "
                "LMS whether its webhook is still switched on.",
                source.id,
            )
    if admin.is_local:
        found = delay(session, now, DAY)
        if found.exceeds(settings.delay_objective_seconds):
            yield Alarm(
                f"Badges are slow: within the last day 95 of 100 took up to {found.p95:.0f} seconds from the event to "
                f"Badgr; {settings.delay_objective_seconds} are wanted. See under “Stuck awards” whether Badgr answers "
                "and a worker is there.",
                None,
            )


def _visible(admin: Admin) -> Select[Source]:
    query = select(Source).options(joinedload(Source.platform), joinedload(Source.deployment))
    if admin.is_local:
        return query
    own = or_(Source.deployment_id.is_(None), Source.deployment_id == admin.deployment_id)
    return query.where(Source.platform_id == admin.platform_id, own)


def _state(source: Source, last: datetime | None, *, is_silent: bool) -> tuple[str, str]:
    if not source.enabled:
        return "paused", "Switched off"
    if not source.platform.enabled:
        return "paused", "LMS switched off"
    if is_silent:
        return "failed", "Silent"
    if last is None:
        return "draft", "Works by itself" if source.kind in OWN_KINDS else "Has not spoken yet"
    return "issued", "At work"


def _count(session: Session, source_id: int, *conditions: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(Event).where(Event.source_id == source_id, *conditions)
    return session.scalar(query) or 0


def _chart(session: Session, source_id: int, now: datetime) -> Chart:
    last = now.replace(minute=0, second=0, microsecond=0)
    hours = [last - number * HOUR for number in reversed(range(24 * 7))]
    first = hours[0]
    hour = hour_of(session, Event.received_at)
    query = select(hour, func.count()).where(Event.source_id == source_id, Event.received_at >= first, health.is_real())
    counted = {hour_from(text): number for text, number in session.execute(query.group_by(hour))}
    faults = {row.hour: row for row in _hours(session, source_id, first)}
    return Chart([_bar(hour, counted.get(hour, 0), faults.get(hour)) for hour in hours])


def _bar(hour: datetime, events: int, faults: SourceHour | None) -> Bar:
    return Bar(hour, events, faults.failures if faults else 0, faults.lost if faults else 0)


def _hours(session: Session, source_id: int, since: datetime) -> Iterable[SourceHour]:
    return session.scalars(select(SourceHour).where(SourceHour.source_id == source_id, SourceHour.hour >= since))


def _sums(hours: Iterable[SourceHour]) -> tuple[int, int]:
    found = list(hours)
    return sum(hour.failures for hour in found), sum(hour.lost for hour in found)


def _ahead(session: Session, source_id: int, now: datetime) -> float | None:
    """Only ahead is certain: what comes late may have happened late, or may have been told late."""
    query = (
        select(Event.occurred_at, Event.received_at)
        .where(
            Event.source_id == source_id,
            Event.received_at >= now - WEEK,
            Event.occurred_at.is_not(None),
            health.is_real(),
        )
        .order_by(Event.received_at.desc())
        .limit(NEWEST)
    )
    found = [(at - received).total_seconds() for at, received in session.execute(query) if at is not None]
    ahead = max(found, default=0.0)
    # Less than this is the way and the rounding.
    return ahead if ahead >= 1 else None
