"""The two courses that every sandbox LMS starts with."""

from datetime import UTC, datetime

from lti_tool.sandbox.lms.grades import Book, Grade
from lti_tool.sandbox.lms.people import (
    ADMINISTRATOR,
    INSTRUCTOR,
    LEARNER,
    MENTOR,
    TEACHING_ASSISTANT,
    TEST_USER,
    Activity,
    Course,
    Member,
    Person,
)


def _person(sub: str, name: str, mail: bool = True) -> Person:
    given, family = name.split(" ", 1)
    username = given.lower()
    return Person(sub, given, family, username, f"{username}@example.org" if mail else None)


ADA = _person("2", "Ada Admin")
TERRY = _person("3", "Terry Teacher")
TARIQ = _person("20", "Tariq Tutor")
LEARNERS = (
    Person("4", "Lea", "Learner", "lea", "learner@example.org"),
    _person("5", "Noor Nomail", mail=False),
    _person("6", "Ola Okafor"),
    _person("7", "Pim de Vries"),
    _person("8", "Quinn Quigley"),
    _person("9", "Rosa Rossi"),
    _person("10", "Sam O'Neill"),
    _person("11", "Tove Lund"),
    _person("12", "Uma Patel"),
    _person("13", "Viktor Novák"),
    _person("14", "Wanda Weiss"),
    _person("15", "Ximena Torres"),
)
FORMER = _person("16", "Yann Yesterday")
OBSERVER = _person("21", "Olive Observer")
TEST_STUDENT = Person("22", "Test", "Student", "teststudent")

ACTIVITIES = (
    Activity("quiz-1", "Quiz 1", "quiz", 10),
    Activity("lab-2", "Lab 2", "lab"),
    Activity("essay", "Essay", "assignment", 100),
    Activity("course", "Course", "course", 100),
)


def seed_courses() -> dict[str, Course]:
    """Biology 101 (everybody) and Chemistry 201 (a few), by course id."""
    learners = tuple(Member(person, (LEARNER,)) for person in LEARNERS)
    teacher = Member(TERRY, (INSTRUCTOR,))
    biology = (
        teacher,
        Member(TARIQ, (TEACHING_ASSISTANT, INSTRUCTOR)),
        *learners,
        Member(FORMER, (LEARNER,), active=False),
        Member(OBSERVER, (MENTOR,)),
        Member(ADA, (ADMINISTRATOR,)),
        Member(TEST_STUDENT, (LEARNER, TEST_USER)),
    )
    chemistry = (teacher, *learners[:4], Member(TARIQ, (LEARNER,)))
    titration = (Activity("titration", "Titration", "lab", 20), Activity("unit-1", "Unit 1: Atoms", "module"))
    courses = (
        Course("2", "BIO101", "Biology 101", "1", ACTIVITIES, biology),
        Course("3", "CHEM201", "Chemistry 201", "2", (*titration, ACTIVITIES[-1]), chemistry),
    )
    return {course.id: course for course in courses}


def seed_grades() -> Book:
    """A few grades from earlier days, which no webhook told."""
    scores: dict[tuple[str, str, str], float | bool] = {
        ("2", "6", "quiz-1"): 9,
        ("2", "7", "quiz-1"): 5.5,
        ("2", "8", "quiz-1"): 8,
        ("2", "6", "lab-2"): True,
        ("2", "9", "lab-2"): True,
        ("2", "6", "essay"): 87,
        ("2", "10", "essay"): 62,
        ("3", "5", "titration"): 17,
    }
    book: Book = {}
    for minute, (place, value) in enumerate(scores.items()):
        at = datetime(2026, 9, 14, 9, minute, tzinfo=UTC)
        book[place] = Grade(at, completed=True) if value is True else Grade(at, score=value)
    return book
