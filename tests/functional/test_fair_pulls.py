"""Every platform gets its share of the reads, however many courses another has."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import update
from sqlalchemy.orm import Session

from lti_tool.db import Base, Database
from lti_tool.models import BadgeClass, BadgrServer, Course, Deployment, Person, Platform, Rule, RuleStatus
from lti_tool.services import pulls, roster

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


Row = TypeVar("Row", bound=Base)


def kept(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    return row


def platform(session: Session, name: str) -> Deployment:
    addresses = dict.fromkeys(("auth_login_url", "auth_token_url", "jwks_url"), "https://lms.example/")
    made = kept(session, Platform(name=name, issuer=name, client_id=name, created_at=NOW, **addresses))
    kept(session, Person(platform_id=made.id, sub="teacher", created_at=NOW))
    return kept(session, Deployment(platform_id=made.id, deployment_id="1", created_at=NOW))


def badge(session: Session) -> BadgeClass:
    server = kept(
        session,
        BadgrServer(name="Badgr", ui_url="u", api_url="a", client_id="c", sealed_client_secret="s", created_at=NOW),
    )
    told = {"issuer_entity_id": "i", "issuer_name": "I", "open_badge_id": "o", "fetched_at": NOW}
    return kept(session, BadgeClass(server_id=server.id, entity_id="b", name="B", **told))


def course(
    session: Session, where: Deployment, made: BadgeClass, due: datetime, status: RuleStatus = RuleStatus.ACTIVE
) -> int:
    found = kept(session, Course(deployment_id=where.id, context_id=due.isoformat(), pull_due_at=due, created_at=NOW))
    rule = {"badge_class_id": made.id, "status": status, "created_by_id": 1, "created_at": NOW}
    kept(session, Rule(course_id=found.id, **rule))
    return found.id


def test_no_platform_waits_for_all_courses_of_another(database: Database) -> None:
    with database.write() as session:
        made, large, small = badge(session), platform(session, "Large"), platform(session, "Small")
        many = [course(session, large, made, NOW - timedelta(days=2, minutes=n)) for n in range(100)]
        few = [course(session, small, made, NOW - timedelta(minutes=n)) for n in (1, 2, 3)]
        session.commit()
        due = pulls.due_courses(session, NOW)
    assert len(due) == pulls.AT_ONCE
    assert [one for one in due if one in few] == few[::-1]
    # Of one platform, whoever waits for longest comes first.
    assert [one for one in due if one in many] == many[::-1][: pulls.AT_ONCE - 3]


def test_no_platform_waits_for_all_rosters_of_another(database: Database) -> None:
    with database.write() as session:
        made, large, small = badge(session), platform(session, "Large"), platform(session, "Small")
        many = [course(session, large, made, NOW - timedelta(days=2, minutes=n)) for n in range(100)]
        few = [course(session, small, made, NOW - timedelta(hours=2, minutes=n)) for n in (1, 2, 3)]
        session.execute(
            update(Course).values(memberships_url="https://lms.example/", roster_synced_at=Course.pull_due_at)
        )
        session.execute(update(Course).where(Course.id == many[50]).values(roster_synced_at=None))
        session.commit()
        due = roster.due_courses(session, timedelta(hours=1), NOW)
    assert len(due) == roster.AT_ONCE
    assert [one for one in due if one in few] == few[::-1]
    # One that was never read comes before all.
    assert [one for one in due if one in many][:3] == [many[50], many[99], many[98]]


def test_only_courses_that_are_due_and_award_something_are_read(database: Database) -> None:
    with database.write() as session:
        made, where = badge(session), platform(session, "Large")
        wanted = course(session, where, made, NOW)
        course(session, where, made, NOW + timedelta(seconds=1))
        course(session, where, made, NOW - timedelta(hours=1), RuleStatus.PAUSED)
        session.commit()
        assert pulls.due_courses(session, NOW) == [wanted]
