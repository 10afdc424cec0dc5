"""Every connection as administrators see it on the command line, without its tokens."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from lti_tool.errors import NotFoundError
from lti_tool.models import Connection, Course
from lti_tool.services.grants import owner_of
from lti_tool.toolbox import Toolbox


def rows(tools: Toolbox) -> list[dict[str, Any]]:
    """Every connection, one row each, without its tokens."""
    with tools.database.read() as session:
        query = select(Connection).options(joinedload(Connection.server)).order_by(Connection.id)
        return [_row(session, connection) for connection in session.scalars(query)]


def row(tools: Toolbox, connection_id: int) -> dict[str, Any]:
    """One connection with the courses that use it; raises NotFoundError."""
    with tools.database.read() as session:
        connection = session.get(Connection, connection_id)
        if connection is None:
            raise NotFoundError("See: lti-badges connection list", "There is no such connection")
        courses = session.scalars(select(Course).where(Course.connection_id == connection_id).order_by(Course.id))
        titles = [course.title or course.label or course.context_id for course in courses]
        told = {"scopes": connection.scopes, "ended_why": connection.dead_reason, "courses": titles}
        return _row(session, connection) | told


def _row(session: Session, connection: Connection) -> dict[str, Any]:
    return {
        "id": connection.id,
        "server": connection.server.name,
        "account": connection.badgr_user_name,
        "made_by": owner_of(session, connection),
        "made_at": connection.created_at,
        "ends_at": connection.ends_at,
        "ended_at": connection.dead_since,
    }
