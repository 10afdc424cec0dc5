"""Sends one award to Badgr so that there is exactly one assertion, whatever fails on the way.

Claim by a conditional update with a lease, commit, talk to Badgr outside any transaction, write the outcome.
Every attempt asks Badgr first what it has: the award of a worker that died, or whose answer got lost, is found there.
"""

import random
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lti_tool.badgr.assertions import Assertion
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import BadgrError, DuplicateAwardError
from lti_tool.db import wake
from lti_tool.logs import get_logger
from lti_tool.models import Award, AwardStatus, Enrolment, RevokedBy
from lti_tool.services import awarding, chains, holding, revocation, scores, throttle
from lti_tool.services.connections import ConnectionBusyError, ConnectionDeadError, with_client
from lti_tool.services.facts import GONE
from lti_tool.services.jobs import Job, is_going_to_another, job_of
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 3600.0
BUSY_RETRY_SECONDS = 2.0
# Badgr says "already awarded" but does not show the assertion: we do not say "issued" without its id.
DUPLICATE_ATTEMPTS = 5
SOMEBODY_ELSES = "Badgr has a badge at this address that may be somebody else's. First it is found out whose it is."


def deliver(tools: Toolbox, award_id: int, now: datetime) -> AwardStatus | None:
    """Send an award if it is due and nobody else is sending it; None when there was nothing to do."""
    job = _claim(tools, award_id, now)
    if job is None:
        return None
    try:
        assertion, story = with_client(tools, job.connection_id, now, lambda client: _ensure(client, job))
    except ConnectionDeadError:
        return _settle_again(tools, job, now)
    except ConnectionBusyError as error:
        return _try_later(tools, job, str(error), BUSY_RETRY_SECONDS, now)
    except BadgrError as error:
        throttle.note(tools, job.server_id, error, now)
        unseen_duplicate = isinstance(error, DuplicateAwardError) and job.attempt < DUPLICATE_ATTEMPTS
        if error.retryable or error.in_doubt or unseen_duplicate:
            return _try_later(tools, job, error.advice, _pause(job.attempt, error.retry_after), now)
        return _give_up(tools, job, error, now)
    throttle.note(tools, job.server_id, None, now)
    return _record(tools, job, assertion, story, now)


def due_awards(session: Session, now: datetime, limit: int = 1000) -> list[int]:
    """The awards that should be sent now, those of dead workers included."""
    query = (
        select(Award.id)
        .where(Award.status.in_([AwardStatus.PENDING, AwardStatus.SENDING]), Award.due_at <= now)
        .order_by(Award.due_at)
        .limit(limit)
    )
    return list(session.scalars(query))


def _claim(tools: Toolbox, award_id: int, now: datetime) -> Job | None:
    lease = secrets.token_hex(8)
    with tools.database.write() as session:
        award = session.get(Award, award_id, with_for_update=True)
        if award is None or not _is_due(award, now):
            return None
        enrolment = session.scalar(select(Enrolment).filter_by(course_id=award.course_id, person_id=award.person_id))
        if enrolment is None or holding.why_award_held(award, enrolment) is not None:
            if enrolment is not None:
                awarding.settle(session, award, enrolment, now)
            session.commit()
            return None
        again_at = throttle.enter(session, throttle.server_of(session, award.course), now)
        if again_at is not None:
            award.status, award.lease, award.due_at = AwardStatus.PENDING, None, again_at
            wake(session, "award", award_id, again_at)
            session.commit()
            return None
        job = job_of(session, award, enrolment, lease, now)
        try:
            session.execute(
                update(Award)
                .where(Award.id == award_id)
                .values(
                    status=AwardStatus.SENDING,
                    lease=lease,
                    attempts=job.attempt,
                    recipient=job.award.recipient,
                    tried_addresses=[*job.other_addresses, job.award.recipient],
                    # While it is being sent this is the end of the lease: the sweep finds it then.
                    due_at=now + timedelta(seconds=tools.settings.delivery_lease_seconds),
                )
            )
            awarding.add_step(session, award, "sending", f"Attempt {job.attempt}: asking Badgr.", now)
            session.commit()
        except IntegrityError:
            session.rollback()
            _step_aside(session, award_id, now)
            return None
        return job


def _is_due(award: Award, now: datetime) -> bool:
    return award.status in (AwardStatus.PENDING, AwardStatus.SENDING) and award.due_at <= now


def _step_aside(session: Session, award_id: int, now: datetime) -> None:
    """Another award of this badge to the same address is being sent: come back when it is through."""
    award = session.get_one(Award, award_id)
    award.due_at = now + timedelta(seconds=BUSY_RETRY_SECONDS)
    wake(session, "award", award_id, award.due_at)
    session.commit()


def _ensure(client: BadgrClient, job: Job) -> tuple[Assertion | None, str]:
    """Make sure that the assertion exists: look, send, and look again when in doubt (BADGR.md §6.2)."""
    for address in (*job.other_addresses, job.award.recipient):
        if found := _look_up(client, job, address):
            return found, "Badgr already has it; nothing was sent."
    if job.only_look:
        return None, "Badgr never got it: it was taken back before it was sent."
    try:
        return client.award(job.badge_class_id, job.award), "Badgr issued it."
    except DuplicateAwardError:
        if found := _look_up(client, job, job.award.recipient):
            return found, "Badgr had it already when we sent it."
        raise
    except BadgrError as error:
        if error.in_doubt and (found := _look_up(client, job, job.award.recipient, was_sent=True)):
            return found, f"Badgr's answer got lost ({error.advice}), but the badge is there."
        raise


def _look_up(client: BadgrClient, job: Job, address: str, *, was_sent: bool = False) -> Assertion | None:
    """The live assertion, else one that was made for this award and is revoked or over: that is not awarded again."""
    told = client.find_assertions(job.badge_class_id, address)
    # When it was made is told by the server's clock, which its answer has just shown; when it was earned, by ours.
    opened_at = job.opened_at - client.clock_behind
    found = [assertion for assertion in told if assertion.entity_id not in job.former]
    newer = [a for a in found if a.created_at is not None and a.created_at >= opened_at]
    # Where Badgr does not say when it was made, one that we do not know may be what we sent, once we have sent it.
    undated = [a for a in found if a.created_at is None and (was_sent or job.attempt > 1)]
    others = job.of_others if job.is_unsure_of(address) else frozenset()
    candidates = newer + undated if job.award.allow_duplicate else found
    live = [a for a in candidates if a.is_live and a.entity_id not in others]
    ours = [a for a in newer if not a.is_live and a.entity_id not in job.of_others]
    return min(live or ours, key=lambda assertion: assertion.entity_id, default=None)


def _record(tools: Toolbox, job: Job, assertion: Assertion | None, story: str, now: datetime) -> AwardStatus | None:
    if assertion is None:
        gone = {"status": AwardStatus.REVOKED, "lease": None, "advice": None, "revoked_at": now}
        return _finish(tools, job, gone, "revoked", story, now)
    # An attempt before may have been for another address.
    told = [address for address in job.other_addresses if assertion.belongs_to(address)]
    address = next(iter(told), job.award.recipient)
    if job.is_unsure_of(address) and _goes_to_another(tools, job, assertion, address):
        return _try_later(tools, job, SOMEBODY_ELSES, BUSY_RETRY_SECONDS, now)
    values: dict[str, object] = {
        "status": AwardStatus.ISSUED,
        "recipient": address,
        "lease": None,
        "advice": None,
        "assertion_id": assertion.entity_id,
        "open_badge_id": assertion.open_badge_id,
        "image_url": assertion.image,
        "issued_at": assertion.issued_on or now,
        # What the answer does not say is what we have sent.
        "expires_at": assertion.expires if "expires" in assertion.told else job.award.expires,
        "checked_at": now,
    }
    if assertion.revoked:
        values |= revocation.revoked_values(assertion, now) | {"revoked_by": RevokedBy.BADGR}
        return _finish(tools, job, values, "revoked", revocation.story(assertion), now)
    return _finish(tools, job, values, "issued", f"{story} Assertion {assertion.entity_id}.", now)


def _goes_to_another(tools: Toolbox, job: Job, assertion: Assertion, address: str) -> bool:
    with tools.database.read() as session:
        return is_going_to_another(session, job, assertion.entity_id, address)


def _try_later(tools: Toolbox, job: Job, advice: str, seconds: float, now: datetime) -> AwardStatus | None:
    due_at = now + timedelta(seconds=seconds)
    values = {"status": AwardStatus.PENDING, "lease": None, "advice": advice[:1000], "due_at": due_at}
    text = f"{advice} Next attempt in about {max(1, round(seconds))} seconds."
    return _finish(tools, job, values, "retry", text, now)


def _give_up(tools: Toolbox, job: Job, error: BadgrError, now: datetime) -> AwardStatus | None:
    values = {"status": AwardStatus.FAILED, "lease": None, "advice": error.advice[:1000]}
    return _finish(tools, job, values, "failed", error.advice, now)


def _settle_again(tools: Toolbox, job: Job, now: datetime) -> AwardStatus | None:
    """The connection died: the award is held until somebody connects again."""
    with tools.database.write() as session:
        award = session.get_one(Award, job.award_id, with_for_update=True)
        if award.lease != job.lease:
            return None
        award.lease = None
        enrolment = session.scalars(
            select(Enrolment).filter_by(course_id=award.course_id, person_id=award.person_id)
        ).one()
        awarding.settle(session, award, enrolment, now)
        session.commit()
        return award.status


def _finish(
    tools: Toolbox, job: Job, values: Mapping[str, object], kind: str, text: str, now: datetime
) -> AwardStatus | None:
    """Write the outcome, unless the lease has passed to another worker: then that one tells the story."""
    with tools.database.write() as session:
        award = session.get_one(Award, job.award_id, with_for_update=True)
        if award.lease != job.lease:
            log.warning("lease_lost", award_id=job.award_id, outcome=kind)
            return None
        for name, value in values.items():
            setattr(award, name, value)
        awarding.add_step(session, award, kind, text, now)
        if award.revocation_reason and award.status is not AwardStatus.REVOKED:
            _revoke_after_all(session, award, job, now)
        elif award.status is AwardStatus.PENDING:
            wake(session, "award", award.id, award.due_at)
        elif award.status is AwardStatus.ISSUED and award.rule.has_column:
            scores.schedule(session, award, now)
        if award.status in GONE:
            chains.follow_loss(session, [award], now)
        session.commit()
        log.info("award_delivery", award_id=award.id, outcome=kind, attempt=job.attempt)
        return award.status


def _revoke_after_all(session: Session, award: Award, job: Job, now: datetime) -> None:
    """Somebody took it back while it was being sent."""
    if award.status is AwardStatus.ISSUED:
        award.status, award.due_at = AwardStatus.REVOKING, now
        wake(session, "revocation", award.id)
    elif award.status is AwardStatus.PENDING:
        # Badgr may have it: what became of it is looked up first, and then it is revoked.
        wake(session, "award", award.id, award.due_at)
    elif job.attempt == 1:
        award.status, award.revoked_at = AwardStatus.REVOKED, now
    # Else Badgr may have it from an attempt before, and does not let us look: that is not said to be revoked.


def _pause(attempt: int, asked: float | None) -> float:
    """Seconds until the next attempt: what the server asks for, else doubled each time, with jitter."""
    wait = min(FIRST_RETRY_SECONDS * 2.0 ** min(attempt - 1, 20), LONGEST_RETRY_SECONDS)
    return max(asked or 0.0, wait * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
