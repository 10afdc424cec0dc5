"""Courses (LTI contexts), persons, who belongs to which course, and which browser may enter which course."""

from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column, relationship

from lti_tool.db import Base, NameOrder, choice
from lti_tool.domain.events import IdKind
from lti_tool.domain.launch import Role, strongest
from lti_tool.models.badge import Connection
from lti_tool.models.platform import Deployment


class Course(Base):
    """An LTI context; its id is unique only within its deployment (LTI core 1.3 §5.4.1)."""

    __tablename__ = "course"
    __table_args__ = (UniqueConstraint("deployment_id", "context_id"), Index(None, "pull_due_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    context_id: Mapped[str] = mapped_column(String(255))
    label: Mapped[str] = mapped_column(String(255), default="")
    title: Mapped[str] = mapped_column(String(500), default="")
    memberships_url: Mapped[str | None] = mapped_column(String(2000))
    line_items_url: Mapped[str | None] = mapped_column(String(2000))
    service_scopes: Mapped[list[str]] = mapped_column(default=list)
    roster_synced_at: Mapped[datetime | None]
    roster_error: Mapped[str | None] = mapped_column(String(500))
    # Before that moment nobody asks for it by himself: it is being read, or could not be, so many times in a row.
    roster_due_at: Mapped[datetime | None]
    roster_failures: Mapped[int] = mapped_column(default=0)
    connection_id: Mapped[int | None] = mapped_column(ForeignKey("connection.id"))
    issuer_entity_id: Mapped[str | None] = mapped_column(String(255))
    issuer_name: Mapped[str | None] = mapped_column(String(500))
    # The role of the connected account in that issuer (owner, editor, staff); None while it is not known.
    issuer_role: Mapped[str | None] = mapped_column(String(20))
    # The contexts that this one was copied from, as the platform says ($Context.id.history), newest first.
    context_history: Mapped[list[str]] = mapped_column(default=list)
    # When somebody said whether to take over the rules of the course that this one was copied from.
    copy_answered_at: Mapped[datetime | None]
    # Where the platform tells only what has changed in the roster since the last read (NRPS 2.0 §2.4).
    roster_differences_url: Mapped[str | None] = mapped_column(String(2000))
    # Results are read from the LMS too, for what no event told: when last, when next, and what went wrong how often.
    pulled_at: Mapped[datetime | None]
    pull_due_at: Mapped[datetime | None]
    pull_failures: Mapped[int] = mapped_column(default=0)
    pull_error: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime]

    deployment: Mapped[Deployment] = relationship()
    connection: Mapped[Connection | None] = relationship()

    @property
    def may_edit_badges(self) -> bool:
        """Whether the connected account may edit badges and revoke awards; staff may only award (BADGR.md §4)."""
        return self.connection_id is not None and self.issuer_role in ("owner", "editor")

    def may_revoke(self, issuer_entity_id: str) -> bool:
        """Whether the connected account may revoke awards of an issuer, as far as is known.

        Its role is known in the course's own issuer alone; of one that the course had before, Badgr has the word.
        """
        is_another = self.connection_id is not None and issuer_entity_id != self.issuer_entity_id
        return is_another or self.may_edit_badges


class PullMark(Base):
    """What an LMS said to be the version of one address that was read (ETag, RFC 9110 §8.8.3); asked again, it may say
    that nothing has changed."""

    __tablename__ = "pull_mark"

    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), primary_key=True)
    url_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    etag: Mapped[str] = mapped_column(String(500))


class ResourceLink(Base):
    """A link to the tool in a course (LTI core 1.3 §5.3.5); a copied course says which links its own were copied of."""

    __tablename__ = "resource_link"
    __table_args__ = (UniqueConstraint("deployment_id", "link_id"), Index(None, "course_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployment.id"))
    link_id: Mapped[str] = mapped_column(String(255))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    # The links that it was copied from, newest first ($ResourceLink.id.history).
    history: Mapped[list[str]] = mapped_column(default=list)


class Person(Base):
    """Somebody on one platform, known by `sub`; name and address are kept only as the platform gives them."""

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("platform_id", "sub"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    sub: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(500), default="")
    email: Mapped[str | None] = mapped_column(String(320))
    # The address that the person wants badges at instead: one that is verified in their own Badgr account.
    chosen_address: Mapped[str | None] = mapped_column(String(320))
    created_at: Mapped[datetime]

    @classmethod
    def in_order(cls) -> tuple[ColumnElement[str], InstrumentedAttribute[int]]:
        """What a list of people is sorted by: by their names, as somebody looks for them."""
        return NameOrder(cls.name), cls.id

    @property
    def badge_address(self) -> str | None:
        """Where badges go; None while no address is known."""
        return self.chosen_address or self.email

    @property
    def display_name(self) -> str:
        """What to call this person on a page; never empty."""
        return self.name or f"Person {self.sub[:12]}"


class Enrolment(Base):
    """That a person is in a course, and as what the launches and the roster say they are."""

    __tablename__ = "enrolment"
    __table_args__ = (
        UniqueConstraint("course_id", "person_id"),
        Index(None, "person_id"),
        Index(None, "evaluate_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    # Kept apart: Moodle's roster calls a non-editing teacher a learner, and a teacher who switches role for a look
    # launches as one; somebody who teaches by either is not a learner.
    launch_role: Mapped[Role | None] = mapped_column(choice(Role))
    roster_role: Mapped[Role | None] = mapped_column(choice(Role))
    is_test: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    seen_at: Mapped[datetime]
    # Something that may earn or lose badges has changed, and nobody has decided on it yet.
    evaluate_at: Mapped[datetime | None]

    person: Mapped[Person] = relationship()
    course: Mapped[Course] = relationship()

    @property
    def role(self) -> Role | None:
        """The stronger of the two roles; None while only an event has named the person."""
        return strongest(self.launch_role, self.roster_role)


class PersonAlias(Base):
    """Another id of a person, by which sources name them (LMS.md §4.4); two people may turn out to share one."""

    __tablename__ = "person_alias"
    __table_args__ = (UniqueConstraint("platform_id", "kind", "value", "person_id"), Index(None, "person_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    kind: Mapped[IdKind] = mapped_column(choice(IdKind))
    value: Mapped[str] = mapped_column(String(255))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))


class CourseAlias(Base):
    """Another id of a course, by which sources name it."""

    __tablename__ = "course_alias"
    __table_args__ = (UniqueConstraint("platform_id", "kind", "value", "course_id"), Index(None, "course_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    kind: Mapped[IdKind] = mapped_column(choice(IdKind))
    value: Mapped[str] = mapped_column(String(255))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))


class Visit(Base):
    """That the holder of a browser session entered a course by a launch, as whom and in which role."""

    __tablename__ = "visit"
    __table_args__ = (UniqueConstraint("session_digest", "course_id"), Index(None, "expires_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    session_digest: Mapped[str] = mapped_column(String(64))
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    role: Mapped[Role] = mapped_column(choice(Role))
    is_test: Mapped[bool] = mapped_column(default=False)
    locale: Mapped[str | None] = mapped_column(String(35))
    return_url: Mapped[str | None] = mapped_column(String(2000))
    expires_at: Mapped[datetime]

    course: Mapped[Course] = relationship()
    person: Mapped[Person] = relationship()
