"""Copied courses that the LMS tells of by itself: the handler is registered by the way, and each copy is remembered."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.db import get_or_create, insert_if_absent, wake
from lti_tool.errors import NotFoundError
from lti_tool.logs import get_logger
from lti_tool.lti.errors import LtiServiceError, NoticeError
from lti_tool.lti.keysets import KeySets
from lti_tool.lti.notices import CopyNotice, read_notice, register_handler
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Course, Deployment, Event, EventStatus, Platform, Rule, Source
from lti_tool.services import health, matching, sources
from lti_tool.services.sources import NOTICES_KIND
from lti_tool.settings import Settings
from lti_tool.sources.kind import MalformedError
from lti_tool.toolbox import Toolbox
from lti_tool.vault import Vault

log = get_logger(__name__)

# A platform that refuses the handler is asked again at a launch of the next day.
ASK_AGAIN = timedelta(days=1)
MAXIMUM_BATCH = 100
HISTORY_LENGTH = 20


@dataclass(frozen=True)
class _Asked:
    """The handler of a deployment: at which address it was asked for, and whether the platform has taken it."""

    url: str
    handler: str
    at: str
    is_done: bool


def note_service(session: Session, tools: Toolbox, deployment: Deployment, url: str | None, now: datetime) -> None:
    """Have the handler registered where a launch says that the platform tells of copies; nobody needs to set it up."""
    if url is None:
        return
    source = sources.own_source(session, tools.vault, deployment.platform_id, NOTICES_KIND, now)
    asked = _asked(tools.vault, source, deployment.id)
    is_known = asked is not None and (asked.url, asked.handler) == (url, _address(tools.settings, source))
    if is_known and asked is not None and (asked.is_done or datetime.fromisoformat(asked.at) > now - ASK_AGAIN):
        return
    _remember(session, tools, source, deployment.id, url, now, is_done=False)
    wake(session, "notices", deployment.id)


def register(tools: Toolbox, deployment_id: int, now: datetime) -> bool:
    """Register the handler of a deployment; whether the platform took it. Why not is kept at the source."""
    with tools.database.read() as session:
        deployment = session.get_one(Deployment, deployment_id)
        source = sources.find_own(session, deployment.platform_id, NOTICES_KIND)
        asked = _asked(tools.vault, source, deployment_id) if source is not None else None
    if source is None or asked is None or asked.is_done:
        return False
    client, fault = ServiceClient(tools.database, tools.vault, tools.http), None
    try:
        register_handler(client, deployment.platform_id, asked.url, asked.handler, now)
    except LtiServiceError as error:
        fault = error
        log.warning("notices_not_registered", deployment_id=deployment_id, status=error.status)
    with tools.database.write() as session:
        source = session.get_one(Source, source.id, with_for_update=True)
        if fault is None:
            _remember(session, tools, source, deployment_id, asked.url, now, is_done=True)
            log.info("notices_registered", deployment_id=deployment_id)
        else:
            source.last_fault_at, source.last_fault = now, fault.advice[:500]
        session.commit()
    return fault is None


def accept(tools: Toolbox, keysets: KeySets, public_id: str, body: bytes, now: datetime) -> int:
    """Take notices in; how many were new. Raises NotFoundError, MalformedError and NoticeError, and keeps nothing then.

    A notice that comes again, repeated or replayed, is known by its id.
    """
    with tools.database.read() as session:
        query = select(Source).where(Source.public_id == public_id, Source.kind == NOTICES_KIND, Source.enabled)
        source = session.scalar(query)
        platform = session.get(Platform, source.platform_id) if source is not None else None
    if source is None or platform is None or not platform.enabled:
        raise NotFoundError("No notices are taken at this address.")
    try:
        told = [read_notice(token, platform, keysets, now) for token in _tokens(body)]
    except (MalformedError, NoticeError) as error:
        health.note_refusal(tools, source.id, error.advice, now)
        raise
    with tools.database.write() as session:
        new = [notice for notice in told if notice is not None and _keep(session, source, notice, now)]
        for notice in new:
            _take_to_heart(session, platform, notice, now)
        session.commit()
    log.info("notices_taken", source_id=source.id, notices=len(told), new=len(new))
    return len(new)


def _tokens(body: bytes) -> list[str]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    notices = told.get("notices") if isinstance(told, dict) else None
    if not isinstance(notices, list) or not 0 < len(notices) <= MAXIMUM_BATCH:
        raise MalformedError(f"notices: must be a list of 1 to {MAXIMUM_BATCH} notices")
    tokens = [notice.get("jwt") if isinstance(notice, dict) else None for notice in notices]
    if not all(isinstance(token, str) for token in tokens):
        raise MalformedError("notices: each must have a jwt")
    return [str(token) for token in tokens]


def _keep(session: Session, source: Source, notice: CopyNotice, now: datetime) -> bool:
    """Keep a notice beside the events of the LMS; False when it has come before."""
    key = {"source_id": source.id, "delivery_id": notice.id}
    body = {"deployment_id": notice.deployment_id, "context": notice.context_id, "origin_contexts": notice.origins}
    told = {"body": json.dumps(body), "status": EventStatus.PROCESSED, "received_at": now, "processed_at": now}
    return insert_if_absent(session, Event, key, due_at=now, occurred_at=notice.happened_at or now, **told)


def _take_to_heart(session: Session, platform: Platform, notice: CopyNotice, now: datetime) -> None:
    """Remember where a course was copied from, though nobody may have opened Badges in it yet.

    A course that we do not know is made only if there is something to take over: an account copies many courses.
    """
    deployment = session.scalar(
        select(Deployment).filter_by(platform_id=platform.id, deployment_id=notice.deployment_id, approved=True)
    )
    if deployment is None:
        return
    history = _history(session, deployment, notice)
    key = {"deployment_id": deployment.id, "context_id": notice.context_id}
    is_new = session.scalar(select(Course.id).filter_by(**key)) is None
    if is_new and not _has_rules(session, deployment, history):
        return
    told = {"label": notice.label, "title": notice.title, "service_scopes": [], "context_history": []}
    course = get_or_create(session, Course, key, created_at=now, **told)
    if is_new:
        matching.note_course(session, course, platform.id)
    if set(notice.origins) - set(course.context_history):
        # Whatever was answered, it was about other courses.
        course.copy_answered_at = None
    course.context_history = list(dict.fromkeys([*history, *course.context_history]))[:HISTORY_LENGTH]


def _history(session: Session, deployment: Deployment, notice: CopyNotice) -> list[str]:
    """The courses that it was copied from, and those that these were copied from, newest first."""
    query = select(Course).where(Course.deployment_id == deployment.id, Course.context_id.in_(notice.origins))
    known = {course.context_id: course.context_history for course in session.scalars(query)}
    former = [one for origin in notice.origins for one in known.get(origin, [])]
    return [one for one in dict.fromkeys([*notice.origins, *former]) if one != notice.context_id]


def _has_rules(session: Session, deployment: Deployment, context_ids: list[str]) -> bool:
    query = (
        select(Rule.id)
        .join(Course, Course.id == Rule.course_id)
        .where(Course.deployment_id == deployment.id, Course.context_id.in_(context_ids))
    )
    return session.scalar(query.limit(1)) is not None


def _address(settings: Settings, source: Source) -> str:
    return f"{sources.address(settings, source)}/notices"


def _asked(vault: Vault, source: Source, deployment_id: int) -> _Asked | None:
    told = sources.options_of(vault, source).get(str(deployment_id))
    return _Asked(**json.loads(told)) if told else None


def _remember(
    session: Session, tools: Toolbox, source: Source, deployment_id: int, url: str, now: datetime, *, is_done: bool
) -> None:
    # Another deployment of the platform may be noting its own at the same time.
    session.refresh(source, with_for_update=True)
    asked = _Asked(url, _address(tools.settings, source), now.isoformat(), is_done)
    options = sources.options_of(tools.vault, source) | {str(deployment_id): json.dumps(asdict(asked))}
    source.sealed_options = tools.vault.seal(json.dumps(options))
