"""Large courses: what is done for all learners at once takes few statements, for two hundred as for twenty."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.domain.launch import Role
from lti_tool.lti.nrps import Member, Roster
from lti_tool.models import Award, AwardRun, AwardStatus, Enrolment
from lti_tool.services import members, rules, runs
from lti_tool.services.drafts import Draft
from tests.scene import Scene, remote_badge

FEW, MANY, MOST = 20, 200, 40


class Large(Scene):
    """A course of this many learners, told by a roster."""

    def __init__(self, database_url: str, folder: Path, learners: int) -> None:
        super().__init__(database_url, folder)
        self.roster = Roster(
            tuple(Member(f"s{n}", f"S {n}", f"s{n}@x.org", Role.LEARNER, False, True) for n in range(learners))
        )
        self.read()

    def read(self) -> None:
        """Store the roster as it is."""
        members.store(self.tools, self.course_id, self.roster, self.now, is_whole=True)

    def count(self, act: Callable[[], object]) -> int:
        """How many statements something takes."""
        told: list[str] = []
        event.listen(self.tools.database.engine, "before_cursor_execute", lambda *a: told.append(a[2]))
        act()
        # SQLAlchemy inserts rows whose ids SQLite has to tell one after the other.
        return sum(not statement.startswith("INSERT INTO award_step") for statement in told)

    def draft(self) -> int:
        """A rule that everybody meets, not switched on yet."""
        quiz = self.activity("quiz")
        self.send(*(self.tell(member.sub, "quiz", 9) for member in self.roster.members))
        draft = Draft(ScoreAtLeast(quiz, 80))
        return rules.create(self.tools, self.course_id, self.teacher_id, remote_badge("Algebra"), draft, self.now)

    def run(self) -> AwardRun:
        """The only run."""
        with self.tools.database.read() as session:
            return session.scalars(select(AwardRun)).one()

    def number(self, status: AwardStatus) -> int:
        """How many awards are so."""
        with self.tools.database.read() as session:
            return session.scalar(select(func.count()).where(Award.status == status)) or 0


@pytest.fixture
def large(new_database: Callable[[], str], tmp_path: Path) -> Callable[[int], Large]:
    """Makes such a course in a database of its own."""
    return lambda learners: Large(new_database(), tmp_path, learners)


def test_a_roster_is_stored_with_few_statements(large: Callable[[int], Large]) -> None:
    def statements(learners: int) -> tuple[int, int]:
        scene = large(learners)
        scene.roster = Roster((*scene.roster.members, *(_newcomer(n) for n in range(learners))))
        scene.now += timedelta(hours=1)
        told = scene.count(scene.read), scene.count(scene.read)
        with scene.tools.database.read() as session:
            assert session.scalar(select(func.count()).where(Enrolment.active)) == 2 * learners
        scene.tools.database.dispose()
        return told

    assert max(*statements(FEW), *statements(MANY)) < MOST


def test_a_rule_is_switched_on_confirmed_and_undone_with_few_statements(large: Callable[[int], Large]) -> None:
    def statements(learners: int) -> tuple[int, int, int]:
        scene = large(learners)
        who = scene.teacher_id
        key = scene.draft()
        on = scene.count(
            lambda: rules.activate(scene.tools, scene.course_id, key, who, scene.now, also_earned_before=True)
        )
        assert scene.number(AwardStatus.HELD) == learners
        run_id = scene.run().id
        confirmed = scene.count(lambda: runs.confirm(scene.tools, scene.course_id, run_id, "Terry", scene.now))
        assert scene.number(AwardStatus.PENDING) == learners
        undone = scene.count(lambda: runs.undo(scene.tools, scene.course_id, run_id, "Terry", scene.now))
        assert scene.number(AwardStatus.REVOKED) == learners
        scene.tools.database.dispose()
        return on, confirmed, undone

    assert max(*statements(FEW), *statements(MANY)) < MOST


def test_who_was_awarded_by_switching_on_is_not_decided_on_once_more(large: Callable[[int], Large]) -> None:
    scene = large(FEW)
    key = scene.draft()
    rules.activate(scene.tools, scene.course_id, key, scene.teacher_id, scene.now, also_earned_before=True)
    due = select(func.count()).where(Enrolment.evaluate_at.is_not(None))
    with scene.tools.database.read() as session:
        assert session.scalar(due) == 0
    # Whoever had it before the rule was paused is: their results may have fallen meanwhile.
    rules.pause(scene.tools, scene.course_id, key)
    rules.activate(scene.tools, scene.course_id, key, scene.teacher_id, scene.now, also_earned_before=True)
    with scene.tools.database.read() as session:
        assert session.scalar(due) == FEW
    scene.tools.database.dispose()


def _newcomer(number: int) -> Member:
    return Member(f"n{number}", f"N {number}", f"n{number}@x.org", Role.LEARNER, False, True)
