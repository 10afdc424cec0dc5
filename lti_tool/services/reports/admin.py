"""What administrators see: platforms with their deployments, registration links, people, the audit log."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from lti_tool.errors import NotFoundError
from lti_tool.models import (
    AuditEntry,
    Award,
    AwardStatus,
    Course,
    Deployment,
    Enrolment,
    Person,
    Platform,
    RegistrationLink,
    Source,
    ToolKey,
)
from lti_tool.services.admins import Admin

PEOPLE_SHOWN = 50
ENTRIES_SHOWN = 200


@dataclass(frozen=True)
class DeploymentView:
    """An installation of the tool in an LMS."""

    id: int
    deployment_id: str
    approved: bool
    host: str | None
    foreign_host: str | None
    courses: int


@dataclass(frozen=True)
class PlatformView:
    """An LMS, and what is waiting there for an administrator."""

    id: int
    name: str
    family: str
    issuer: str
    client_id: str
    login_url: str
    token_url: str
    jwks_url: str
    frame_origins: list[str]
    enabled: bool
    deployments: list[DeploymentView]
    sources: int

    @property
    def waiting(self) -> int:
        """How many deployments want a decision."""
        return sum(not d.approved or d.foreign_host is not None for d in self.deployments)


@dataclass(frozen=True)
class LinkView:
    """A registration link; the link itself is not known any more."""

    note: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    has_ended: bool
    platform_name: str | None


@dataclass(frozen=True)
class KeyView:
    """A key pair of the tool."""

    kid: str
    created_at: datetime
    retired_at: datetime | None


@dataclass(frozen=True)
class PersonView:
    """Somebody who was found, with what they have and what waits."""

    id: int
    name: str
    email: str | None
    sub: str
    platform_name: str
    courses: list[str]
    awards: list[tuple[int, int, str, str]]


@dataclass(frozen=True)
class EntryView:
    """A line of the audit log."""

    at: datetime
    actor: str
    action: str
    detail: str
    platform_name: str | None


def platforms(session: Session, admin: Admin) -> list[PlatformView]:
    """The LMSs that this administrator may see."""
    query = select(Platform).options(selectinload(Platform.deployments)).order_by(Platform.name)
    if not admin.is_local:
        query = query.where(Platform.id == admin.platform_id)
    return [_platform(session, found, admin) for found in session.scalars(query)]


def platform(session: Session, admin: Admin, platform_id: int) -> PlatformView:
    """One LMS; raises NotFoundError when it is not there or not this administrator's."""
    found = next((p for p in platforms(session, admin) if p.id == platform_id), None)
    if found is None:
        raise NotFoundError("It does not exist, or it is not yours to administer.")
    return found


def links(session: Session, now: datetime) -> list[LinkView]:
    """The newest registration links."""
    query = (
        select(RegistrationLink)
        .options(joinedload(RegistrationLink.platform))
        .order_by(RegistrationLink.id.desc())
        .limit(ENTRIES_SHOWN)
    )
    return [
        LinkView(
            note=link.note,
            created_by=link.created_by,
            created_at=link.created_at,
            expires_at=link.expires_at,
            used_at=link.used_at,
            has_ended=link.expires_at <= now,
            platform_name=link.platform.name if link.platform else None,
        )
        for link in session.scalars(query)
    ]


def tool_keys(session: Session) -> list[KeyView]:
    """The tool's key pairs, newest first."""
    rows = session.scalars(select(ToolKey).order_by(ToolKey.id.desc()))
    return [KeyView(row.kid, row.created_at, row.retired_at) for row in rows]


def people(session: Session, admin: Admin, words: str) -> list[PersonView]:
    """The first fifty people whose name, address or id has these words in it."""
    if not words:
        return []
    pattern = "%" + words.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    query = (
        select(Person, Platform.name)
        .join(Platform, Platform.id == Person.platform_id)
        .where(
            or_(
                func.lower(Person.name).like(pattern, escape="\\"),
                func.lower(Person.email).like(pattern, escape="\\"),
                Person.sub == words,
            )
        )
        .order_by(Person.name)
        .limit(PEOPLE_SHOWN)
    )
    if not admin.is_local:
        query = query.where(Person.id.in_(_own_people(admin)))
    return [_person(session, admin, person, name) for person, name in session.execute(query)]


def person_name(session: Session, person_id: int) -> str:
    """What to call somebody; raises NotFoundError."""
    person = session.get(Person, person_id)
    if person is None:
        raise NotFoundError("They were erased already, or never there.", "There is no such person")
    return person.display_name


def audit_log(session: Session, admin: Admin) -> list[EntryView]:
    """The newest lines of the audit log."""
    query = (
        select(AuditEntry, Platform.name)
        .outerjoin(Platform, Platform.id == AuditEntry.platform_id)
        .order_by(AuditEntry.id.desc())
        .limit(ENTRIES_SHOWN)
    )
    if not admin.is_local:
        # Several institutions may share the registration: each reads only what is about itself.
        number = select(func.count()).where(Deployment.platform_id == admin.platform_id).scalar_subquery()
        is_of_all = AuditEntry.deployment_id.is_(None) & (number == 1)
        is_own = AuditEntry.deployment_id == admin.deployment_id
        query = query.where(AuditEntry.platform_id == admin.platform_id, is_own | is_of_all)
    return [EntryView(e.at, e.actor, e.action, e.detail, name) for e, name in session.execute(query)]


def _platform(session: Session, found: Platform, admin: Admin) -> PlatformView:
    shown = [d for d in found.deployments if admin.is_local or d.id == admin.deployment_id]
    counted = (
        select(Course.deployment_id, func.count())
        .where(Course.deployment_id.in_([d.id for d in shown]))
        .group_by(Course.deployment_id)
    )
    courses = {row[0]: row[1] for row in session.execute(counted)}
    return PlatformView(
        id=found.id,
        name=found.name,
        family=found.family,
        issuer=found.issuer,
        client_id=found.client_id,
        login_url=found.auth_login_url,
        token_url=found.auth_token_url,
        jwks_url=found.jwks_url,
        frame_origins=found.frame_origins,
        enabled=found.enabled,
        deployments=[
            DeploymentView(d.id, d.deployment_id, d.approved, d.host, d.foreign_host, courses.get(d.id, 0))
            for d in sorted(shown, key=lambda d: d.id)
        ],
        sources=session.scalar(select(func.count()).where(Source.platform_id == found.id)) or 0,
    )


def _own_people(admin: Admin) -> Select[int]:
    in_courses = select(Enrolment.person_id).join(Course, Course.id == Enrolment.course_id)
    return in_courses.where(Course.deployment_id == admin.deployment_id)


def _person(session: Session, admin: Admin, person: Person, platform_name: str) -> PersonView:
    courses = select(Course).join(Enrolment).where(Enrolment.person_id == person.id).order_by(Course.title)
    awards = (
        select(Award)
        .join(Course, Course.id == Award.course_id)
        .where(Award.person_id == person.id)
        .options(joinedload(Award.badge_class))
        .order_by(Award.id)
    )
    if not admin.is_local:
        courses = courses.where(Course.deployment_id == admin.deployment_id)
        awards = awards.where(Course.deployment_id == admin.deployment_id)
    return PersonView(
        id=person.id,
        name=person.display_name,
        email=person.email,
        sub=person.sub,
        platform_name=platform_name,
        courses=[course.title or course.label or course.context_id for course in session.scalars(courses)],
        awards=[(a.id, a.course_id, a.badge_class.name, _said(a)) for a in session.scalars(awards)],
    )


def _said(award: Award) -> str:
    if award.status is AwardStatus.ISSUED and award.issued_at is not None:
        return f"issued {award.issued_at:%Y-%m-%d}"
    return f"{award.status.value}: {award.advice}" if award.advice else award.status.value
