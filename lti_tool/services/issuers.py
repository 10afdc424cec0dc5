"""The issuers of a connection, and which of them a course awards in the name of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.types import BadgeClass as RemoteBadgeClass
from lti_tool.badgr.types import Issuer as RemoteIssuer
from lti_tool.badgr.types import NewBadgeClass, NewIssuer, Role
from lti_tool.errors import ConflictError, InvalidInputError
from lti_tool.logs import get_logger
from lti_tool.models import BadgeClass, Connection, Course
from lti_tool.services.connections import with_client
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

STAFF_ONLY = (
    "The connected Badgr account is only staff in this issuer: it may award, but not edit badges or revoke awards. "
    "Ask an owner of the issuer in Badgr to make it an editor, or connect an account that is one."
)

LIMITED = (
    "Your institution lets its account award for some issuers only. Ask the administrator of the Badges tool for "
    "another issuer, or connect your own account to make one."
)


@dataclass(frozen=True)
class IssuerView:
    """An issuer with the role that the connected account has in it."""

    entity_id: str
    name: str
    image_url: str | None
    url: str | None
    role: Role | None


def list_issuers(tools: Toolbox, connection_id: int, now: datetime) -> list[IssuerView]:
    """The issuers of a connection, by name; raises ConnectionDeadError or BadgrError."""
    with tools.database.read() as session:
        connection = session.get_one(Connection, connection_id)
        user_id = connection.badgr_user_id
    found = with_client(tools, connection_id, now, lambda client: client.issuers())
    views = [
        IssuerView(issuer.entity_id, issuer.name, issuer.image, issuer.url, issuer.role_of(user_id)) for issuer in found
    ]
    # An institution's account may be limited to some of its issuers.
    views = [view for view in views if connection.allows(view.entity_id)]
    return sorted(views, key=lambda view: view.name.casefold())


def choose(tools: Toolbox, course_id: int, offered: Sequence[IssuerView], entity_id: str) -> None:
    """Let a course award in the name of one of the offered issuers; raises InvalidInputError for another."""
    issuer = next((issuer for issuer in offered if issuer.entity_id == entity_id), None)
    if issuer is None:
        raise InvalidInputError("Choose one of the issuers in the list.")
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        course.issuer_entity_id, course.issuer_name = issuer.entity_id, issuer.name
        course.issuer_role = issuer.role
        session.commit()


def save_badge_class(
    tools: Toolbox, course_id: int, told: NewBadgeClass, badge_class_id: str | None, now: datetime
) -> RemoteBadgeClass:
    """Make a badge class of the course's issuer, or change one; raises BadgrError, ConflictError for staff."""
    connection_id, issuer_id = _editable(tools, course_id)

    def save(client: BadgrClient) -> RemoteBadgeClass:
        if badge_class_id is None:
            return client.create_badge_class(issuer_id, told)
        return client.update_badge_class(badge_class_id, told)

    saved = with_client(tools, connection_id, now, save)
    with tools.database.write() as session:
        server_id = session.get_one(Connection, connection_id).server_id
        key = {"server_id": server_id, "entity_id": saved.entity_id}
        known = session.scalar(select(BadgeClass).filter_by(**key))
        if known is not None:
            copy(known, saved, now)
            session.commit()
    log.info("badge_class_saved", course_id=course_id, is_new=badge_class_id is None)
    return saved


def save_issuer(tools: Toolbox, course_id: int, told: NewIssuer, issuer_id: str | None, now: datetime) -> RemoteIssuer:
    """Make an issuer and let the course use it, or change the one that it uses; raises BadgrError, ConflictError."""
    with tools.database.read() as session:
        connection = session.get_one(Course, course_id).connection
        if connection is None:
            raise ConflictError("Connect the course to Badgr first.")
        connection_id, user_id = connection.id, connection.badgr_user_id
    if not (connection.allows(issuer_id) if issuer_id else may_make_issuers(connection)):
        raise ConflictError(LIMITED)

    def save(client: BadgrClient) -> RemoteIssuer:
        return client.create_issuer(told) if issuer_id is None else client.update_issuer(issuer_id, told)

    saved = with_client(tools, connection_id, now, save)
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        course.issuer_entity_id, course.issuer_name = saved.entity_id, saved.name
        course.issuer_role = saved.role_of(user_id) or (Role.OWNER if issuer_id is None else course.issuer_role)
        session.commit()
    log.info("issuer_saved", course_id=course_id, is_new=issuer_id is None)
    return saved


def may_make_issuers(connection: Connection | None) -> bool:
    """Whether new issuers may be made by a connection: not by one that is limited to some."""
    return connection is not None and not connection.allowed_issuers


def _editable(tools: Toolbox, course_id: int) -> tuple[int, str]:
    with tools.database.read() as session:
        course = session.get_one(Course, course_id)
        if course.connection_id is None or course.issuer_entity_id is None:
            raise ConflictError("Connect the course to Badgr and choose the issuer first.")
        if not course.may_edit_badges:
            raise ConflictError(STAFF_ONLY)
        if course.connection is not None and not course.connection.allows(course.issuer_entity_id):
            raise ConflictError(LIMITED)
        return course.connection_id, course.issuer_entity_id


def copy(badge: BadgeClass, remote: RemoteBadgeClass, now: datetime) -> None:
    """Let our copy of a badge class be as Badgr has it now."""
    badge.issuer_entity_id, badge.name, badge.description = remote.issuer_id, remote.name, remote.description
    badge.image_url, badge.open_badge_id = remote.image, remote.open_badge_id
    badge.criteria_narrative, badge.criteria_url = remote.criteria_narrative, remote.criteria_url
    badge.tags = list(remote.tags)
    badge.expires = {"amount": remote.lifetime.amount, "duration": remote.lifetime.unit} if remote.lifetime else None
    badge.fetched_at, badge.gone_at = now, None
    if remote.is_end_unclear:
        log.warning("badge_end_not_understood", badge_class=remote.entity_id)
