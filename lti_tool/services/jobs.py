"""What one attempt to send an award needs to know, read in the transaction that claims the award."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from lti_tool.badgr.assertions import NewAward
from lti_tool.badgr.types import Lifetime
from lti_tool.models import Award, AwardStatus, Enrolment, Repeat
from lti_tool.services import narratives


@dataclass(frozen=True)
class Job:
    """What one attempt needs to know, read while the award was claimed."""

    award_id: int
    lease: str
    attempt: int
    connection_id: int
    server_id: int
    badge_class_id: str
    opened_at: datetime
    award: NewAward
    # It was taken back meanwhile: only find out whether Badgr has it.
    only_look: bool
    # Other addresses that earlier attempts were for: Badgr may have the badge there.
    other_addresses: tuple[str, ...]
    # What Badgr has of earlier times that this person earned the badge.
    former: frozenset[str]
    # What other people have been given at these addresses.
    of_others: frozenset[str]

    def is_unsure_of(self, address: str) -> bool:
        """Whether what stands at this address may be somebody else's: a former address, or nothing is wanted at all.

        At the present one whoever has the address has the badge (BADGR.md §6.2).
        """
        return self.only_look or address != self.award.recipient


def job_of(session: Session, award: Award, enrolment: Enrolment, lease: str, now: datetime) -> Job:
    """The next attempt at an award that nothing holds back."""
    former = _former(session, award)
    connection = award.course.connection
    # Attempts of a former release have left the last one alone.
    tried = award.tried_addresses or ([award.recipient] if award.recipient else [])
    # Of somebody who has no address any more, what was sent before can still be looked for.
    recipient = (enrolment.person.badge_address or next(iter(tried), "")).strip().lower()
    assert connection is not None
    assert recipient
    other_addresses = tuple(address for address in tried if address != recipient)
    return Job(
        award_id=award.id,
        lease=lease,
        attempt=award.attempts + 1,
        connection_id=connection.id,
        server_id=connection.server_id,
        badge_class_id=award.badge_class.entity_id,
        opened_at=award.opened_at,
        award=_new_award(award, recipient, now, has_others=bool(former)),
        only_look=award.revocation_reason is not None,
        other_addresses=other_addresses,
        former=former,
        of_others=_of_others(session, award, [*other_addresses, recipient]),
    )


def is_going_to_another(session: Session, job: Job, assertion_id: str, address: str) -> bool:
    """Whether an assertion at this address has become somebody else's meanwhile, or is about to.

    Their answer may be under way, or lost, so that nobody knows yet which assertion is theirs.
    """
    award = session.get_one(Award, job.award_id)
    is_under_way = Award.status.in_((AwardStatus.PENDING, AwardStatus.SENDING)) & (Award.recipient == address)
    query = _others(award).where((Award.assertion_id == assertion_id) | (Award.assertion_id.is_(None) & is_under_way))
    return session.scalar(query.with_only_columns(Award.id).limit(1)) is not None


def _former(session: Session, award: Award) -> frozenset[str]:
    query = select(Award.assertion_id, Award.status).where(
        Award.badge_class_id == award.badge_class_id, Award.person_id == award.person_id, Award.id != award.id
    )
    own = {assertion_id: status for assertion_id, status in session.execute(query) if assertion_id}
    taken = [assertion_id for assertion_id, status in own.items() if status is AwardStatus.REVOKED]
    # What was taken from this person and stays at Badgr, for somebody of the same address has it, can be theirs again.
    shared = _others(award).where(Award.assertion_id.in_(taken), Award.status == AwardStatus.ISSUED)
    return frozenset(own) - frozenset(session.scalars(shared) if taken else ())


def _of_others(session: Session, award: Award, addresses: Sequence[str]) -> frozenset[str]:
    return frozenset(filter(None, session.scalars(_others(award).where(Award.recipient.in_(addresses)))))


def _others(award: Award) -> Select[Any]:
    return select(Award.assertion_id).where(
        Award.badge_class_id == award.badge_class_id, Award.person_id != award.person_id
    )


def _new_award(award: Award, recipient: str, now: datetime, *, has_others: bool) -> NewAward:
    lifetime = Lifetime.parse(award.badge_class.expires)
    issued_on = min(award.achieved_at, now)
    return NewAward(
        recipient=recipient,
        issued_on=issued_on,
        narrative=narratives.fill(award),
        evidence_url=award.rule.evidence_url,
        notify=award.rule.notify,
        # Badgr does not apply the lifetime of a badge class by itself (BADGR.md §5).
        expires=lifetime.end(issued_on) if lifetime else None,
        # Badgr would refuse a badge that is meant to be earned again: then our own look-up alone guards.
        # They may go out in another order than they were earned in.
        allow_duplicate=(award.number > 1 or has_others) and award.rule_version.repeat is not Repeat.ONCE,
    )
