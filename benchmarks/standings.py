"""How long the numbers of a preview take in a large course: 50,000 learners, four activities, a nested rule.

    python benchmarks/standings.py                     on SQLite, in a folder that is thrown away
    python benchmarks/standings.py --postgresql        on a private PostgreSQL (or LTI_BADGES_TEST_DATABASE_URL)

Prints medians; beside them what the machine needs to read the same rows bare, which nothing can beat.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert, make_url, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from lti_tool.db import Database
from lti_tool.domain.criteria import Ask, Completed, Criteria, Group, PointsAtLeast, ScoreAtLeast, Submitted, all_of
from lti_tool.domain.launch import Role
from lti_tool.migrate import migrate
from lti_tool.models import Activity, Course, Deployment, Enrolment, Person, Platform, Result
from lti_tool.services import standings
from lti_tool.services.reports.preview import preview
from lti_tool.services.standings import Subject
from tests.postgresql import private_postgresql

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
BATCH = 5000
NESTED: Criteria = all_of(
    ScoreAtLeast(1, 80.0),
    Group(2, (PointsAtLeast(2, 12.0), Completed(3), Group(1, (Submitted(4), ScoreAtLeast(4, 50.0))))),
)
ASKS = {
    "one score": Ask(ScoreAtLeast(1, 80.0)),
    "nested": Ask(NESTED),
    "nested, with days": Ask(NESTED, NOW - timedelta(days=60), NOW + timedelta(days=1)),
}


def main() -> None:
    """Measure, and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--postgresql", action="store_true")
    options.add_argument("--learners", type=int, default=50_000)
    options.add_argument("--times", type=int, default=7)
    chosen = options.parse_args()
    with _database(postgresql=chosen.postgresql) as database:
        _fill(database, chosen.learners)
        kind = database.engine.dialect.name
        print(f"{kind}, {chosen.learners} learners, four activities; median of {chosen.times}")
        bare = "SELECT person_id, activity_id, score_given, score_maximum, grading_progress FROM result"
        with database.engine.connect() as connection:
            _measure("bare reading of the results", lambda: connection.execute(text(bare)).all(), chosen.times)
        for name, ask in ASKS.items():
            with database.read() as session:
                _measure(f"preview, {name}", partial(preview, session, Subject(ask, 1), 10), chosen.times)
                _measure(f"earners, {name}", partial(standings.earners, session, Subject(ask, 1)), chosen.times)


def _measure(name: str, act: Callable[[], Any], times: int) -> None:
    act()
    seconds, work = [], []
    for _ in range(times):
        started, worked = time.perf_counter(), time.process_time()
        act()
        seconds.append(time.perf_counter() - started)
        work.append(time.process_time() - worked)
    # On a busy machine the work of this process says more than the clock on the wall.
    wall, own = statistics.median(seconds) * 1000, statistics.median(work) * 1000
    print(f"{name:30} {wall:7.0f} ms   (best {min(seconds) * 1000:.0f}; own work {own:.0f})")


@contextmanager
def _database(*, postgresql: bool) -> Iterator[Database]:
    if not postgresql:
        with tempfile.TemporaryDirectory() as folder:
            yield from _migrated(f"sqlite:///{folder}/standings.db")
    elif server := os.environ.get("LTI_BADGES_TEST_DATABASE_URL"):
        yield from _on_server(server)
    else:
        with private_postgresql() as server:
            yield from _on_server(server)


def _on_server(server: str) -> Iterator[Database]:
    address = make_url(server).set(drivername="postgresql+psycopg", database="postgres")
    maintenance = create_engine(address, isolation_level="AUTOCOMMIT")
    name = f"lti_badges_standings_{os.getpid()}"
    with maintenance.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
        yield from _migrated(make_url(server).set(database=name).render_as_string(hide_password=False))
        connection.execute(text(f'DROP DATABASE "{name}"'))
    maintenance.dispose()


def _migrated(url: str) -> Iterator[Database]:
    database = Database(url)
    migrate(database)
    yield database
    database.dispose()


def _fill(database: Database, learners: int) -> None:
    chance = random.Random(7)
    with database.write() as session:
        platform = Platform(
            name="Bench", issuer="https://lms.example.org", client_id="c", auth_login_url="https://lms.example.org/a",
            auth_token_url="https://lms.example.org/t", jwks_url="https://lms.example.org/j", created_at=NOW,
        )  # fmt: skip
        session.add(platform)
        session.flush()
        deployment = Deployment(platform_id=platform.id, deployment_id="1", created_at=NOW)
        session.add(deployment)
        session.flush()
        session.add(Course(deployment_id=deployment.id, context_id="1", title="Large", created_at=NOW))
        session.flush()
        for number in range(1, 5):
            session.add(Activity(course_id=1, external_id=str(number), title=f"Quiz {number}", created_at=NOW))
        session.flush()
        for start in range(1, learners + 1, BATCH):
            keys = range(start, min(start + BATCH, learners + 1))
            people = [
                {"id": k, "platform_id": 1, "sub": f"s{k}", "name": f"Learner {k}", "email": f"l{k}@example.org",
                 "created_at": NOW} for k in keys
            ]  # fmt: skip
            session.execute(insert(Person), people)
            enrolments = [
                {"course_id": 1, "person_id": k, "roster_role": Role.LEARNER, "is_test": False, "active": True,
                 "seen_at": NOW} for k in keys
            ]  # fmt: skip
            session.execute(insert(Enrolment), enrolments)
            session.execute(insert(Result), [_result(chance, k, activity) for k in keys for activity in range(1, 5)])
        session.commit()
    with database.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()


def _result(chance: random.Random, person: int, activity: int) -> dict[str, Any]:
    at = NOW - timedelta(minutes=chance.randrange(80 * 24 * 60))
    return {
        "activity_id": activity,
        "person_id": person,
        "graded_at": at,
        "score_given": chance.randrange(0, 201) / 10,
        "score_maximum": 20.0,
        "grading_progress": "FullyGraded",
        "grade_released": True,
        "progressed_at": at,
        "activity_progress": chance.choice(["Completed", "Started", "InProgress"]),
        "progress_released": True,
        "handed_in_at": chance.choice([at, None]),
        "hand_in_released": True,
    }


if __name__ == "__main__":
    main()
