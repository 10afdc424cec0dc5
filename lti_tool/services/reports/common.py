"""The views that several pages share: a badge, the standing of an award."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lti_tool.domain.decision import Decision
from lti_tool.models import Award, AwardStatus, BadgeClass
from lti_tool.services import awarding, holding
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
class ReasonView:
    """One condition or group of an award, in words: what was asked, whether it is met, and by what.

    `depth` says how deep it stands in groups, `event_id` which of our events told it; `progress` is 0 to 1.
    """

    activity: str
    met: bool
    detail: str
    occurred_at: datetime | None
    depth: int = 0
    event_id: int | None = None
    is_group: bool = False
    progress: float = 0.0


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
    stored = awarding.stored_reasons(decision, book)
    progress = [reason.progress for reason, _ in awarding.reason_rows(decision.root)]
    return [replace(reason_view(row), progress=share) for row, share in zip(stored, progress, strict=True)]
