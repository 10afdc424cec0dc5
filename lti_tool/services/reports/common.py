"""The views that several pages share: a badge, the standing of an award."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lti_tool.models import Award, AwardStatus, BadgeClass
from lti_tool.services import awarding

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
    """One condition of an award, in words."""

    activity: str
    met: bool
    detail: str
    occurred_at: datetime | None


def badge_view(badge_class: BadgeClass) -> BadgeView:
    """A badge class for a page."""
    return BadgeView(badge_class.name, badge_class.description, badge_class.image_url, badge_class.issuer_name)


def state_of(award: Award) -> str:
    """The state of an award for a page: issued, on_the_way, held, failed or revoked."""
    return STATE[award.status]


def label_of(award: Award) -> str:
    """The state of an award in words."""
    if award.status is AwardStatus.HELD and award.hold_reason is not None:
        return awarding.HOLD_LABEL[award.hold_reason]
    if award.status is AwardStatus.REVOKING:
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
    )
