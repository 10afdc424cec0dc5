"""Persons, courses and activities of the sandbox LMS, and the roles that members have."""

from dataclasses import dataclass

LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
INSTRUCTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"
MENTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership#Mentor"
TEACHING_ASSISTANT = "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"
ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"

_CONTEXT_ROLE = "http://purl.imsglobal.org/vocab/lis/v2/membership#"


@dataclass(frozen=True)
class Person:
    """Somebody with an account; without an address when `email` is None."""

    sub: str
    given_name: str
    family_name: str
    username: str
    email: str | None = None

    @property
    def name(self) -> str:
        """The full name."""
        return f"{self.given_name} {self.family_name}"


@dataclass(frozen=True)
class Member:
    """A person in a course; `roles` are full URIs."""

    person: Person
    roles: tuple[str, ...]
    active: bool = True

    @property
    def is_teacher(self) -> bool:
        """Whether the person may grade."""
        return INSTRUCTOR in self.roles

    @property
    def is_learner(self) -> bool:
        """Whether the person is graded."""
        return LEARNER in self.roles

    @property
    def short_roles(self) -> list[str]:
        """The roles as Moodle's roster has them: the name alone for context roles (NRPS 2.0 §2.2)."""
        return [role.removeprefix(_CONTEXT_ROLE) for role in self.roles]

    @property
    def description(self) -> str:
        """The role in a reader's words."""
        if TEST_USER in self.roles:
            return "Test student"
        if TEACHING_ASSISTANT in self.roles:
            return "Teaching assistant"
        return {INSTRUCTOR: "Teacher", MENTOR: "Observer", ADMINISTRATOR: "Administrator of the LMS"}.get(
            self.roles[0], "Learner"
        )


@dataclass(frozen=True)
class Activity:
    """Something that is graded; `maximum` is None where there is only done or not done."""

    id: str
    title: str
    type: str
    maximum: float | None = None


@dataclass(frozen=True)
class Course:
    """A course, its activities, its members, and the id of the tool's link in it."""

    id: str
    label: str
    title: str
    resource_link_id: str
    activities: tuple[Activity, ...]
    members: tuple[Member, ...]
    # The ids of the courses that it was copied from, newest first.
    history: tuple[str, ...] = ()
    # The same for the tool's link in it.
    link_history: tuple[str, ...] = ()

    def member(self, sub: str) -> Member | None:
        """The member with this `sub`, active or not."""
        return next((member for member in self.members if member.person.sub == sub), None)

    def activity(self, activity_id: str) -> Activity | None:
        """The activity with this id."""
        return next((activity for activity in self.activities if activity.id == activity_id), None)

    @property
    def learners(self) -> list[Member]:
        """The active members who are graded."""
        return [member for member in self.members if member.is_learner and member.active]
