"""What was changed at Badgr and not here: awards that were revoked there, badge classes that were edited or deleted.

Servers with a changed feed tell it all at once; at the others a few awards are looked up each time, the ones that were
not looked at for longest.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from lti_tool.badgr.assertions import Assertion
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.errors import BadgrError, InvalidRequestError, NotFoundError
from lti_tool.badgr.types import BadgeClass as RemoteBadgeClass
from lti_tool.logs import get_logger
from lti_tool.models import Award, AwardStatus, BadgeClass, Connection, Course, RevokedBy, Rule, RuleStatus
from lti_tool.services import awarding, chains, issuers, revocation, scores, throttle
from lti_tool.services.connections import ConnectionBusyError, ConnectionDeadError, with_client
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

EVERY = timedelta(minutes=15)
SAMPLE = 20
OTHERS_ASKED = 5
# A feed without an answer from before starts a little before the first award that it could be about.
OVERLAP = timedelta(minutes=5)
NOT_SHOWN = (
    "Badgr does not show this badge to the connected account any more: it was deleted there, or the account has left "
    "the issuer."
)


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
    try:
        changes = client.changed_assertions(since)
    except (NotFoundError, InvalidRequestError):
        # The server has no such feed.
        _apply(tools, _sampled(tools, client, connection_id, now), now)
    else:
        _apply(tools, changes.assertions, now)
        with tools.database.write() as session:
            session.get_one(Connection, connection_id).changes_until = changes.until[:100]
            session.commit()
    _refresh_badge_classes(tools, client, connection_id, now)
    _refresh_roles(tools, client, connection_id)


def _refresh_roles(tools: Toolbox, client: BadgrClient, connection_id: int) -> None:
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
        session.commit()


def _sampled(tools: Toolbox, client: BadgrClient, connection_id: int, now: datetime) -> list[Assertion]:
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
        .limit(SAMPLE)
    )
    with tools.database.read() as session:
        rows = session.execute(oldest_first).all()
    found = []
    for award_id, assertion_id in rows:
        try:
            found.append(client.assertion(assertion_id or ""))
        except NotFoundError:
            _not_shown(tools, award_id, now)
    return found


def _not_shown(tools: Toolbox, award_id: int, now: datetime) -> None:
    """Say once that Badgr does not show an assertion, and let the others have their turn."""
    with tools.database.write() as session:
        award = session.get_one(Award, award_id, with_for_update=True)
        award.checked_at = now
        if not award.steps or award.steps[-1].text != NOT_SHOWN:
            awarding.add_step(session, award, "unseen", NOT_SHOWN, now)
        session.commit()


def _apply(tools: Toolbox, assertions: Iterable[Assertion], now: datetime) -> None:
    for assertion in assertions:
        with tools.database.write() as session:
            query = select(Award).where(Award.assertion_id == assertion.entity_id).with_for_update()
            for award in session.scalars(query):
                award.checked_at = now
                # An edit there draws the picture anew, under another address (BADGR.md §6.4).
                award.image_url, award.expires_at = assertion.image, assertion.expires
                award.issued_at = assertion.issued_on or award.issued_at
                if assertion.revoked and award.status in (AwardStatus.ISSUED, AwardStatus.REVOKING):
                    values = revocation.revoked_values(assertion, now)
                    values["revoked_by"] = award.revoked_by or RevokedBy.BADGR
                    session.execute(update(Award).where(Award.id == award.id).values(**values))
                    awarding.add_step(session, award, "revoked", revocation.story(assertion), now)
                    chains.follow_loss(session, [award], now)
                    scores.schedule_loss(session, award, now)
                    log.info("revoked_at_badgr", award_id=award.id)
            session.commit()


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
