"""A whole term: thousands of learners, rules of every kind, events tripled, shuffled and lost; and a second opinion.

What should be awarded is calculated apart, by plain functions over what the LMS knows at the end of each week; nothing
of the tool is used for it.
"""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from lti_tool.domain.criteria import (
    Approved,
    BadgeEarned,
    Completed,
    Criteria,
    Group,
    PointsAtLeast,
    ScoreAtLeast,
    Submitted,
    all_of,
    any_of,
)
from lti_tool.domain.events import GradeEvent
from lti_tool.domain.launch import Role
from lti_tool.models import (
    Activity,
    Award,
    AwardRun,
    AwardStatus,
    Course,
    Enrolment,
    Event,
    EventStatus,
    ExceptionKind,
    OnFall,
    Person,
    RunStatus,
    Source,
    SourceHour,
)
from lti_tool.services import decisions, exceptions, intake, pulls, runs
from lti_tool.services.exceptions import Grant
from tests.scene import START, Scene

LEARNERS = int(os.environ.get("LTI_BADGES_TEST_LEARNERS", "5000"))
ACTIVITIES = 40
WEEKS = 4
WEEK = timedelta(days=7)
LOST, COPIES, BATCH = 0.05, 3, 500
# Grades fall only in activities of rules that look at nothing else, or that follow a fall: see `second_opinion`.
MAY_FALL = ("a00", "a12", "a13", "a14", "a15", "a19", "a25", "a30")


@dataclass
class Known:
    """What the LMS knows of one learner in one activity."""

    at: datetime
    score: float | None = None
    progress: str | None = None
    released: bool = True
    # What the event says, where that is another thing: who has completed hands in a second attempt.
    told: str | None = None


@dataclass
class Lms:
    """The LMS of the simulation: what it knows now."""

    rng: random.Random
    known: dict[tuple[str, str], Known] = field(default_factory=dict)

    def week(self, number: int) -> list[tuple[str, str, Known]]:
        """What happens in one week, in order."""
        start = START + number * WEEK
        told: list[tuple[str, str, Known]] = []
        for learner in range(LEARNERS):
            sub = f"s{learner}"
            for activity in self.rng.sample(range(ACTIVITIES), 3):
                told += self._work(sub, f"a{activity:02}", start)
        told.sort(key=lambda one: one[2].at)
        return told

    def _work(self, sub: str, activity: str, start: datetime) -> Iterator[tuple[str, str, Known]]:
        times = sorted(self.rng.sample(range(1, 600_000), 3))
        before = self.known.get((sub, activity))
        tries_again = before is not None and before.released and before.progress == "Completed"
        floor = before.score if before is not None and before.score is not None else 0.0
        steps = self.rng.choice([1, 1, 1, 2, 3])
        scores = sorted(self.rng.uniform(min(floor, 9.9), 10) for _ in range(steps))
        if before is not None and activity in MAY_FALL and self.rng.random() < 0.5:
            # Down first, and then perhaps up again.
            scores = sorted(self.rng.uniform(0, 10) for _ in range(steps))
        for second, score in zip(times, scores, strict=False):
            hidden = before is None and steps == 1 and self.rng.random() < 0.1
            again = "Submitted" if tries_again and self.rng.random() < 0.5 else None
            one = Known(start + timedelta(seconds=second), round(score, 6), self._progress(before), not hidden, again)
            before = self.known[sub, activity] = one
            yield sub, activity, one

    def _progress(self, before: Known | None) -> str:
        stages = ["InProgress", "Submitted", "Completed"]
        reached = stages.index(before.progress) if before is not None and before.progress in stages else 0
        return stages[min(2, max(reached, self.rng.choice([0, 1, 2, 2])))]

    def percent(self, sub: str, activity: str, since: datetime | None = None, until: datetime | None = None) -> float:
        """The released grade in per cent, within days if given; less than nothing when there is none."""
        one = self.known.get((sub, activity))
        if one is None or not one.released or one.score is None:
            return -1
        if (since is not None and one.at < since) or (until is not None and one.at > until):
            return -1
        return one.score * 10

    def has(self, sub: str, activity: str, *stages: str) -> bool:
        """Whether the released progress is one of these."""
        one = self.known.get((sub, activity))
        return one is not None and one.released and one.progress in stages


DONE, IN = ("Completed",), ("Submitted", "Completed")
FROM, UNTIL = START + WEEK, START + 3 * WEEK
Rule = Callable[[Lms, str, set[str]], bool]


def second_opinion() -> dict[str, tuple[bool, Rule]]:
    """For each badge whether a fall takes it away, and whether somebody should have it now."""

    def number(*met: bool) -> int:
        return sum(met)

    return {
        "score": (False, lambda lms, s, _: lms.percent(s, "a00") >= 80),
        "points": (False, lambda lms, s, _: lms.percent(s, "a01") >= 70),
        "completed": (False, lambda lms, s, _: lms.has(s, "a02", *DONE)),
        "submitted": (False, lambda lms, s, _: lms.has(s, "a03", *IN)),
        "all": (
            False,
            lambda lms, s, _: lms.percent(s, "a04") >= 60 and lms.has(s, "a05", *DONE) and lms.has(s, "a06", *IN),
        ),
        "any": (False, lambda lms, s, _: lms.percent(s, "a07") >= 90 or lms.has(s, "a08", *DONE)),
        "two of": (
            False,
            lambda lms, s, _: number(*(lms.percent(s, a) >= 50 for a in ("a09", "a10", "a11"))) >= 2,
        ),
        "nested, falling": (
            True,
            lambda lms, s, _: (
                (lms.percent(s, "a12") >= 40 or lms.percent(s, "a13") >= 40)
                and number(lms.percent(s, "a14") >= 30, lms.percent(s, "a15") >= 30, lms.has(s, "a18", *DONE)) >= 2
            ),
        ),
        "days": (
            False,
            lambda lms, s, _: (
                int(s[1:]) % 50 == 1
                or lms.percent(s, "a16", FROM, UNTIL + (WEEK if is_extended(s) else 0 * WEEK)) >= 50
            ),
        ),
        "badge": (False, lambda lms, s, had: "score" in had and lms.has(s, "a17", *DONE)),
        "approved": (False, lambda lms, s, _: is_approved(s) and lms.percent(s, "a24") >= 50),
        "looked at, falling": (True, lambda lms, s, _: lms.percent(s, "a19") >= 70),
    }


def last_day(sub: str) -> datetime:
    return UNTIL + WEEK if is_extended(sub) else UNTIL


def is_extended(sub: str) -> bool:
    return int(sub[1:]) % 10 == 0


def is_approved(sub: str) -> bool:
    return int(sub[1:]) % 3 == 0


class Term:
    """The tool in this term, and the teacher who uses it."""

    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self.scene, self.rng = scene, rng
        self.subs = [f"s{number}" for number in range(LEARNERS)]
        self._enrol()
        self.keys = {f"a{number:02}": scene.activity(f"a{number:02}") for number in range(ACTIVITIES)}
        self.rules = self._make_rules()

    def _enrol(self) -> None:
        with self.scene.tools.database.write() as session:
            people = [
                {"platform_id": self.scene.platform_id, "sub": s, "name": s, "email": f"{s}@x.org", "created_at": START}
                for s in self.subs
            ]
            session.execute(insert(Person), people)
            rows = session.scalars(select(Person.id).where(Person.sub.in_(["teacher"]).is_(False)))
            enrolled = [
                {
                    "course_id": self.scene.course_id, "person_id": key, "roster_role": Role.LEARNER,
                    "seen_at": START, "is_test": False, "active": True,
                }
                for key in rows
            ]  # fmt: skip
            session.execute(insert(Enrolment), enrolled)
            webhook = Source(
                public_id="webhook", platform_id=self.scene.platform_id, kind="standard", name="Webhook",
                sealed_secret=self.scene.tools.vault.seal("s"), created_at=START,
            )  # fmt: skip
            session.add(webhook)
            session.flush()
            # One that has never spoken is not set up yet, and is not said to have lost anything.
            session.add(
                Event(
                    source_id=webhook.id,
                    delivery_id="1",
                    body="",
                    received_at=START,
                    due_at=START,
                    status=EventStatus.PROCESSED,
                )
            )
            session.commit()

    def _make_rules(self) -> dict[str, int]:
        k, scene = self.keys, self.scene
        made = {"score": scene.rule(ScoreAtLeast(k["a00"], 80), badge="score")}
        first = scene.rule_of(made["score"]).badge_class_id
        two = Group(2, tuple(ScoreAtLeast(k[a], 50) for a in ("a09", "a10", "a11")))
        nested = all_of(
            any_of(ScoreAtLeast(k["a12"], 40), ScoreAtLeast(k["a13"], 40)),
            Group(2, (ScoreAtLeast(k["a14"], 30), ScoreAtLeast(k["a15"], 30), Completed(k["a18"]))),
        )
        wanted: dict[str, tuple[Criteria, dict[str, Any]]] = {
            "points": (PointsAtLeast(k["a01"], 7), {}),
            "completed": (Completed(k["a02"]), {}),
            "submitted": (Submitted(k["a03"]), {}),
            "all": (all_of(ScoreAtLeast(k["a04"], 60), Completed(k["a05"]), Submitted(k["a06"])), {}),
            "any": (any_of(ScoreAtLeast(k["a07"], 90), Completed(k["a08"])), {}),
            "two of": (two, {}),
            "nested, falling": (nested, {"on_fall": OnFall.REVOKE}),
            "days": (ScoreAtLeast(k["a16"], 50), {"counts_from": FROM, "counts_until": UNTIL}),
            "badge": (all_of(BadgeEarned(first), Completed(k["a17"])), {}),
            "approved": (all_of(Approved(), ScoreAtLeast(k["a24"], 50)), {}),
            "looked at, falling": (ScoreAtLeast(k["a19"], 70), {"on_fall": OnFall.REVOKE, "needs_approval": True}),
        }
        for badge, (criteria, draft) in wanted.items():
            made[badge] = scene.rule(criteria, badge=badge, **draft)
        self._grant(made["days"], [s for s in self.subs if is_extended(s)], ExceptionKind.EXTENSION, until=UNTIL + WEEK)
        excused = [s for s in self.subs if int(s[1:]) % 50 == 1]
        self._grant(made["days"], excused, ExceptionKind.EXCUSED, activity_id=k["a16"])
        self._grant(made["approved"], [s for s in self.subs if is_approved(s)], ExceptionKind.APPROVED)
        return made

    def _grant(self, rule_id: int, subs: list[str], kind: ExceptionKind, **told: object) -> None:
        for start in range(0, len(subs), 500):
            people = self.scene.person_ids(*subs[start : start + 500])
            grant = Grant(kind, **told)  # type: ignore[arg-type]
            exceptions.grant(
                self.scene.tools, self.scene.course_id, rule_id, people, grant, self.scene.teacher_id, self.scene.now
            )
        self.scene.settle()

    def event(self, sub: str, activity: str, one: Known, told: str | None = None) -> GradeEvent:
        """What the LMS says of it; `told` is what the event says of the progress, where that is another thing."""
        progress = told or one.progress
        return self.scene.tell(sub, activity, one.score, at=one.at, progress=progress, released=one.released)

    def deliver(self, told: list[tuple[str, str, Known]]) -> int:
        """Send the events of a week, as badly as it gets; of how many results the newest was lost."""
        arrives = [self.rng.random() >= LOST for _ in told]
        kept = [one for one, here in zip(told, arrives, strict=True) if here]
        newest = {(sub, activity): here for (sub, activity, _), here in zip(told, arrives, strict=True)}
        copies = [self.event(*one, told=one[2].told) for one in kept for _ in range(COPIES)]
        self.rng.shuffle(copies)
        for start in range(0, len(copies), BATCH):
            self.scene.send(*copies[start : start + BATCH])
        return sum(not here for here in newest.values())

    def pull(self, lms: Lms) -> int:
        """Read what the LMS knows now; how much of it was not known."""
        told = [self.event(sub, activity, one) for (sub, activity), one in lms.known.items()]
        with self.scene.tools.database.write() as session:
            course = session.get_one(Course, self.scene.course_id)
            found = pulls.keep(session, self.scene.tools, course, told, {}, self.scene.now)
            course.pulled_at = self.scene.now
            session.commit()
        with self.scene.tools.database.read() as session:
            due = intake.due_events(session, self.scene.now)
        for event_id in due:
            intake.process(self.scene.tools, event_id, self.scene.now)
        self.scene.settle()
        return found

    def teach(self) -> None:
        """What the teacher does at the end of a week: confirm what waits, approve what is to be looked at."""
        tools, course_id, now = self.scene.tools, self.scene.course_id, self.scene.now
        with tools.database.read() as session:
            waiting = list(session.scalars(select(AwardRun.id).where(AwardRun.status == RunStatus.WAITING)))
        for run_id in waiting:
            runs.confirm(tools, course_id, run_id, "Terry", now)
        self._approve()
        # What Badgr took back makes room for what was earned anew, which is looked at in turn.
        self.scene.issue()
        self._approve()
        self.scene.issue()

    def _approve(self) -> None:
        tools, course_id = self.scene.tools, self.scene.course_id
        while True:
            with tools.database.read() as session:
                ids = [award.id for award in session.scalars(decisions.waiting_for_approval(course_id).limit(500))]
            if not ids:
                break
            decisions.approve(tools, course_id, ids, "Terry", self.scene.now, approved=True)

    def holders(self, badge: str) -> list[str]:
        """Who has the badge now, as often as they have it."""
        with self.scene.tools.database.read() as session:
            query = (
                select(Person.sub)
                .join(Award, Award.person_id == Person.id)
                .where(Award.rule_id == self.rules[badge], Award.status == AwardStatus.ISSUED)
            )
            return sorted(session.scalars(query))


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(database_url, tmp_path, brake_awards=50)
    yield scene
    scene.tools.database.dispose()


@pytest.mark.timeout(1800)
def test_a_term_ends_with_exactly_the_awards_of_a_second_opinion(scene: Scene) -> None:
    rng = random.Random(20261125)
    lms, term = Lms(rng), Term(scene, rng)
    expected: dict[str, set[str]] = {badge: set() for badge in second_opinion()}
    had: dict[str, set[str]] = {sub: set() for sub in term.subs}
    lost = 0
    for week in range(WEEKS):
        told = lms.week(week)
        scene.now = START + (week + 1) * WEEK
        missing = term.deliver(told)
        assert term.pull(lms) == missing
        # What the first look at a course finds was there before anybody listened: it counts as nothing lost.
        lost += missing if week else 0
        term.teach()
        for badge, (falls, should) in second_opinion().items():
            met = {sub for sub in term.subs if should(lms, sub, had[sub])}
            expected[badge] = met if falls else expected[badge] | met
            for sub in met:
                had[sub].add(badge)
    for badge, people in expected.items():
        assert people, f"nobody earns {badge}: the simulation is too small to show anything"
        assert term.holders(badge) == sorted(people), badge
    with scene.tools.database.read() as session:
        counted = session.scalar(select(func.sum(SourceHour.lost))) or 0
        assert session.scalar(select(func.count()).select_from(Activity)) == ACTIVITIES
        taken = session.scalar(select(func.count()).where(Award.status == AwardStatus.REVOKED))
        assert taken, "no grade fell: the simulation shows nothing of falls"
    assert counted == lost > 0
