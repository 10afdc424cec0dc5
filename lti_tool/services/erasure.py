"""Erases a person: everything that is about them here, and what is to be said of what stays at Badgr."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.logs import get_logger
from lti_tool.models import (
    AdminVisit,
    AuditEntry,
    Award,
    AwardRun,
    AwardStatus,
    AwardStep,
    Backpack,
    Connection,
    Enrolment,
    LearnerVisit,
    Person,
    PersonAlias,
    Platform,
    Result,
    RevokedBy,
    Rule,
    RuleException,
    RuleVersion,
    Visit,
)
from lti_tool.services import audit, awarding, backpacks, erased_events, grants, revocation
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

WHY = "The person was erased."
ERASED = "erased-"


@dataclass(frozen=True)
class AtBadgr:
    """A badge that Badgr has: its public address (None when not known), and what becomes of it."""

    badge: str
    issuer: str
    address: str | None
    outcome: str


@dataclass(frozen=True)
class Receipt:
    """What was removed (or would be, of a dry run), in numbers, and what Badgr has."""

    person_id: int
    platform: str
    at: datetime
    is_dry_run: bool
    removed: dict[str, int]
    at_badgr: list[AtBadgr]


def find_person(session: Session, platform_id: int, *, sub: str | None = None, address: str | None = None) -> int:
    """Our key of the person with this id or address in the LMS; raises NotFoundError, InvalidInputError."""
    if (sub is None) == (address is None):
        raise InvalidInputError("Give either the id in the LMS or the address.")
    query = select(Person.id).where(Person.platform_id == platform_id)
    if sub is not None:
        query = query.where(Person.sub == sub)
    else:
        known = [
            func.lower(column) == (address or "").strip().lower() for column in (Person.email, Person.chosen_address)
        ]
        query = query.where(or_(*known))
    found = session.scalars(query).all()
    if not found:
        raise NotFoundError("Nobody there has this id or address. Look them up under People.", "Nobody was found")
    if len(found) > 1:
        raise InvalidInputError("Several people have this address: give the id in the LMS instead.")
    return found[0]


def survey(tools: Toolbox, person_id: int, now: datetime, *, revoke: bool = False) -> Receipt:
    """What erasing a person would remove; changes nothing. Raises NotFoundError."""
    with tools.database.read() as session:
        person = _person(session, person_id)
        ids = erased_events.ids_of(session, person)
        event_ids, _ = erased_events.naming(session, person.platform_id, ids)
        return _receipt(session, person, len(event_ids), now, revoke=revoke)


def erase(tools: Toolbox, person_id: int, actor: str, now: datetime, *, revoke: bool = False) -> Receipt:
    """Remove everything about a person; with `revoke` also take back what Badgr has, else it stays there.

    Raises NotFoundError, and ConflictError while an award of theirs is being sent.
    """
    with tools.database.read() as session:
        person = _person(session, person_id)
        _refuse_while_sending(session, person_id)
        ids = erased_events.ids_of(session, person)
        # Read before anything is locked: there may be very many.
        event_ids, last = erased_events.naming(session, person.platform_id, ids)
        receipt = _receipt(session, person, len(event_ids), now, revoke=revoke)
    _disconnect(tools, person_id, actor, now)
    try:
        with tools.database.write() as session:
            person = session.get_one(Person, person_id, with_for_update=True)
            _refuse_while_sending(session, person_id)
            newer, _ = erased_events.naming(session, person.platform_id, ids, last)
            event_ids += newer
            erased_events.remove(session, event_ids, ids, now)
            _remove(session, person, now, revoke=revoke)
            numbers = ", ".join(f"{name} {number}" for name, number in receipt.removed.items() if number)
            revoked = "; what Badgr has is revoked" if revoke and receipt.at_badgr else ""
            audit.note(
                session, actor, "person erased", now, platform_id=person.platform_id, detail=f"{numbers}{revoked}"
            )
            session.commit()
    except IntegrityError:
        raise ConflictError("Something about this person was just being worked on. Try again in a minute.") from None
    log.info("person_erased", person_id=person_id, events=len(event_ids), revoke=revoke)
    return replace(receipt, is_dry_run=False, removed=receipt.removed | {"events": len(event_ids)})


def _person(session: Session, person_id: int) -> Person:
    person = session.get(Person, person_id)
    if person is None or person.sub.startswith(ERASED):
        raise NotFoundError("They were erased already, or never there.", "There is no such person")
    return person


def _refuse_while_sending(session: Session, person_id: int) -> None:
    sending = select(Award.id).where(Award.person_id == person_id, Award.status == AwardStatus.SENDING)
    if session.scalar(sending.limit(1)) is not None:
        raise ConflictError("A badge of this person is being sent to Badgr right now. Try again in some minutes.")


def _receipt(session: Session, person: Person, events: int, now: datetime, *, revoke: bool) -> Receipt:
    removed = {"name and addresses": int(bool(person.name or person.email or person.chosen_address))}
    removed |= {name: _count(session, condition) for name, condition in _parts(person.id).items()}
    awards = _awards(session, person.id)
    kept = [award for award in awards if _is_kept(award)]
    removed |= {"awards": len(awards) - len(kept), "awards made nameless": len(kept), "events": events}
    at_badgr = [
        AtBadgr(a.badge_class.name, a.badge_class.issuer_name, a.open_badge_id, _outcome(a, revoke=revoke))
        for a in awards
        if a.status is not AwardStatus.REVOKED and (_is_kept(a) or _is_in_doubt(a))
    ]
    platform = session.get_one(Platform, person.platform_id)
    return Receipt(person.id, platform.name, now, True, removed, at_badgr)


def _parts(person_id: int) -> dict[str, ColumnElement[bool]]:
    return {
        "other ids": PersonAlias.person_id == person_id,
        "results": Result.person_id == person_id,
        "visits": Visit.person_id == person_id,
        "visits as administrator": AdminVisit.person_id == person_id,
        "courses": Enrolment.person_id == person_id,
        "exceptions": RuleException.person_id == person_id,
        "own accounts": Backpack.person_id == person_id,
        "Badgr connections": Connection.person_id == person_id,
    }


def _count(session: Session, condition: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).where(condition)) or 0


def _awards(session: Session, person_id: int) -> Sequence[Award]:
    query = select(Award).where(Award.person_id == person_id).order_by(Award.id)
    return session.scalars(query.options(joinedload(Award.badge_class), joinedload(Award.course))).all()


def _is_kept(award: Award) -> bool:
    """What Badgr has stays known here without a name: so that it can be revoked, and courses still count it."""
    return award.assertion_id is not None


def _is_in_doubt(award: Award) -> bool:
    return award.attempts > 0 and award.status in (AwardStatus.PENDING, AwardStatus.HELD)


def _outcome(award: Award, *, revoke: bool) -> str:
    if not _is_kept(award):
        return "may be there: an attempt to send it ended without an answer"
    if award.status is AwardStatus.REVOKING:
        return "is being revoked already"
    if not revoke:
        return "stays"
    return "is being revoked" if award.may_be_revoked else "stays: the connected account may not revoke"


def _disconnect(tools: Toolbox, person_id: int, actor: str, now: datetime) -> None:
    """End the person's accounts at their servers, which no transaction may wait for."""
    with tools.database.read() as session:
        own = [backpack.id for backpack in backpacks.of_person(session, person_id)]
        granted = session.scalars(
            select(Connection.id).where(Connection.person_id == person_id, Connection.dead_since.is_(None))
        ).all()
    for backpack_id in own:
        backpacks.disconnect(tools, person_id, backpack_id)
    for connection_id in granted:
        grants.disconnect(tools, connection_id, actor, now)


def _remove(session: Session, person: Person, now: datetime, *, revoke: bool) -> None:
    _forget_names(session, person)
    for award in _awards(session, person.id):
        session.execute(delete(AwardStep).where(AwardStep.award_id == award.id))
        session.expire(award, ["steps"])
        if _is_kept(award):
            _make_nameless(session, award, now, revoke=revoke)
        else:
            session.delete(award)
    session.flush()
    for table in (PersonAlias, Result, Visit, AdminVisit, Enrolment, RuleException, Backpack):
        session.execute(delete(table).where(table.person_id == person.id))
    for connection in session.scalars(select(Connection).where(Connection.person_id == person.id)):
        said = AuditEntry.detail == connection.badgr_user_name
        session.execute(update(AuditEntry).where(said, AuditEntry.action.startswith("Badgr account")).values(detail=""))
        connection.badgr_user_name, connection.badgr_user_id = "", f"{ERASED}{connection.id}"
    session.flush()
    if _is_referred_to(session, person.id):
        # Rules and badges outlive whoever made or earned them; nothing leads from the row to somebody any more.
        person.sub, person.name = f"{ERASED}{secrets.token_hex(8)}", ""
        person.email = person.chosen_address = None
    else:
        session.delete(person)
    session.flush()


def _forget_names(session: Session, person: Person) -> None:
    own = select(Enrolment.course_id).where(Enrolment.person_id == person.id)
    for column in (AwardRun.started_by, AwardRun.decided_by):
        mine = update(AwardRun).where(AwardRun.course_id.in_(own), column == person.display_name)
        session.execute(mine.values({column: "Somebody who was erased"}))
    addresses = {a.lower() for a in (person.email, person.chosen_address) if a}
    for visit in session.scalars(select(LearnerVisit)).all():
        if addresses & set(visit.addresses):
            session.delete(visit)


def _make_nameless(session: Session, award: Award, now: datetime, *, revoke: bool) -> None:
    told: dict[str, Any] = {
        "recipient": None,
        "tried_addresses": [],
        "reasons": [],
        "fall_detail": None,
        "advice": None,
    }
    told |= {"score_due_at": None, "score_advice": None}
    for name, value in told.items():
        setattr(award, name, value)
    if award.status is AwardStatus.REVOKED:
        award.revocation_reason = None
    awarding.add_step(session, award, "erased", WHY, now)
    if revoke and award.status is AwardStatus.ISSUED:
        revocation.start(session, award, WHY, "The administrator", RevokedBy.TEACHER, now)


def _is_referred_to(session: Session, person_id: int) -> bool:
    columns = (Award.person_id, Rule.created_by_id, RuleVersion.created_by_id, RuleException.created_by_id)
    return any(_count(session, column == person_id) for column in (*columns, Connection.person_id))
