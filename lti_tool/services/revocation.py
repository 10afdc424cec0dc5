"""Takes awards back: asked for by a teacher, carried out at Badgr like an award is, whatever fails on the way."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lti_tool.badgr.assertions import Assertion
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import BadgrError, InvalidRequestError
from lti_tool.db import wake
from lti_tool.errors import ConflictError, InvalidInputError
from lti_tool.logs import get_logger
from lti_tool.models import Award, AwardStatus, Connection, RevokedBy
from lti_tool.models.award import REFUSED
from lti_tool.services import awarding, chains, issuers, scores, throttle
from lti_tool.services.connections import ConnectionBusyError, ConnectionDeadError, with_client
from lti_tool.services.facts import GONE
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

LONGEST_REASON = 255
RETRY = timedelta(minutes=1)
# Badgr has an assertion for such an award, or may have one any moment.
AT_BADGR = (AwardStatus.ISSUED, AwardStatus.SENDING)
# Badgr may have what was ever sent and has none of these outcomes from it.
IN_DOUBT = (AwardStatus.PENDING, AwardStatus.HELD, AwardStatus.FAILED)
STAYS = "Taken back here. It stays at Badgr: somebody else who uses the same address has earned it too."
WAITS_FOR_CONNECTION = "The badge is revoked as soon as the course is connected to its Badgr server again."


def request(tools: Toolbox, course_id: int, award_id: int, reason: str, actor: str, now: datetime) -> None:
    """Have an issued award revoked; raises InvalidInputError without a reason, ConflictError for any other award.

    An award that was not sent yet is given up at once.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise InvalidInputError(
            f"reason: must have 1 to {LONGEST_REASON} characters. The learner can read it at Badgr."
        )
    with tools.database.write() as session:
        awarding.lock_people(session, course_id, select(Award.person_id).where(Award.id == award_id))
        award = awarding.find(session, course_id, award_id, lock=True)
        if award.status in (AwardStatus.REVOKING, AwardStatus.REVOKED) or award.revocation_reason:
            raise ConflictError("This award is revoked already. Reload its page.")
        if was_sent(award) and not award.may_be_revoked:
            raise ConflictError(issuers.STAFF_ONLY)
        start(session, award, reason, actor, RevokedBy.TEACHER, now)
        session.commit()
        log.info("revocation_requested", award_id=award_id)


def was_sent(award: Award) -> bool:
    """Whether Badgr has an assertion for it, or may have one any moment."""
    return award.status in AT_BADGR


def start(session: Session, award: Award, reason: str, actor: str, by: RevokedBy, now: datetime) -> bool:
    """Take an award back: at once when Badgr does not have it, else there; whether that has begun.

    One that Badgr may have is revoked as soon as that is known. An account that is only staff may not revoke: then it
    stays, and says so.
    """
    return start_all(session, [award], reason, actor, by, now) == 1


def start_all(session: Session, awards: Sequence[Award], reason: str, actor: str, by: RevokedBy, now: datetime) -> int:
    """What `start` does, for many awards; of how many it has begun."""
    taken = [award for award in awards if _start(session, award, reason, actor, by, now)]
    session.flush()
    chains.follow_loss(session, [award for award in taken if award.status in GONE], now)
    return len(taken)


def _start(session: Session, award: Award, reason: str, actor: str, by: RevokedBy, now: datetime) -> bool:
    if award.status in (AwardStatus.REVOKING, AwardStatus.REVOKED) or award.revocation_reason:
        return False
    if was_sent(award) and not award.may_be_revoked:
        if award.advice != issuers.STAFF_ONLY:
            award.advice = issuers.STAFF_ONLY
            awarding.add_step(session, award, "failed", f"{actor} wants to revoke it. {issuers.STAFF_ONLY}", now)
        return False
    award.revocation_reason, award.revoked_by, award.advice = reason[:LONGEST_REASON], by, None
    if award.status is AwardStatus.SENDING:
        # Badgr may have it any moment: delivery finds out, sends nothing any more, and has it revoked.
        awarding.add_step(session, award, "revoking", f"{actor} revokes it: {reason}", now)
    elif award.attempts and award.status in IN_DOUBT:
        # An answer may have got lost: Badgr is asked, whatever else this award was waiting for.
        awarding.add_step(session, award, "revoking", f"{actor} revokes it: {reason}", now)
        awarding.make_due(session, award, now)
    elif award.status is AwardStatus.ISSUED:
        award.status, award.due_at = AwardStatus.REVOKING, now
        awarding.add_step(session, award, "revoking", f"{actor} revokes it: {reason}", now)
        wake(session, "revocation", award.id)
    else:
        award.status, award.hold_reason, award.due_at, award.revoked_at = AwardStatus.REVOKED, None, now, now
        told = (
            f"{actor} did not approve it."
            if reason == REFUSED
            else f"{actor} took it back before it was sent: {reason}"
        )
        awarding.add_step(session, award, "revoked", told, now)
    return True


def due_revocations(session: Session, now: datetime, limit: int = 1000) -> list[int]:
    """The awards that should be revoked at Badgr now."""
    query = select(Award.id).where(Award.status == AwardStatus.REVOKING, Award.due_at <= now)
    return list(session.scalars(query.order_by(Award.due_at).limit(limit)))


def revoke(tools: Toolbox, award_id: int, now: datetime) -> AwardStatus | None:
    """Revoke an award at Badgr if that is due; None when there was nothing to do."""
    claimed = _claim(tools, award_id, now)
    if claimed is None:
        return None
    lease, connection_id, assertion_id, reason, is_shared = claimed
    if is_shared:
        values = {"status": AwardStatus.REVOKED, "lease": None, "advice": None, "revoked_at": now, "image_url": None}
        return _finish(tools, award_id, lease, values, "revoked", STAYS, now)
    try:
        if connection_id is None:
            raise ConnectionDeadError
        revoked = with_client(tools, connection_id, now, lambda client: _ensure_revoked(client, assertion_id, reason))
    except (ConnectionDeadError, ConnectionBusyError) as error:
        advice = str(error) if isinstance(error, ConnectionBusyError) else WAITS_FOR_CONNECTION
        return _later(tools, award_id, lease, advice, now)
    except BadgrError as error:
        _note(tools, connection_id, error, now)
        if error.retryable or error.in_doubt:
            return _later(tools, award_id, lease, error.advice, now)
        return _give_up(tools, award_id, lease, error, now)
    return _finish(tools, award_id, lease, revoked_values(revoked, now), "revoked", story(revoked), now)


def revoked_values(assertion: Assertion, now: datetime) -> dict[str, object]:
    """What the award of a revoked assertion becomes."""
    return {
        "status": AwardStatus.REVOKED,
        "lease": None,
        "advice": None,
        "revocation_reason": assertion.revocation_reason[:LONGEST_REASON] or None,
        "revoked_at": now,
        "image_url": None,
        "checked_at": now,
    }


def story(assertion: Assertion) -> str:
    """The line in the time line for an assertion that Badgr says is revoked."""
    reason = assertion.revocation_reason
    return f"Revoked at Badgr: {reason}" if reason else "Revoked at Badgr, without a reason."


def _claim(tools: Toolbox, award_id: int, now: datetime) -> tuple[str, int | None, str, str, bool] | None:
    lease = secrets.token_hex(8)
    with tools.database.write() as session:
        award = session.get(Award, award_id, with_for_update=True)
        if award is None or award.status is not AwardStatus.REVOKING or award.due_at > now:
            return None
        connection = award.course.connection
        if connection is not None and (until := throttle.enter(session, connection.server_id, now)):
            # The server is left alone: this waits like the awards do.
            award.due_at = until
            wake(session, "revocation", award_id, until)
            session.commit()
            return None
        award.lease, award.due_at = lease, now + timedelta(seconds=tools.settings.delivery_lease_seconds)
        session.commit()
        is_there = connection is not None and connection.server_id == award.badge_class.server_id
        connection_id = award.course.connection_id if is_there else None
        is_shared = _is_somebody_elses_too(session, award)
        return lease, connection_id, award.assertion_id or "", award.revocation_reason or "", is_shared


def _is_somebody_elses_too(session: Session, award: Award) -> bool:
    """Whether another person's award is this assertion as well: to Badgr, people with one address are one holder."""
    query = select(Award.id).where(
        Award.badge_class_id == award.badge_class_id,
        Award.assertion_id == award.assertion_id,
        Award.id != award.id,
        Award.status == AwardStatus.ISSUED,
    )
    return session.scalar(query.limit(1)) is not None


def _note(tools: Toolbox, connection_id: int | None, error: BadgrError, now: datetime) -> None:
    if connection_id is not None:
        with tools.database.read() as session:
            server_id = session.get_one(Connection, connection_id).server_id
        throttle.note(tools, server_id, error, now)


def _ensure_revoked(client: BadgrClient, assertion_id: str, reason: str) -> Assertion:
    """Revoke it, unless that was done already; a second time is refused with 400 (BADGR.md §6.5)."""
    present = client.assertion(assertion_id)
    if present.revoked:
        return present
    try:
        return client.revoke(assertion_id, reason)
    except BadgrError as error:
        if error.in_doubt or isinstance(error, InvalidRequestError):
            present = client.assertion(assertion_id)
            if present.revoked:
                return present
        raise


def _later(tools: Toolbox, award_id: int, lease: str, advice: str, now: datetime) -> AwardStatus | None:
    values = {"lease": None, "advice": advice[:1000], "due_at": now + RETRY}
    return _finish(tools, award_id, lease, values, "retry", advice, now)


def _give_up(tools: Toolbox, award_id: int, lease: str, error: BadgrError, now: datetime) -> AwardStatus | None:
    advice = f"It could not be revoked: {error.advice}"
    values = {
        "status": AwardStatus.ISSUED,
        "lease": None,
        "advice": advice[:1000],
        "revocation_reason": None,
        "revoked_by": None,
    }
    return _finish(tools, award_id, lease, values, "failed", advice, now)


def _finish(
    tools: Toolbox, award_id: int, lease: str, values: Mapping[str, object], kind: str, text: str, now: datetime
) -> AwardStatus | None:
    with tools.database.write() as session:
        award = session.get_one(Award, award_id, with_for_update=True)
        if award.lease != lease:
            return None
        former = award.advice
        session.execute(update(Award).where(Award.id == award_id).values(**values))
        session.refresh(award)
        # A revocation that waits for days says so once, not every minute.
        if kind != "retry" or former != text:
            awarding.add_step(session, award, kind, text, now)
        chains.follow_loss(session, [award], now)
        if award.status is AwardStatus.REVOKED:
            scores.schedule_loss(session, award, now)
        session.commit()
        log.info("award_revocation", award_id=award_id, outcome=kind)
        return award.status
