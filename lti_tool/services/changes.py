"""What was changed at Badgr and not here: awards that were revoked there, badge classes that were edited or deleted.

Servers with a changed feed tell it all at once; at the others some awards are looked up each time, the ones that were
not looked at for longest. A few are looked up beside a feed as well: what was deleted stands in none.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from lti_tool.badgr.assertions import Assertion
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import (
    BadgrError,
    BlockedError,
    InvalidRequestError,
    NonsenseAnswerError,
    NotFoundError,
    ServerFaultError,
    ThrottledError,
    UnauthorizedError,
    UnreachableError,
)
from lti_tool.badgr.types import BadgeClass as RemoteBadgeClass
from lti_tool.logs import get_logger
from lti_tool.models import Award, AwardStatus, BadgeClass, Connection, Course, RevokedBy, Rule, RuleStatus
from lti_tool.services import awarding, chains, issuers, refusals, revocation, scores, throttle
from lti_tool.services.connections import ConnectionBusyError, ConnectionDeadError, with_client
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

EVERY = timedelta(minutes=15)
SAMPLE = 20
LONGEST_RECIPIENT = 320
SAMPLE_BESIDE_FEED = 5
OTHERS_ASKED = 5
# A feed without an answer from before starts a little before the first award that it could be about.
OVERLAP = timedelta(minutes=5)
NOT_SHOWN = (
    "Badgr does not show this badge to the connected account any more: it was deleted there, or the account has left "
    "the issuer."
)
MOVED = "At Badgr this badge has been given to another address."


def due_connections(tools: Toolbox, now: datetime) -> list[int]:
    """The connections in use whose changes were not looked for lately."""
    used = select(Course.connection_id).where(Course.connection_id.is_not(None))
    query = select(Connection.id).where(
        Connection.id.in_(used),
        Connection.dead_since.is_(None),
        Connection.changes_checked_at.is_(None) | (Connection.changes_checked_at <= now - EVERY),
    )
    with tools.database.read() as session:
        return list(session.scalars(query))


def look(tools: Toolbox, connection_id: int, now: datetime) -> None:
    """Look for changes by one connection; a failure changes nothing, and it is tried again next time."""
    with tools.database.write() as session:
        connection = session.get(Connection, connection_id)
        if connection is None or not connection.is_alive:
            return
        connection.changes_checked_at = now
        server_id, since = connection.server_id, connection.changes_until or _first_since(session, connection_id, now)
        session.commit()
        if throttle.closed_until(session, server_id, now):
            return
    try:
        with_client(tools, connection_id, now, lambda client: _look(tools, client, connection_id, since, now))
    except (ConnectionDeadError, ConnectionBusyError):
        return
    except BadgrError as error:
        throttle.note(tools, server_id, error, now)
        log.info("changes_not_read", connection_id=connection_id, status=error.status)


def _first_since(session: Session, connection_id: int, now: datetime) -> str:
    opened = select(func.min(Award.opened_at)).join(Course, Course.id == Award.course_id)
    first = session.scalar(opened.where(Course.connection_id == connection_id, Award.assertion_id.is_not(None)))
    return ((first or now) - OVERLAP).isoformat()


def _look(tools: Toolbox, client: BadgrClient, connection_id: int, since: str, now: datetime) -> None:
    with tools.database.read() as session:
        server_id = session.get_one(Connection, connection_id).server_id
    sample = SAMPLE
    try:
        changes = client.changed_assertions(since)
    except (NotFoundError, InvalidRequestError, BlockedError):
        # The server has no such feed, and says so in its own words or by a page.
        pass
    else:
        sample = SAMPLE_BESIDE_FEED
        if changes.odd:
            log.warning("changes_not_understood", connection_id=connection_id, entries=changes.odd)
        _apply(tools, server_id, changes.assertions, now)
        with tools.database.write() as session:
            session.get_one(Connection, connection_id).changes_until = changes.until[:100]
            session.commit()
    _apply(tools, server_id, _sampled(tools, client, connection_id, sample, now), now)
    _refresh_badge_classes(tools, client, connection_id, now)
    _refresh_roles(tools, client, connection_id, now)


def _refresh_roles(tools: Toolbox, client: BadgrClient, connection_id: int, now: datetime) -> None:
    remote = {issuer.entity_id: issuer for issuer in client.issuers()}
    with tools.database.write() as session:
        user_id = session.get_one(Connection, connection_id).badgr_user_id
        for course in session.scalars(select(Course).where(Course.connection_id == connection_id)):
            issuer = remote.get(course.issuer_entity_id or "")
            if issuer is not None:
                course.issuer_name, course.issuer_role = issuer.name, issuer.role_of(user_id)
            else:
                # Deleted, or the account is not on its staff any more: then it may do nothing there.
                course.issuer_role = None
        usable = [issuer_id for issuer_id, issuer in remote.items() if issuer.role_of(user_id)]
        refusals.try_again(session, connection_id, usable, now)
        session.commit()


def _sampled(tools: Toolbox, client: BadgrClient, connection_id: int, limit: int, now: datetime) -> Iterator[Assertion]:
    oldest_first = (
        select(Award.id, Award.assertion_id)
        .join(Course, Course.id == Award.course_id)
        .join(Connection, Connection.id == Course.connection_id)
        .join(BadgeClass, BadgeClass.id == Award.badge_class_id)
        .where(
            Course.connection_id == connection_id,
            BadgeClass.server_id == Connection.server_id,
            Award.status == AwardStatus.ISSUED,
            Award.assertion_id.is_not(None),
        )
        .order_by(Award.checked_at.asc().nulls_first(), Award.id)
        .limit(limit)
    )
    with tools.database.read() as session:
        rows = session.execute(oldest_first).all()
    for award_id, assertion_id in rows:
        try:
            yield client.assertion(assertion_id or "")
        except UnauthorizedError:
            raise
        except BadgrError as error:
            # Whatever is the matter with this one, the others have their turn.
            _not_shown(tools, award_id, now, is_gone=isinstance(error, NotFoundError))
            log.info("assertion_not_shown", award_id=award_id, status=error.status)
            if isinstance(error, UnreachableError | ThrottledError):
                raise


def _not_shown(tools: Toolbox, award_id: int, now: datetime, *, is_gone: bool) -> None:
    """Note that Badgr was asked for an assertion; that it does not show it is said once."""
    with tools.database.write() as session:
        award = session.get_one(Award, award_id, with_for_update=True)
        award.checked_at = now
        if is_gone:
            _tell_once(session, award, "unseen", NOT_SHOWN, now)
        session.commit()


def _apply(tools: Toolbox, server_id: int, assertions: Iterable[Assertion], now: datetime) -> None:
    for assertion in assertions:
        with tools.database.write() as session:
            # Another server may use the same ids: a copy of this one, for trying things out.
            query = select(Award).join(BadgeClass, BadgeClass.id == Award.badge_class_id)
            query = query.where(Award.assertion_id == assertion.entity_id, BadgeClass.server_id == server_id)
            for award in session.scalars(query.with_for_update(of=Award)):
                award.checked_at = now
                if award.status is not AwardStatus.REVOKED:
                    _take_over(session, award, assertion, now)
            session.commit()


def _take_over(session: Session, award: Award, assertion: Assertion, now: datetime) -> None:
    # An edit there draws the picture anew, under another address (BADGR.md §6.4).
    if "image" in assertion.told:
        award.image_url = assertion.image
    if "expires" in assertion.told:
        award.expires_at = assertion.expires
    award.issued_at = assertion.issued_on or award.issued_at
    if award.recipient and assertion.is_of_another(award.recipient):
        _tell_once(session, award, "moved", MOVED, now)
        if not assertion.recipient.startswith("sha256$"):
            award.recipient = assertion.recipient.lower()[:LONGEST_RECIPIENT]
    if assertion.revoked and award.status in (AwardStatus.ISSUED, AwardStatus.REVOKING):
        values = revocation.revoked_values(assertion, now)
        values["revoked_by"] = award.revoked_by or RevokedBy.BADGR
        session.execute(update(Award).where(Award.id == award.id).values(**values))
        awarding.add_step(session, award, "revoked", revocation.story(assertion), now)
        chains.follow_loss(session, [award], now)
        scores.schedule_loss(session, award, now)
        log.info("revoked_at_badgr", award_id=award.id)


def _tell_once(session: Session, award: Award, kind: str, text: str, now: datetime) -> None:
    if not award.steps or award.steps[-1].text != text:
        awarding.add_step(session, award, kind, text, now)


def _refresh_badge_classes(tools: Toolbox, client: BadgrClient, connection_id: int, now: datetime) -> None:
    """Keep the copies of the badge classes in use as they are at Badgr, and notice those that are gone."""
    in_use = (
        select(BadgeClass)
        .join(Rule, Rule.badge_class_id == BadgeClass.id)
        .join(Course, Course.id == Rule.course_id)
        .join(Connection, Connection.id == Course.connection_id)
        .where(Course.connection_id == connection_id, Rule.status != RuleStatus.DRAFT)
        .where(BadgeClass.server_id == Connection.server_id)
        .distinct()
    )
    with tools.database.read() as session:
        known = {(badge.id, badge.entity_id) for badge in session.scalars(in_use)}
    for badge_id, entity_id in known:
        remote: RemoteBadgeClass | None
        try:
            remote = client.badge_class(entity_id)
        except NotFoundError:
            remote = None
            if not _is_gone_for_all(tools, badge_id, entity_id, connection_id, now):
                continue
        except (ServerFaultError, NonsenseAnswerError, InvalidRequestError) as error:
            log.info("badge_class_not_read", badge_class=entity_id, status=error.status)
            continue
        with tools.database.write() as session:
            badge = session.get_one(BadgeClass, badge_id)
            if remote is None:
                badge.gone_at = badge.gone_at or now
            else:
                issuers.copy(badge, remote, now)
            session.commit()


def _is_gone_for_all(tools: Toolbox, badge_id: int, entity_id: str, but_connection_id: int, now: datetime) -> bool:
    """Whether no other account that awards this badge class sees it; one that cannot be asked may see it."""
    query = (
        select(Connection.id)
        .join(Course, Course.connection_id == Connection.id)
        .join(Rule, Rule.course_id == Course.id)
        .join(BadgeClass, BadgeClass.id == Rule.badge_class_id)
        .where(BadgeClass.id == badge_id, BadgeClass.server_id == Connection.server_id)
        .where(Connection.id != but_connection_id, Connection.dead_since.is_(None))
        .distinct()
        .limit(OTHERS_ASKED)
    )
    with tools.database.read() as session:
        others = list(session.scalars(query))
    for other in others:
        try:
            with_client(tools, other, now, lambda client: client.badge_class(entity_id))
        except NotFoundError:
            continue
        except (BadgrError, ConnectionDeadError, ConnectionBusyError):
            return False
        return False
    return True
