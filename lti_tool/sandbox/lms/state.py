"""What the sandbox LMS knows: people, courses, activities, grades, and the tool that is registered with it."""

import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"


@dataclass(frozen=True)
class LmsConfig:
    """How this LMS calls itself; `nrps_page_size` members a page."""

    base_url: str = "http://localhost:8001"
    name: str = "Sandbox LMS"
    nrps_page_size: int = 5


@dataclass(frozen=True)
class Tool:
    """The registration of the tool."""

    client_id: str
    deployment_id: str
    login_url: str
    launch_url: str
    jwks_url: str


@dataclass(frozen=True)
class Webhook:
    """Where grades are posted to, and the secret that signs them."""

    url: str
    secret: str


@dataclass
class Person:
    """Somebody with an account; `roles` are membership roles by their short names."""

    sub: str
    given_name: str
    family_name: str
    email: str | None
    roles: tuple[str, ...]
    is_test: bool = False
    active: bool = True

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    @property
    def teaches(self) -> bool:
        return "Instructor" in self.roles

    @property
    def role_uris(self) -> list[str]:
        uris = [
            f"{MEMBERSHIP}/Instructor#{role}" if role == "TeachingAssistant" else f"{MEMBERSHIP}#{role}"
            for role in self.roles
        ]
        return uris + ([TEST_USER] if self.is_test else [])


@dataclass(frozen=True)
class Activity:
    """Something to do in a course; without points it is only completed."""

    id: str
    title: str
    type: str
    points: float | None


@dataclass
class Grade:
    """What somebody reached in an activity."""

    score: float | None
    completed: bool
    timestamp: datetime


@dataclass
class Course:
    """A course with its people, activities, grades, and the line items that the tool made."""

    id: str
    label: str
    title: str
    people: list[Person]
    activities: list[Activity]
    grades: dict[tuple[str, str], Grade] = field(default_factory=dict)
    line_items: dict[int, dict[str, Any]] = field(default_factory=dict)
    results: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)

    def person(self, sub: str) -> Person | None:
        return next((person for person in self.people if person.sub == sub), None)

    def activity(self, activity_id: str) -> Activity | None:
        return next((activity for activity in self.activities if activity.id == activity_id), None)


@dataclass
class Key:
    """A signing key with its id."""

    kid: str
    private: RSAPrivateKey


class State:
    """Everything in this LMS, behind one lock."""

    def __init__(self, config: LmsConfig) -> None:
        self.config = config
        self.lock = threading.RLock()
        self.courses = {course.id: course for course in _seed()}
        self.keys = [_new_key()]
        self.tool: Tool | None = None
        self.webhook: Webhook | None = None
        self.tokens: dict[str, tuple[datetime, frozenset[str]]] = {}
        self.last_moment = datetime.now(UTC)

    def register_tool(self, tool: Tool) -> None:
        """Let this tool launch."""
        self.tool = tool

    def rotate_key(self, *, keep_old: bool = True) -> None:
        """Sign with a new key; the old one stays in the key set or not."""
        self.keys = [_new_key(), *(self.keys if keep_old else [])]

    def now(self) -> datetime:
        """A moment that is later than any before: AGS wants strictly increasing timestamps."""
        with self.lock:
            self.last_moment = max(datetime.now(UTC), self.last_moment + timedelta(milliseconds=1))
            return self.last_moment

    def sign(self, claims: dict[str, Any], key: RSAPrivateKey | None = None, **headers: Any) -> str:
        """A JWT over any claims, with the newest key unless another is given."""
        newest = self.keys[0]
        return jwt.encode(claims, key or newest.private, algorithm="RS256", headers={"kid": newest.kid} | headers)


def _new_key() -> Key:
    return Key(uuid.uuid4().hex[:20], generate_private_key(public_exponent=65537, key_size=2048))


def _learner(sub: str, given: str, family: str, email: str | None = "") -> Person:
    address = f"{given.lower()}@example.org" if email == "" else email
    return Person(sub, given, family, address, ("Learner",))


def _seed() -> list[Course]:
    terry = Person("3", "Terry", "Teacher", "terry@example.org", ("Instructor",))
    tariq = Person("21", "Tariq", "Assistant", "tariq@example.org", ("Instructor", "TeachingAssistant"))
    learners = [
        _learner("4", "Lea", "Learner", "learner@example.org"),
        _learner("5", "Noor", "Nomail", None),
        _learner("6", "Ola", "Okafor"),
        _learner("7", "Pim", "Peters"),
        _learner("8", "Quinn", "Quist"),
        _learner("9", "Rosa", "Rossi"),
        _learner("10", "Sam", "O’Neill & Sons"),
        _learner("11", "Tove", "Tanaka"),
        _learner("12", "Uma", "Ulrich"),
        _learner("13", "Vera", "Vega"),
    ]
    test = Person("90", "Test", "Student", None, ("Learner",), is_test=True)
    observer = Person("91", "Olga", "Observer", "olga@example.org", ("Mentor",))
    biology = Course(
        "2",
        "BIO101",
        "Biology 101",
        [terry, tariq, *learners, test, observer],
        [
            Activity("quiz-1", "Quiz 1", "quiz", 10),
            Activity("lab-2", "Lab 2", "lab", None),
            Activity("essay", "Essay", "assignment", 100),
        ],
    )
    chemistry = Course(
        "3",
        "CHE201",
        "Chemistry 201",
        [terry, *learners[:4]],
        [Activity("quiz-1", "Quiz 1", "quiz", 10), Activity("titration", "Titration", "lab", None)],
    )
    earlier = datetime.now(UTC) - timedelta(days=1)
    for sub, score in (("6", 9.0), ("7", 7.0), ("8", 5.5), ("5", 8.5), ("10", 10.0)):
        biology.grades["quiz-1", sub] = Grade(score, True, earlier)
    biology.grades["lab-2", "9"] = Grade(None, True, earlier)
    return [biology, chemistry]
