"""The views that several pages share: a badge, the standing of an award."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import chunks
from lti_tool.domain.decision import Decision
from lti_tool.models import Award, AwardStatus, BadgeClass, Event, Source
from lti_tool.services import holding, reasons
from lti_tool.services.facts import FactBook

ON_THE_WAY = (AwardStatus.PENDING, AwardStatus.SENDING)
STATE = {
    AwardStatus.ISSUED: "issued",
    AwardStatus.PENDING: "on_the_way",
    AwardStatus.SENDING: "on_the_way",
    AwardStatus.HELD: "held",
    AwardStatus.FAILED: "failed",
    AwardStatus.REVOKING: "revoked",
    AwardStatus.REVOKED: "revoked",
}
LABEL = {
    "issued": "Issued",
    "on_the_way": "Being issued",
    "held": "Held",
    "failed": "Not accepted by Badgr",
    "revoked": "Revoked",
}


@dataclass(frozen=True)
class BadgeView:
    """A badge as people see it."""

    name: str
    description: str
    image_url: str | None
    issuer_name: str


@dataclass(frozen=True)
class EventView:
    """An event that told a result: its own id, its source, and when it came."""

    id: int
    delivery_id: str
    source: str
    received_at: datetime


@dataclass(frozen=True)
class ReasonView:
    """One condition or group of an award, in words: what was asked, whether it is met, and by what.

    `depth` says how deep it stands in groups, `event_id` which of our events told it (`event` where that was looked
    up); `progress` is 0 to 1.
    """

    activity: str
    met: bool
    detail: str
    occurred_at: datetime | None
    depth: int = 0
    event_id: int | None = None
    is_group: bool = False
    progress: float = 0.0
    event: EventView | None = None


def badge_view(badge_class: BadgeClass) -> BadgeView:
    """A badge class for a page."""
    return BadgeView(badge_class.name, badge_class.description, badge_class.image_url, badge_class.issuer_name)


def state_of(award: Award) -> str:
    """The state of an award for a page: issued, on_the_way, held, failed or revoked."""
    return STATE[award.status]


def label_of(award: Award) -> str:
    """The state of an award in words."""
    if award.status is AwardStatus.HELD and award.hold_reason is not None:
        return holding.HOLD_LABEL[award.hold_reason]
    if award.status is AwardStatus.REVOKING or (award.revocation_reason and award.status is not AwardStatus.REVOKED):
        return "Being revoked"
    if award.was_refused:
        return "Not approved"
    return LABEL[state_of(award)]


def reason_view(stored: Mapping[str, Any]) -> ReasonView:
    """A stored reason for a page."""
    moment = stored["occurred_at"]
    return ReasonView(
        stored["activity"],
        stored["met"],
        stored["detail"],
        datetime.fromisoformat(moment) if moment else None,
        stored.get("depth", 0),
        stored.get("event"),
        stored.get("group", False),
        1.0 if stored["met"] else 0.0,
    )


def reason_views(decision: Decision, book: FactBook) -> list[ReasonView]:
    """The reasons of a decision as it is now, group by group."""
    stored = reasons.stored_reasons(decision, book)
    progress = [reason.progress for reason, _ in reasons.reason_rows(decision.root)]
    return [replace(reason_view(row), progress=share) for row, share in zip(stored, progress, strict=True)]


def told_by(session: Session, reasons: Sequence[ReasonView]) -> list[ReasonView]:
    """The same reasons, each condition with the event that told it."""
    events = events_of(session, {reason.event_id for reason in reasons if reason.event_id})
    return [with_event(reason, events) for reason in reasons]


def with_event(reason: ReasonView, events: Mapping[int, EventView]) -> ReasonView:
    """The same reason with its event, when that is one of these; a group has none of its own."""
    if reason.is_group or reason.event_id is None:
        return reason
    return replace(reason, event=events.get(reason.event_id))


def events_of(session: Session, event_ids: Collection[int]) -> dict[int, EventView]:
    """Events by our key."""
    wanted = sorted(event_ids)
    query = select(Event.id, Event.delivery_id, Source.name, Event.received_at).join(Source)
    found: dict[int, EventView] = {}
    for some in chunks(wanted):
        for row in session.execute(query.where(Event.id.in_(some))):
            found[row.id] = EventView(row.id, row.delivery_id, row.name, row.received_at)
    return found
