"""Events that are worked on once more: their awards wait for the end of it, and that end comes in any case."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.domain.events import ActivityRef, GradeEvent, GradeFact, Identifier, IdKind
from lti_tool.models import AwardRun, EventStatus, Person, Rule, RuleStatus, RunCause, RunStatus
from lti_tool.services import intake, matching, runs, sources, upkeep
from tests.scene import Scene

UNKNOWN = Identifier(IdKind.CANVAS, "21070000000000048")


@pytest.fixture
def scene(scene: Scene) -> Scene:
    scene.rule(ScoreAtLeast(scene.activity("quiz"), 80))
    return scene


def set_rules(scene: Scene, status: RuleStatus) -> None:
    with scene.tools.database.write() as session:
        session.execute(update(Rule).values(status=status))
        session.commit()


def told_while_paused(scene: Scene, *subs: str) -> list[int]:
    """Events, one of each person, that earned nothing when they came and would now."""
    set_rules(scene, RuleStatus.PAUSED)
    told = [scene.send(scene.tell(sub, "quiz", 9)) for sub in subs]
    set_rules(scene, RuleStatus.ACTIVE)
    return told


def work(scene: Scene) -> None:
    with scene.tools.database.read() as session:
        due = intake.due_events(session, scene.now)
    for event_id in due:
        intake.process(scene.tools, event_id, scene.now)
    scene.settle()


def statuses(scene: Scene) -> list[RunStatus]:
    """Where the runs of replays and pulls stand, without the one that the rule was switched on by."""
    query = select(AwardRun.status).where(AwardRun.cause != RunCause.SWITCH_ON).order_by(AwardRun.id)
    with scene.tools.database.read() as session:
        return list(session.scalars(query))


def test_what_matches_only_after_the_replay_is_awarded_too(scene: Scene) -> None:
    here = (Identifier(IdKind.LTI, "101"),)
    grade = GradeFact(scene.now, 9, 10)
    waiting = scene.send(GradeEvent(here, (UNKNOWN,), ActivityRef("quiz", "quiz", "quiz"), grade))
    told_while_paused(scene, "ola")
    sources.replay(scene.tools, scene.source_id, "admin", scene.now)
    work(scene)
    assert (scene.statuses("ola"), statuses(scene)) == (["pending"], [RunStatus.RELEASED])
    with scene.tools.database.write() as session:
        lea = session.scalars(select(Person).where(Person.sub == "lea")).one()
        matching.learn_people(session, scene.platform_id, {lea: [UNKNOWN]})
        session.commit()
    intake.process(scene.tools, waiting, scene.now)
    scene.settle()
    assert (scene.statuses("lea"), statuses(scene)) == (["pending"], [RunStatus.RELEASED] * 2)


def test_a_replay_ends_though_its_last_event_fails_for_good(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = told_while_paused(scene, "ola", "lea")
    sources.replay(scene.tools, scene.source_id, "admin", scene.now)
    intake.process(scene.tools, good, scene.now)
    assert statuses(scene) == [RunStatus.OPEN]
    monkeypatch.setattr(intake, "_apply", lambda *_: 1 / 0)
    for _ in range(intake.MAXIMUM_FAILURES - 1):
        scene.now += timedelta(hours=3)
        assert intake.process(scene.tools, bad, scene.now) is EventStatus.RECEIVED
    assert statuses(scene) == [RunStatus.OPEN]
    assert intake.process(scene.tools, bad, scene.now) is EventStatus.FAILED
    assert (scene.statuses("ola"), statuses(scene)) == (["pending"], [RunStatus.RELEASED])


@pytest.mark.parametrize("key", [None, "pull-1-1700000000000"], ids=["a replay", "a pull"])
def test_a_sweep_ends_what_was_left_open_by_somebody_who_was_stopped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    with monkeypatch.context() as stopped:
        stopped.setattr(runs, "finish_worked_on", lambda *_: None)
        if key is None:
            told_while_paused(scene, "ola")
            sources.replay(scene.tools, scene.source_id, "admin", scene.now)
            work(scene)
        else:
            scene.send(scene.tell("ola", "quiz", 9), run_key=key)
        assert (scene.statuses("ola"), statuses(scene)) == (["held"], [RunStatus.OPEN])
    upkeep.sweep(scene.tools, scene.now)
    assert (scene.statuses("ola"), statuses(scene)) == (["pending"], [RunStatus.RELEASED])


def test_a_sweep_leaves_open_what_is_still_under_way(scene: Scene) -> None:
    first, _ = told_while_paused(scene, "ola", "lea")
    sources.replay(scene.tools, scene.source_id, "admin", scene.now)
    intake.process(scene.tools, first, scene.now)
    upkeep.sweep(scene.tools, scene.now)
    assert (scene.statuses("ola"), statuses(scene)) == (["held"], [RunStatus.OPEN])
