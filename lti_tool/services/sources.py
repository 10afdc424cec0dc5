"""The sources of a platform: made, changed, given new secrets, tried, and played again."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from lti_tool.db import wake
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import Deployment, Event, EventStatus, Platform, Source
from lti_tool.services import audit, marks, runs, source_options
from lti_tool.settings import Settings
from lti_tool.sources import KINDS
from lti_tool.sources.kind import Access, SourceKind
from lti_tool.toolbox import Toolbox
from lti_tool.vault import Vault

log = get_logger(__name__)

LONGEST_OVERLAP_HOURS = 24 * 30
# What a reader of results leaves behind is an event too, of a source that takes none from outside.
PULL_KIND = "pull"
# What an LMS tells of its courses by itself comes to an address that is made with the first launch.
NOTICES_KIND = "notices"
# What the tool makes by itself, and nobody sets up or changes.
OWN_KINDS = (PULL_KIND, NOTICES_KIND)


def kinds() -> dict[str, SourceKind]:
    """The kinds that can be added, by their names."""
    return {name: kind for name, kind in KINDS.items() if name not in OWN_KINDS}


@dataclass(frozen=True, repr=False)
class SourceSecret:
    """The key of a source, the part of its address, and its secret, which is shown once and stored sealed."""

    id: int
    public_id: str
    secret: str


@dataclass(frozen=True)
class SourceData:
    """What an administrator says of a source."""

    name: str
    options: Mapping[str, str]
    match_by_email: bool = False
    deployment_id: int | None = None
    alarm_after_hours: int = 0


def add(
    tools: Toolbox, platform_id: int, kind: str, told: SourceData, now: datetime, actor: str = audit.COMMAND_LINE
) -> SourceSecret:
    """Add a source to a platform; raises NotFoundError for an unknown platform, InvalidInputError naming a field."""
    if kind not in kinds():
        raise InvalidInputError(f"kind: must be one of {', '.join(sorted(kinds()))}.")
    # Of letters and digits: with a hyphen in front it would be an option on the command line.
    public_id, secret = secrets.token_hex(16), KINDS[kind].new_secret()
    with tools.database.write() as session:
        if session.get(Platform, platform_id) is None:
            raise NotFoundError("See: lti-badges platform list", "There is no such platform")
        source = Source(
            public_id=public_id,
            platform_id=platform_id,
            kind=kind,
            name="",
            sealed_secret=tools.vault.seal(secret),
            created_at=now,
        )
        _fill(session, tools.settings, tools.vault, source, told)
        session.add(source)
        audit.note(session, actor, "source added", now, platform_id=platform_id, detail=f"{kind}: {source.name}")
        session.commit()
        return SourceSecret(source.id, public_id, secret)


def change(tools: Toolbox, source_id: int, told: SourceData, actor: str, now: datetime) -> None:
    """Change what an administrator may say of a source; an option that is left empty and is secret stays as it is."""
    with tools.database.write() as session:
        source = find(session, source_id)
        _fill(session, tools.settings, tools.vault, source, told)
        audit.note(session, actor, "source changed", now, platform_id=source.platform_id, detail=source.name)
        session.commit()


def set_enabled(tools: Toolbox, source_id: int, actor: str, now: datetime, *, enabled: bool) -> None:
    """Take events of a source, or refuse them."""
    with tools.database.write() as session:
        source = find(session, source_id)
        source.enabled = enabled
        act = "source switched on" if enabled else "source switched off"
        audit.note(session, actor, act, now, platform_id=source.platform_id, detail=source.name)
        session.commit()


def rotate(
    tools: Toolbox,
    public_id: str,
    overlap_hours: int,
    now: datetime,
    actor: str = audit.COMMAND_LINE,
    *,
    at_once: bool = False,
) -> SourceSecret:
    """Give a source a new secret and keep taking the former one for some hours.

    Raises NotFoundError, InvalidInputError, and ConflictError while a former secret is still taken, unless `at_once`
    says that this one may be refused from now on.
    """
    if not 0 <= overlap_hours <= LONGEST_OVERLAP_HOURS:
        raise InvalidInputError(f"overlap: must be 0 to {LONGEST_OVERLAP_HOURS} hours.")
    with tools.database.write() as session:
        source = session.scalar(select(Source).where(Source.public_id == public_id).with_for_update())
        if source is None or source.kind in OWN_KINDS:
            raise NotFoundError("See: lti-badges source list", "There is no such source")
        if is_former_taken(source, now) and not at_once:
            raise ConflictError(
                "A former secret of this source is still taken, and would be refused at once: there is room for one. "
                "Enter the newest secret in the LMS and wait until then, or confirm that it may be refused.",
                "The former secret is still in use",
            )
        secret = KINDS[source.kind].new_secret()
        source.sealed_former_secret = source.sealed_secret
        source.former_secret_until = now + timedelta(hours=overlap_hours)
        source.sealed_secret = tools.vault.seal(secret)
        audit.note(session, actor, "source secret rotated", now, platform_id=source.platform_id, detail=source.name)
        session.commit()
        return SourceSecret(source.id, public_id, secret)


def list_all(tools: Toolbox) -> list[dict[str, Any]]:
    """Every source with its address and when it last spoke, for the command line."""
    real = Event.run_key.is_distinct_from(marks.TEST_RUN)
    newest = select(Event.source_id, func.max(Event.received_at).label("at")).where(real)
    last = newest.group_by(Event.source_id).subquery()
    query = select(Source, last.c.at).outerjoin(last, last.c.source_id == Source.id).order_by(Source.id)
    with tools.database.read() as session:
        return [
            {
                "id": source.public_id,
                "platform": source.platform_id,
                "kind": source.kind,
                "name": source.name,
                "address": address(tools.settings, source),
                "last_event": last_event,
            }
            for source, last_event in session.execute(query)
        ]


def address(settings: Settings, source: Source) -> str:
    """Where the LMS posts to."""
    return f"{settings.base_url}/webhooks/{source.public_id}"


def find(session: Session, source_id: int) -> Source:
    """A source; raises NotFoundError."""
    source = session.get(Source, source_id)
    if source is None:
        raise NotFoundError("It was taken away, or never there.", "There is no such source")
    return source


def find_deployment(session: Session, platform_id: int, deployment_id: str) -> int:
    """Our key of the deployment that a platform calls so; raises InvalidInputError."""
    query = select(Deployment.id).where(
        Deployment.platform_id == platform_id, Deployment.deployment_id == deployment_id
    )
    found = session.scalar(query)
    if found is None:
        raise InvalidInputError("deployment: is not one of this LMS. See: lti-badges platform show")
    return found


def access_of(tools: Toolbox, source: Source, now: datetime) -> Access:
    """What deliveries of a source are checked with: its secrets, the newest first, and its options."""
    sealed = [source.sealed_secret]
    if source.sealed_former_secret and is_former_taken(source, now):
        sealed.append(source.sealed_former_secret)
    return Access([tools.vault.open(secret) for secret in sealed], options_of(tools.vault, source), tools.http, now)


def is_former_taken(source: Source, now: datetime) -> bool:
    """Whether deliveries with the secret before the present one are still taken."""
    until = source.former_secret_until
    return source.sealed_former_secret is not None and until is not None and now < until


def options_of(vault: Vault, source: Source) -> dict[str, str]:
    """What the administrator entered for a source, by the name of the option."""
    opened: dict[str, str] = json.loads(vault.open(source.sealed_options)) if source.sealed_options else {}
    return opened


def find_own(session: Session, platform_id: int, kind: str) -> Source | None:
    """The source of one of the tool's own kinds for a platform; None while nobody needed it."""
    query = select(Source).where(Source.platform_id == platform_id, Source.kind == kind)
    return session.scalar(query.order_by(Source.id).limit(1))


def own_source(session: Session, vault: Vault, platform_id: int, kind: str, now: datetime) -> Source:
    """The source of one of the tool's own kinds for a platform, made when there is none."""
    source = find_own(session, platform_id, kind)
    if source is None:
        # One of each kind, though several may be the first to need it.
        session.get_one(Platform, platform_id, with_for_update=True)
        source = find_own(session, platform_id, kind)
    if source is None:
        source = Source(
            public_id=secrets.token_hex(16),
            platform_id=platform_id,
            kind=kind,
            name=KINDS[kind].label,
            sealed_secret=vault.seal(KINDS[kind].new_secret()),
            created_at=now,
        )
        session.add(source)
        session.flush()
    return source


def replay(
    tools: Toolbox,
    source_id: int,
    actor: str,
    now: datetime,
    *,
    event_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Work on events of a source once more: one, those of a time, or all; how many. Nothing is awarded twice by it."""
    key = runs.new_key()
    with tools.database.write() as session:
        source = find(session, source_id)
        chosen = _to_replay(source_id, event_id, since, until)
        again = {"status": EventStatus.RECEIVED, "due_at": now, "reason": None, "run_key": key}
        again |= {"attempts": 0, "failures": 0}
        ids = list(session.scalars(update(Event).where(chosen).values(again).returning(Event.id)))
        # The sweep finds the rest: a million messages at once would help nobody.
        for one in ids[:1000]:
            wake(session, "event", one)
        audit.note(
            session, actor, "events replayed", now, platform_id=source.platform_id, detail=f"{source.name}: {len(ids)}"
        )
        session.commit()
        log.info("events_replayed", source_id=source_id, events=len(ids))
        return len(ids)


def count_for_replay(session: Session, source_id: int, since: datetime | None, until: datetime | None) -> int:
    """How many events of a source a replay would work on."""
    query = select(func.count()).select_from(Event).where(_to_replay(source_id, None, since, until))
    return session.scalar(query) or 0


def _to_replay(
    source_id: int, event_id: int | None, since: datetime | None, until: datetime | None
) -> ColumnElement[bool]:
    """What can be worked on again: whatever still has its content and was no test."""
    chosen = (Event.source_id == source_id) & Event.body_removed_at.is_(None)
    chosen &= Event.run_key.is_distinct_from(marks.TEST_RUN)
    if event_id is not None:
        chosen &= Event.id == event_id
    if since is not None:
        chosen &= Event.received_at >= since
    if until is not None:
        chosen &= Event.received_at <= until
    return chosen


def _fill(session: Session, settings: Settings, vault: Vault, source: Source, told: SourceData) -> None:
    name = told.name.strip()
    if not 1 <= len(name) <= 200:
        raise InvalidInputError("name: must have 1 to 200 characters.")
    if told.alarm_after_hours < 0 or told.alarm_after_hours > 24 * 365:
        raise InvalidInputError("alarm after: must be 0 (no alarm) to 8760 hours.")
    if told.deployment_id is not None:
        deployment = session.get(Deployment, told.deployment_id)
        if deployment is None or deployment.platform_id != source.platform_id:
            raise InvalidInputError("deployment: is not one of this LMS.")
    source.name, source.match_by_email = name, told.match_by_email
    source.deployment_id, source.alarm_after_hours = told.deployment_id, told.alarm_after_hours
    kept = source_options.checked(settings, KINDS[source.kind].options, told.options, options_of(vault, source))
    source.sealed_options = vault.seal(json.dumps(kept)) if kept else None
