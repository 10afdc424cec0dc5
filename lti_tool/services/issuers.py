"""The issuers of a connection, and which of them a course awards in the name of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lti_tool.badgr.types import Role
from lti_tool.errors import InvalidInputError
from lti_tool.models import Connection, Course
from lti_tool.services.connections import with_client
from lti_tool.toolbox import Toolbox


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
        user_id = session.get_one(Connection, connection_id).badgr_user_id
    found = with_client(tools, connection_id, now, lambda client: client.issuers())
    views = [
        IssuerView(issuer.entity_id, issuer.name, issuer.image, issuer.url, issuer.role_of(user_id)) for issuer in found
    ]
    return sorted(views, key=lambda view: view.name.casefold())


def choose(tools: Toolbox, course_id: int, offered: Sequence[IssuerView], entity_id: str) -> None:
    """Let a course award in the name of one of the offered issuers; raises InvalidInputError for another."""
    issuer = next((issuer for issuer in offered if issuer.entity_id == entity_id), None)
    if issuer is None:
        raise InvalidInputError("Choose one of the issuers in the list.")
    with tools.database.write() as session:
        course = session.get_one(Course, course_id)
        course.issuer_entity_id, course.issuer_name = issuer.entity_id, issuer.name
        session.commit()
