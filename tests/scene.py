"""A course with people, activities and rules in the database alone: no servers, for what happens between them."""

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import selectinload

from lti_tool.badgr.types import BadgeClass as RemoteBadgeClass
from lti_tool.domain.criteria import Criteria
from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    GradingProgress,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.domain.launch import Role
from lti_tool.models import (
    Activity,
    Award,
    AwardRun,
    AwardStatus,
    BadgrServer,
    Connection,
    Course,
    Deployment,
    Enrolment,
    Event,
    EventStatus,
    Person,
    Platform,
    Rule,
    Source,
)
from lti_tool.services import activities, chains, evaluation, intake, rules
from lti_tool.services.drafts import Draft
from lti_tool.settings import Settings
from lti_tool.sources import pull
from lti_tool.toolbox import Toolbox
from tests import kept

START = datetime(2026, 9, 1, 8, tzinfo=UTC)


class Scene:
    """One platform with a course; `now` moves only when a test says so."""

    def __init__(self, database_url: str, folder: Path, **settings: Any) -> None:
        chosen = Settings(
            database_url=database_url,
            queue_url=f"sqlite:///{folder}/queue.db",
            secret_keys=(kept.SECRET_KEY,),
            log_level="ERROR",
            **settings,
        )
        self.tools: Toolbox = kept.tools(chosen)
        self.now = START
        self._numbers = itertools.count(1)
        with self.tools.database.write() as session:
            platform = Platform(
                name="LMS", issuer="https://lms.example", client_id="c", auth_login_url="https://lms.example/a",
                auth_token_url="https://lms.example/t", jwks_url="https://lms.example/j", created_at=START,
            )  # fmt: skip
            session.add(platform)
            session.flush()
            deployment = Deployment(platform_id=platform.id, deployment_id="1", created_at=START)
            server = BadgrServer(
                name="Badgr", ui_url="https://b.example", api_url="https://b.example", client_id="c",
                sealed_client_secret=self.tools.vault.seal("s"), created_at=START,
            )  # fmt: skip
            teacher = Person(platform_id=platform.id, sub="teacher", name="Terry Teacher", created_at=START)
            source = Source(
                public_id="source", platform_id=platform.id, kind="pull", name="Events",
                sealed_secret=self.tools.vault.seal("s"), created_at=START,
            )  # fmt: skip
            session.add_all([deployment, server, teacher, source])
            session.flush()
            connection = Connection(
                server_id=server.id, person_id=teacher.id, badgr_user_id="u", badgr_user_name="Olive",
                sealed_access_token=self.tools.vault.seal("t"), created_at=START,
                expires_at=START + timedelta(days=999),
            )  # fmt: skip
            session.add(connection)
            session.flush()
            self.platform_id, self.deployment_id = platform.id, deployment.id
            self.connection_id, self.teacher_id, self.source_id = connection.id, teacher.id, source.id
            session.commit()
        self.course_id = self.add_course("101")

    def add_course(self, context_id: str) -> int:
        """A course of the same teacher, connected to Badgr."""
        with self.tools.database.write() as session:
            course = Course(
                deployment_id=self.deployment_id, context_id=context_id, title=f"Course {context_id}",
                connection_id=self.connection_id, issuer_entity_id="issuer", issuer_name="Issuer",
                issuer_role="owner", created_at=START,
            )  # fmt: skip
            session.add(course)
            session.commit()
            return course.id

    def enrol(self, *subs: str, course_id: int | None = None) -> None:
        """Learners with an address, on the course list."""
        with self.tools.database.write() as session:
            for sub in subs:
                person = session.scalar(select(Person).filter_by(platform_id=self.platform_id, sub=sub))
                if person is None:
                    person = Person(platform_id=self.platform_id, sub=sub, name=sub.title(), created_at=START)
                    person.email = f"{sub}@example.org"
                    session.add(person)
                    session.flush()
                enrolment = Enrolment(course_id=course_id or self.course_id, person_id=person.id, seen_at=START)
                enrolment.roster_role = Role.LEARNER
                session.add(enrolment)
            session.commit()

    def activity(self, title: str, course_id: int | None = None) -> int:
        """The key of an activity, made when it is new; its id in the LMS is its title."""
        with self.tools.database.write() as session:
            course = session.get_one(Course, course_id or self.course_id)
            ref = ActivityRef(title, title, "quiz")
            key = activities.find(session, course, [ref], self.now)[ref].id
            session.commit()
            return key

    def rule(self, criteria: Criteria, badge: str = "Algebra", course_id: int | None = None, **draft: Any) -> int:
        """A rule that is switched on for what is already done too."""
        course_id = course_id or self.course_id
        key = rules.create(
            self.tools, course_id, self.teacher_id, remote_badge(badge), Draft(criteria, **draft), self.now
        )
        rules.activate(self.tools, course_id, key, self.teacher_id, self.now, also_earned_before=True)
        return key

    def tell(self, sub: str, activity: str, score: float | None = None, **told: Any) -> GradeEvent:
        """What a source says of one person now; not sent yet."""
        at = told.get("at", self.now)
        released, context = told.get("released", True), told.get("context", "101")
        progress = told.get("progress")
        return GradeEvent(
            (Identifier(IdKind.LTI, context),),
            (Identifier(IdKind.LTI, sub),),
            ActivityRef(activity, told.get("title", activity), "quiz"),
            None if score is None else GradeFact(at, score, 10.0, GradingProgress.FULLY_GRADED, released),
            None if progress is None else ProgressFact(at, ActivityProgress(progress), released),
        )

    def send(self, *events: GradeEvent, run_key: str | None = None) -> int:
        """Let events come in as one delivery, and work on it and what it causes; the key of our event."""
        with self.tools.database.write() as session:
            event = self.event(*events, run_key=run_key)
            session.add(event)
            session.commit()
        intake.process(self.tools, event.id, self.now)
        self.settle()
        return event.id

    def event(self, *events: GradeEvent, run_key: str | None = None) -> Event:
        """Events as one delivery that was not worked on yet; not stored."""
        return Event(
            source_id=self.source_id, delivery_id=f"d{next(self._numbers)}", body=pull.write(list(events)),
            received_at=self.now, due_at=self.now, run_key=run_key, status=EventStatus.RECEIVED,
        )  # fmt: skip

    def grade(self, sub: str, activity: str, score: float | None = None, **told: Any) -> int:
        """Let one grade come in, a minute after the last one."""
        self.now += timedelta(minutes=1)
        return self.send(self.tell(sub, activity, score, **told))

    def settle(self) -> None:
        """Decide on everybody on whom that is due."""
        while True:
            with self.tools.database.read() as session:
                due = evaluation.due_people(session, self.now)
            if not due:
                return
            for key in due:
                evaluation.evaluate_due(self.tools, key, self.now)

    def issue(self) -> None:
        """As if Badgr had taken every award that is on its way."""
        with self.tools.database.write() as session:
            session.execute(
                update(Award)
                .where(Award.status == "pending")
                .values(status="issued", assertion_id="a", issued_at=self.now)
            )
            for award in session.scalars(select(Award).where(Award.status == "revoking")):
                award.status = AwardStatus.REVOKED
                chains.follow_loss(session, [award], self.now)
            session.commit()
        self.settle()

    def awards(self, sub: str | None = None) -> list[Award]:
        """The awards, of one person or all, with their steps."""
        query = select(Award).join(Person, Person.id == Award.person_id).order_by(Award.id)
        query = query.options(
            selectinload(Award.steps),
            selectinload(Award.rule_version),
            selectinload(Award.run),
            selectinload(Award.person),
        )
        with self.tools.database.read() as session:
            return list(session.scalars(query if sub is None else query.where(Person.sub == sub)))

    def statuses(self, sub: str) -> list[str]:
        """Where the awards of a person stand, the first first."""
        return [award.status.value for award in self.awards(sub)]

    def run(self) -> AwardRun:
        """The newest run."""
        with self.tools.database.read() as session:
            return session.scalars(select(AwardRun).order_by(AwardRun.id.desc()).limit(1)).one()

    def person_ids(self, *subs: str) -> list[int]:
        """The keys of people, in this order."""
        with self.tools.database.read() as session:
            found = {p.sub: p.id for p in session.scalars(select(Person).where(Person.sub.in_(subs)))}
        return [found[sub] for sub in subs]

    def rule_of(self, key: int) -> Rule:
        """A rule with its current version."""
        with self.tools.database.read() as session:
            return session.get_one(Rule, key)

    def titles(self) -> Iterable[str]:
        """The titles of the course's activities."""
        with self.tools.database.read() as session:
            return session.scalars(select(Activity.title).where(Activity.course_id == self.course_id)).all()


def remote_badge(name: str) -> RemoteBadgeClass:
    """A badge class as Badgr tells it."""
    return RemoteBadgeClass.parse(
        {
            "entityId": name, "name": name, "description": name, "issuer": "issuer", "image": None,
            "openBadgeId": f"https://b.example/{name}", "criteriaNarrative": name, "tags": [],
        }
    )  # fmt: skip
