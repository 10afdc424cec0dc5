"""Answers deep linking requests: the links that a teacher chose, signed by the tool."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from lti_tool.domain.launch import ContentRequest
from lti_tool.lti import deeplinking, keys
from lti_tool.lti.deeplinking import Link
from lti_tool.models import Course, Deployment
from lti_tool.toolbox import Toolbox


def find_course(session: Session, course_id: int) -> Course:
    """The course that was just launched."""
    return session.get_one(Course, course_id)


def respond(
    tools: Toolbox, deployment_id: int, asked: ContentRequest, links: Sequence[Link], url: str, now: datetime
) -> str:
    """The signed message for the platform, to be posted to the request's return address."""
    with tools.database.write() as session:
        key = keys.signing_key(session, tools.vault, now)
        session.commit()
        deployment = session.get_one(Deployment, deployment_id)
        return deeplinking.response(deployment, asked, links, url, key, now)
