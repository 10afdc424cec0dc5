"""Badges that ask for another badge: they come with it when it is certain, and go with it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from lti_tool.badgr.assertions import Assertion
from lti_tool.domain.criteria import BadgeEarned, ScoreAtLeast
from lti_tool.models import Award, AwardStatus, OnFall, RunStatus
from lti_tool.services import changes, decisions, revocation, rules, runs
from lti_tool.services.drafts import Draft
from tests.scene import Scene, remote_badge

MANY = 30


@pytest.fixture
def crowd(database_url: str, tmp_path: Path) -> Iterator[Scene]:
    """A course of thirty who all have nine of ten in the quiz; more than nine awards at once wait."""
    scene = Scene(database_url, tmp_path, brake_percent=30)
    subs = [f"p{number:02}" for number in range(MANY)]
    scene.enrol(*subs)
    scene.activity("quiz")
    scene.send(*(scene.tell(sub, "quiz", 9) for sub in subs))
    yield scene
    scene.tools.database.dispose()


def quiz_rule(scene: Scene, **draft: object) -> int:
    return scene.rule(ScoreAtLeast(scene.activity("quiz"), 80), **draft)  # type: ignore[arg-type]


def follower(scene: Scene, of: int, **draft: object) -> int:
    """A rule for whoever has the badge of another."""
    criteria = BadgeEarned(scene.rule_of(of).badge_class_id)
    return scene.rule(criteria, badge="Follows", **draft)  # type: ignore[arg-type]


def statuses_of(scene: Scene, rule_id: int) -> list[AwardStatus]:
    return [award.status for award in scene.awards() if award.rule_id == rule_id]


def waiting_run(crowd: Scene, **draft: object) -> tuple[int, int]:
    """A rule that was switched on and waits for a teacher with all its awards, and one that follows it."""
    told = Draft(ScoreAtLeast(crowd.activity("quiz"), 80))
    first = rules.create(crowd.tools, crowd.course_id, crowd.teacher_id, remote_badge("Algebra"), told, crowd.now)
    follows = follower(crowd, first, **draft)
    rules.activate(crowd.tools, crowd.course_id, first, crowd.teacher_id, crowd.now, also_earned_before=True)
    crowd.settle()
    assert crowd.run().status is RunStatus.WAITING
    return first, follows


def test_nothing_follows_what_waits_for_a_teacher(crowd: Scene) -> None:
    """Else the brake would be of no use: the badges of the rule that follows would go out at once."""
    _, follows = waiting_run(crowd)
    assert statuses_of(crowd, follows) == []
    assert runs.confirm(crowd.tools, crowd.course_id, crowd.run().id, "Terry", crowd.now) == 2 * MANY
    assert statuses_of(crowd, follows) == [AwardStatus.PENDING] * MANY


@pytest.mark.parametrize("on_fall", OnFall)
def test_what_followed_is_undone_with_its_run(crowd: Scene, on_fall: OnFall) -> None:
    _, follows = waiting_run(crowd, on_fall=on_fall)
    run_id = crowd.run().id
    runs.confirm(crowd.tools, crowd.course_id, run_id, "Terry", crowd.now)
    crowd.settle()
    crowd.issue()
    assert runs.undo(crowd.tools, crowd.course_id, run_id, "Terry", crowd.now) == 2 * MANY
    crowd.settle()
    crowd.issue()
    assert set(statuses_of(crowd, follows)) == {AwardStatus.REVOKED}
    assert len(crowd.awards()) == 2 * MANY


def test_nothing_follows_what_is_not_approved_yet(scene: Scene) -> None:
    first = quiz_rule(scene, needs_approval=True)
    follows = follower(scene, first)
    scene.grade("lea", "quiz", 9)
    scene.grade("ola", "quiz", 9)
    assert statuses_of(scene, follows) == []
    yes, no = (award.id for award in scene.awards())
    decisions.approve(scene.tools, scene.course_id, [yes], "Terry", scene.now, approved=True)
    decisions.approve(scene.tools, scene.course_id, [no], "Terry", scene.now, approved=False)
    scene.settle()
    assert (scene.statuses("lea"), scene.statuses("ola")) == (["pending", "pending"], ["revoked"])


def test_a_badge_that_a_teacher_revokes_takes_what_followed_along(scene: Scene) -> None:
    first = quiz_rule(scene)
    follows = follower(scene, first, on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    award = next(award for award in scene.awards("lea") if award.rule_id == first)
    revocation.request(scene.tools, scene.course_id, award.id, "Copied", "Terry", scene.now)
    scene.settle()
    assert statuses_of(scene, follows) == [AwardStatus.REVOKING]


def test_a_badge_that_is_revoked_at_badgr_takes_what_followed_along(scene: Scene) -> None:
    first = quiz_rule(scene)
    follows = follower(scene, first, on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    with scene.tools.database.write() as session:
        session.execute(update(Award).where(Award.rule_id == first).values(assertion_id="of the first"))
        session.commit()
    told = Assertion("of the first", "", "", "lea@example.org", "", None, scene.now, revoked=True)
    changes._apply(scene.tools, 1, [told], scene.now)
    scene.settle()
    assert (statuses_of(scene, first), statuses_of(scene, follows)) == ([AwardStatus.REVOKED], [AwardStatus.REVOKING])


def test_a_fall_reaches_what_followed_in_another_course_and_so_does_the_rise(scene: Scene) -> None:
    there = scene.add_course("102")
    scene.enrol("lea", course_id=there)
    first = quiz_rule(scene, on_fall=OnFall.REVOKE)
    follows = follower(scene, first, course_id=there, on_fall=OnFall.REVOKE)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    scene.grade("lea", "quiz", 1)
    scene.issue()
    assert scene.statuses("lea") == ["revoked", "revoked"]
    scene.grade("lea", "quiz", 9)
    scene.issue()
    assert statuses_of(scene, follows) == [AwardStatus.REVOKED, AwardStatus.ISSUED]


def test_from_now_on_means_badges_that_are_earned_from_now_on(scene: Scene) -> None:
    first = quiz_rule(scene)
    scene.grade("lea", "quiz", 9)
    scene.issue()
    scene.now += timedelta(days=30)
    told = Draft(BadgeEarned(scene.rule_of(first).badge_class_id))
    key = rules.create(scene.tools, scene.course_id, scene.teacher_id, remote_badge("Follows"), told, scene.now)
    rules.activate(scene.tools, scene.course_id, key, scene.teacher_id, scene.now, also_earned_before=False)
    scene.grade("ola", "quiz", 9)
    assert [award.person.sub for award in scene.awards() if award.rule_id == key] == ["ola"]
