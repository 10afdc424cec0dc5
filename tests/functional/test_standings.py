"""The fast way to decide on a whole course says the same as deciding on one learner after the other."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.db import Database
from lti_tool.domain.criteria import (
    Approved,
    Ask,
    BadgeEarned,
    Completed,
    Criteria,
    Group,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
    activities_of,
)
from lti_tool.domain.decision import Decision, decide
from lti_tool.domain.events import ActivityProgress, GradeFact, GradingProgress, ProgressFact, ResultState
from lti_tool.domain.launch import Role
from lti_tool.models import (
    Activity,
    Award,
    AwardStatus,
    BadgeClass,
    BadgrServer,
    Course,
    Deployment,
    Enrolment,
    ExceptionKind,
    HoldReason,
    Person,
    Platform,
    Result,
    Rule,
    RuleException,
    RuleVersion,
)
from lti_tool.services import facts, standings
from lti_tool.services.facts import FactBook
from lti_tool.services.standings import Subject

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACTIVITIES = (1, 2, 3)

moments = st.integers(-3, 3).map(lambda hours: NOON + timedelta(hours=hours, microseconds=hours))
points = st.sampled_from([0.0, 4.35, 5.0, 7.5, 8.0, 10.0, 12.0])
grades = st.builds(
    GradeFact,
    moments,
    st.one_of(st.none(), points),
    st.sampled_from([None, 0.0, 5.0, 10.0]),
    st.sampled_from(GradingProgress),
    st.booleans(),
)
others = [progress for progress in ActivityProgress if progress is not ActivityProgress.SUBMITTED]
progress = st.builds(ProgressFact, moments, st.sampled_from(others), st.booleans())
hand_ins = st.builds(ProgressFact, moments, st.just(ActivityProgress.SUBMITTED), st.booleans())
results = st.builds(ResultState, st.none() | grades, st.none() | progress, st.none() | hand_ins)
leaves = st.one_of(
    st.builds(ScoreAtLeast, st.sampled_from(ACTIVITIES), st.sampled_from([50.0, 75.0, 80.0, 87.0, 100.0])),
    st.builds(PointsAtLeast, st.sampled_from(ACTIVITIES), st.sampled_from([4.35, 7.5, 10.0])),
    st.builds(Completed, st.sampled_from(ACTIVITIES)),
    st.builds(Submitted, st.sampled_from(ACTIVITIES)),
    st.just(BadgeEarned(1)),
    st.just(Approved()),
)


@st.composite
def criteria(draw: st.DrawFn, depth: int = 1) -> Criteria:
    if depth == 4 or draw(st.booleans()):
        leaf: Criteria = draw(leaves)
        return leaf
    parts = tuple(draw(st.lists(criteria(depth + 1), min_size=1, max_size=3)))
    return Group(draw(st.one_of(st.none(), st.integers(1, len(parts)))), parts)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    start, end = draw(st.one_of(st.none(), moments)), draw(st.one_of(st.none(), moments))
    if start and end and start >= end:
        end = None
    return Ask(draw(criteria()), start, end, draw(st.booleans()))


learners = st.fixed_dictionaries(
    {
        "results": st.dictionaries(st.sampled_from(ACTIVITIES), results),
        "email": st.sampled_from([None, "", "a@example.org"]),
        "chosen": st.sampled_from([None, "", "b@example.org"]),
        "role": st.sampled_from([None, Role.LEARNER]),
        "has_badge": st.booleans(),
        "exception": st.sampled_from([None, None, *ExceptionKind]),
    }
)


def somebody(given: float | None = None) -> dict:  # type: ignore[type-arg]
    grade = {1: ResultState(GradeFact(NOON, given, 10.0), None)} if given is not None else {}
    return {"results": grade, "email": None, "chosen": None, "role": None, "has_badge": False, "exception": None}


def handed_in() -> dict:  # type: ignore[type-arg]
    return somebody() | {"results": {1: ResultState(None, None, ProgressFact(NOON, ActivityProgress.SUBMITTED))}}


def store(session: Session, ask: Ask, people: list[dict]) -> None:  # type: ignore[type-arg]
    session.add(Platform(id=1, name="P", issuer="i", client_id="c", auth_login_url="a", auth_token_url="t",
                         jwks_url="j", created_at=NOON))  # fmt: skip
    session.flush()
    session.add(Deployment(id=1, platform_id=1, deployment_id="1", created_at=NOON))
    session.add(
        BadgrServer(id=1, name="B", api_url="b", ui_url="b", client_id="c", sealed_client_secret="", created_at=NOON)
    )
    session.flush()
    session.add(Course(id=1, deployment_id=1, context_id="1", created_at=NOON))
    session.add(Person(id=1000, platform_id=1, sub="teacher", created_at=NOON))
    session.add(BadgeClass(id=1, server_id=1, entity_id="e", issuer_entity_id="i", issuer_name="", name="First",
                           description="", open_badge_id="", fetched_at=NOON, tags=[]))  # fmt: skip
    session.flush()
    session.add_all(Activity(id=key, course_id=1, title=f"A{key}", created_at=NOON) for key in ACTIVITIES)
    session.add(Rule(id=1, course_id=1, badge_class_id=1, created_by_id=1000, created_at=NOON))
    session.flush()
    session.add(RuleVersion(id=1, rule_id=1, number=1, criteria_json={}, created_by_id=1000, created_at=NOON))
    session.flush()
    for key, person in enumerate(people, start=1):
        session.add(Person(id=key, platform_id=1, sub=f"s{key}", name=f"L{key:02}", email=person["email"],
                           chosen_address=person["chosen"], created_at=NOON))  # fmt: skip
        session.flush()
        session.add(Enrolment(course_id=1, person_id=key, launch_role=person["role"], seen_at=NOON))
        for activity_id, state in person["results"].items():
            session.add(Result(activity_id=activity_id, person_id=key, state=state))
        if person["has_badge"]:
            session.add(Award(rule_id=1, rule_version_id=1, course_id=1, badge_class_id=1, person_id=key,
                              status=AwardStatus.ISSUED, reasons=[], achieved_at=NOON, opened_at=NOON,
                              due_at=NOON))  # fmt: skip
        if kind := person["exception"]:
            session.add(RuleException(
                rule_id=1, person_id=key, kind=kind, created_by_id=1000, created_at=NOON,
                activity_id=1 if kind is ExceptionKind.EXCUSED else None,
                until=NOON + timedelta(hours=5) if kind is ExceptionKind.EXTENSION else None,
            ))  # fmt: skip
    session.flush()


def one_by_one(session: Session, ask: Ask, people: list[int]) -> dict[int, Decision]:
    book = FactBook(
        facts.results_of(session, 1, people, activities_of(ask.criteria)),
        facts.badges_of_people(session, {1}, people),
        facts.exceptions_of(session, [1], people),
        {},
    )
    return {key: decide(ask, book.of(1, key)) for key in people}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120)
@given(asks(), st.lists(learners, max_size=6))
@example(Ask(ScoreAtLeast(1, 100.0)), [somebody(5.0), somebody(8.0), somebody(10.0), somebody()])
@example(Ask(Submitted(1)), [handed_in(), somebody()])
def test_the_fast_way_says_what_deciding_one_by_one_says(database: Database, ask: Ask, people: list[dict]) -> None:  # type: ignore[type-arg]
    with database.write() as session:
        store(session, ask, people)
        decisions = one_by_one(session, ask, list(range(1, len(people) + 1)))
        earned = {key for key, decision in decisions.items() if decision.earned}
        close = {key for key, decision in decisions.items() if not decision.earned and decision.is_close}
        subject = Subject(ask, 1, 1, 1)
        assert standings.earners(session, subject) == earned
        found = standings.survey(session, subject)
        assert {standing.person_id: standing.decision for standing in found.earned} == {k: decisions[k] for k in earned}
        assert {standing.person_id for standing in found.close} == close
        assert (found.earned_count, found.close_count, found.total) == (len(earned), len(close), len(people))
        new = {key for key in earned if not people[key - 1]["has_badge"]}
        assert found.new_count == len(new) == found.unreachable_count
        for standing in found.unreachable:
            person = people[standing.person_id - 1]
            assert standing.hold is (
                HoldReason.NOT_ON_ROSTER if person["role"] is None
                else HoldReason.NO_CONNECTION if person["chosen"] or person["email"] else HoldReason.NO_EMAIL
            )  # fmt: skip
        session.rollback()


@pytest.mark.parametrize("names", [0, 1, 2])
def test_the_lists_name_the_first_and_the_numbers_count_everybody(database: Database, names: int) -> None:
    done = {1: ResultState(None, ProgressFact(NOON, ActivityProgress.COMPLETED))}
    person = {
        "results": done,
        "email": None,
        "chosen": None,
        "role": Role.LEARNER,
        "has_badge": False,
        "exception": None,
    }
    with database.write() as session:
        store(session, Ask(Completed(1)), [person] * 3)
        found = standings.survey(session, Subject(Ask(Completed(1)), 1), names)
        assert [standing.name for standing in found.earned] == ["L01", "L02"][:names]
        assert (found.earned_count, found.unreachable_count) == (3, 3)
        assert session.scalar(select(func.count()).select_from(Result)) == 3
