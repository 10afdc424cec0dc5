"""What a verified LTI launch says: which course, which person, in which role."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lti_tool.domain.events import Identifier

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
# Who runs the LMS, not only a course in it (LTI core 1.3 §A.2.1, §A.2.3).
LMS_ADMINISTRATORS = frozenset(
    {
        "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator",
        "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator",
        "http://purl.imsglobal.org/vocab/lis/v2/system/person#SysAdmin",
    }
)


class Role(StrEnum):
    """What a person is in one course, strongest first; a teaching assistant counts as an instructor."""

    INSTRUCTOR = "instructor"
    OBSERVER = "observer"
    LEARNER = "learner"
    NONE = "none"

    @property
    def teaches(self) -> bool:
        """Whether this role sees and changes the course's badges."""
        return self is Role.INSTRUCTOR


# Strongest first: who teaches is never taken for a learner, whatever else the platform says.
_BY_NAME = (
    ("Instructor", Role.INSTRUCTOR),
    ("ContentDeveloper", Role.INSTRUCTOR),
    ("Administrator", Role.INSTRUCTOR),
    ("TeachingAssistant", Role.INSTRUCTOR),
    ("Mentor", Role.OBSERVER),
    ("Learner", Role.LEARNER),
)


@dataclass(frozen=True)
class LaunchCourse:
    """The course of a launch; `context_id` is unique within the deployment."""

    context_id: str
    label: str
    title: str
    memberships_url: str | None
    line_items_url: str | None
    service_scopes: tuple[str, ...]
    # The contexts that this one was copied from, newest first.
    history: tuple[str, ...] = ()
    # Other ids of the course, by which sources of grades name it.
    aliases: tuple[Identifier, ...] = ()


@dataclass(frozen=True)
class LaunchLink:
    """The link that was opened, and the ones that it was copied from, newest first."""

    id: str
    history: tuple[str, ...] = ()


@dataclass(frozen=True)
class LaunchPerson:
    """The person of a launch, as far as the platform tells."""

    sub: str
    name: str
    email: str | None
    role: Role
    is_test: bool
    is_lms_administrator: bool = False
    # Other ids of the person, by which sources of grades name them.
    aliases: tuple[Identifier, ...] = ()


@dataclass(frozen=True)
class ContentRequest:
    """The platform asks somebody to choose content for the course (Deep Linking 2.0 §3.4.1)."""

    return_url: str
    data: str | None
    takes_several: bool
    takes_line_items: bool


@dataclass(frozen=True)
class LaunchSite:
    """The LMS that a launch came from: the host of its pages and services, and its kind; empty when not said."""

    host: str
    family: str


@dataclass(frozen=True)
class Launch:
    """A launch that has passed every check; `platform_id` and `deployment_id` are keys of our own rows."""

    platform_id: int
    deployment_id: int
    course: LaunchCourse | None
    person: LaunchPerson
    locale: str | None
    return_url: str | None
    site: LaunchSite = LaunchSite("", "")
    # The number of the rule that the opened link is for, as the link's own parameter says.
    rule_number: str = ""
    # The column of the gradebook that belongs to the opened link, when it has one.
    line_item_url: str | None = None
    content_request: ContentRequest | None = None
    link: LaunchLink | None = None
    # Where the platform takes an address for notices of copied courses; None where it sends none.
    notices_url: str | None = None


def role_of(roles: Iterable[str]) -> Role:
    """The role in the course, by membership roles only (LTI core 1.3 §A.2.2); short names mean membership roles."""
    names = {name for uri in roles for name in _membership_names(uri)}
    return next((role for name, role in _BY_NAME if name in names), Role.NONE)


def strongest(*roles: Role | None) -> Role | None:
    """The role with most rights among those known; None when none is known."""
    known = [role for role in roles if role is not None]
    return min(known, key=list(Role).index) if known else None


def is_test_user(roles: Iterable[str]) -> bool:
    """Whether the platform marks this person as a test or preview user (LTI core 1.3 §A.2.3.1)."""
    return TEST_USER in roles


def is_lms_administrator(roles: Iterable[str]) -> bool:
    """Whether the platform says that this person runs the LMS or the institution."""
    return not LMS_ADMINISTRATORS.isdisjoint(roles)


def _membership_names(uri: str) -> tuple[str, ...]:
    if "#" not in uri and "/" not in uri and ":" not in uri:
        return (uri,)
    base, _, name = uri.partition("#")
    if base == MEMBERSHIP:
        return (name,)
    # Sub-roles: …/membership/Instructor#TeachingAssistant is an instructor. What stands behind gives no rights of its
    # own: …/membership/Learner#Instructor is a learner (LTI core 1.3 §A.2.3.2).
    return (base.removeprefix(f"{MEMBERSHIP}/"),) if base.startswith(f"{MEMBERSHIP}/") else ()
