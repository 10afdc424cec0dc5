"""Finds the stored events that name a person, and takes what they say out of the database."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from lti_tool.db import CHUNK, chunks, wake
from lti_tool.domain.events import GradeEvent, Identifier, IdKind
from lti_tool.errors import LtiBadgesError
from lti_tool.models import Event, EventStatus, MissingId, Person, PersonAlias, Source
from lti_tool.services import events
from lti_tool.sources import pull

REMOVED = "Its content was about somebody who was erased."


def ids_of(session: Session, person: Person) -> frozenset[Identifier]:
    """Every id by which events may name a person."""
    aliases = session.scalars(select(PersonAlias).where(PersonAlias.person_id == person.id))
    found = {Identifier(alias.kind, alias.value) for alias in aliases}
    found |= {Identifier(kind, person.sub) for kind in (IdKind.LTI, IdKind.GUESS)}
    if person.email:
        found.add(Identifier(IdKind.EMAIL, person.email))
    return frozenset(map(_comparable, found))


def naming(session: Session, platform_id: int, ids: frozenset[Identifier], after: int = 0) -> tuple[list[int], int]:
    """The events of a platform whose content names one of these ids, and the last event that was looked at."""
    # Text that may be written in another way (\\u00fc, %20) is read in any case; the rest is told apart quickly.
    likely = [_text_of(identifier).contains(identifier.value, autoescape=True) for identifier in ids]
    likely += [Event.body.contains(sign, autoescape=True) for sign in ("\\", "%")]
    query = (
        select(Event.id, Event.body, Event.is_rewritten, Source.kind)
        .join(Source, Source.id == Event.source_id)
        .where(Source.platform_id == platform_id, Event.body_removed_at.is_(None), or_(*likely))
        .order_by(Event.id)
        .limit(CHUNK)
    )
    found: list[int] = []
    while rows := session.execute(query.where(Event.id > after)).all():
        found += [row.id for row in rows if _names(row.kind, row.body, ids, is_rewritten=row.is_rewritten)]
        after = rows[-1].id
    return found, after


def remove(session: Session, event_ids: Sequence[int], ids: frozenset[Identifier], now: datetime) -> None:
    """Take the contents out; what they said of others and was not worked on yet is kept as an event of its own."""
    waiting = (EventStatus.RECEIVED, EventStatus.UNMATCHED)
    for chunk in chunks(event_ids):
        query = select(Event).where(Event.id.in_(chunk), Event.status.in_(waiting)).with_for_update()
        for event in session.scalars(query).all():
            _keep_the_others(session, event, ids, now)
        session.execute(delete(MissingId).where(MissingId.event_id.in_(chunk)))
        gone = {"body": "", "body_removed_at": now, "reason": REMOVED, "status": EventStatus.PROCESSED}
        session.execute(update(Event).where(Event.id.in_(chunk)).values(gone))


def _keep_the_others(session: Session, event: Event, ids: frozenset[Identifier], now: datetime) -> None:
    try:
        told = events.told_by(event)
    except (KeyError, LtiBadgesError):
        return
    others = [grade for grade in told if not _is_about(grade, ids)]
    if not others:
        return
    kept = Event(
        # Of the same source, which says whose courses are meant and whether addresses are believed; in the same run.
        source_id=event.source_id,
        run_key=event.run_key,
        delivery_id=f"of-{event.id}-{secrets.token_hex(8)}",
        body=pull.write(others),
        is_rewritten=True,
        received_at=event.received_at,
        occurred_at=max(grade.occurred_at for grade in others),
        due_at=now,
    )
    session.add(kept)
    session.flush()
    wake(session, "event", kept.id)


def _text_of(identifier: Identifier) -> ColumnElement[str]:
    # An address may be written with capitals.
    return func.lower(Event.body) if identifier.kind is IdKind.EMAIL else Event.body.expression


def _names(kind: str, body: str, ids: frozenset[Identifier], *, is_rewritten: bool) -> bool:
    try:
        return any(_is_about(grade, ids) for grade in events.read_body(kind, body, is_rewritten=is_rewritten))
    except (KeyError, LtiBadgesError):
        # It cannot be read any more: better one too many.
        return any(identifier.value in body or identifier.value in body.lower() for identifier in ids)


def _is_about(grade: GradeEvent, ids: frozenset[Identifier]) -> bool:
    told = {_comparable(identifier) for identifier in grade.person}
    return any(_fits(kind, told, ids) for kind in {identifier.kind for identifier in told & ids})


def _fits(kind: IdKind, told: set[Identifier], ids: frozenset[Identifier]) -> bool:
    """Whether no more certain kind of id says that somebody else is meant: as events are matched, too."""
    ranks = list(IdKind)
    for surer in ranks[: ranks.index(kind)]:
        named = {identifier for identifier in told if identifier.kind is surer}
        own = {identifier for identifier in ids if identifier.kind is surer}
        if named and own and not named & own:
            return False
    return True


def _comparable(identifier: Identifier) -> Identifier:
    if identifier.kind is IdKind.EMAIL:
        return Identifier(IdKind.EMAIL, identifier.value.strip().lower())
    return identifier
