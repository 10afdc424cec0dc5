"""The page of one award: why it was earned, where it stands, and its time line."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from lti_tool.domain.criteria import badges_of, describe
from lti_tool.models import Award, AwardStatus, Event
from lti_tool.services import decisions, facts
from lti_tool.services.reports.common import (
    BadgeView,
    ReasonView,
    badge_view,
    label_of,
    reason_view,
    state_of,
    told_by,
)


@dataclass(frozen=True)
class StepView:
    """One line of a time line."""

    at: datetime
    kind: str
    text: str
    event_id: int | None


@dataclass(frozen=True)
class AwardView:
    """Everything on an award's page."""

    id: int
    badge: BadgeView
    person_name: str
    recipient: str | None
    status: str
    status_label: str
    advice: str | None
    achieved_at: datetime
    issued_at: datetime | None
    verify_url: str | None
    sentence: str
    reasons: list[ReasonView]
    steps: list[StepView]
    can_retry: bool
    can_revoke: bool
    was_sent: bool
    may_be_revoked: bool
    expires_at: datetime | None
    next_attempt_at: datetime | None
    rule_id: int
    person_id: int
    # The version of the rule that earned it, and the one that is in force now.
    version: int
    current_version: int
    by_hand: bool
    # Why the results do not earn it any more; None while they do.
    fall_detail: str | None
    fell_at: datetime | None
    # Whether a teacher is asked what becomes of it, and when one said to keep it all the same.
    is_proposed: bool
    fall_kept_at: datetime | None
    # The run that it came with; None for an award of its own.
    run_id: int | None


def award_view(session: Session, award: Award) -> AwardView:
    """An award for its page, for `award explain` and for exports."""
    waits = award.status is AwardStatus.PENDING and award.attempts > 0
    return AwardView(
        id=award.id,
        badge=badge_view(award.badge_class),
        person_name=award.person.display_name,
        recipient=award.recipient or award.person.badge_address,
        status=state_of(award),
        status_label=label_of(award),
        advice=award.advice,
        achieved_at=award.achieved_at,
        issued_at=award.issued_at,
        verify_url=award.open_badge_id,
        sentence=_sentence(session, award),
        rule_id=award.rule_id,
        person_id=award.person_id,
        version=award.rule_version.number,
        current_version=award.rule.version,
        by_hand=award.by_hand,
        fall_detail=award.fall_detail if award.fell_at is not None else None,
        fell_at=award.fell_at,
        is_proposed=session.scalar(decisions.proposals(award.course_id).where(Award.id == award.id)) is not None,
        fall_kept_at=award.fall_kept_at,
        run_id=award.run_id,
        reasons=told_by(session, [reason_view(reason) for reason in award.reasons]),
        steps=_steps(session, award),
        can_retry=waits or award.status is AwardStatus.FAILED,
        can_revoke=award.status not in (AwardStatus.REVOKING, AwardStatus.REVOKED) and not award.revocation_reason,
        was_sent=award.assertion_id is not None,
        may_be_revoked=award.may_be_revoked,
        expires_at=award.expires_at,
        next_attempt_at=award.due_at if waits else None,
    )


def _sentence(session: Session, award: Award) -> str:
    criteria = award.rule_version.criteria
    names = facts.badge_names(session, badges_of(criteria))
    return describe(criteria, facts.activity_titles(session, award.course_id), names)


def _steps(session: Session, award: Award) -> list[StepView]:
    """The award's own steps, led by the event that brought the result."""
    own = [StepView(step.at, step.kind, step.text, step.event_id) for step in award.steps]
    event_id = next((step.event_id for step in award.steps if step.event_id), None)
    event = session.get(Event, event_id) if event_id else None
    if event is None:
        return own
    text = f"The LMS sent event {event.delivery_id} (source “{event.source.name}”)."
    return [StepView(event.received_at, "event", text, event.id), *own]
