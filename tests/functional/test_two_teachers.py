"""Two teachers, or two tabs, at one rule or one list: nobody undoes what another one did without being told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.errors import ConflictError, OutdatedError
from lti_tool.models import Enrolment, Person, Rule, RuleStatus, RunStatus
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import awarding, drafts, rules, runs
from lti_tool.services.drafts import Draft
from tests.functional.deciding import drafted_course, newest_run, rule_status, statuses
from tests.scene import Scene, remote_badge
from tests.world import CLOSE, TEACHER, World, running_world

EDIT = "/edit"
CHANGED = "Somebody has changed this rule since you looked."


@pytest.fixture
def braked(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A world where more than one award at once waits."""
    with running_world(database_url, tmp_path, brake_awards=1) as world:
        yield world


def rule(world: World) -> Rule:
    with world.tools.database.read() as session:
        return session.get_one(Rule, 1)


def colleague(world: World, teacher: Visitor) -> Visitor:
    """A second teacher of the course, at the page of the rule."""
    other = world.launch(TEACHER)
    return other.open(f"{world.course_url(teacher)}rules/1")


def change(visitor: Visitor, **values: str) -> None:
    """Change the rule, and confirm it."""
    visitor.open(visitor.url.partition("/rules/")[0] + "/rules/1/edit").submit(EDIT, values)
    if "What would change" in visitor.text:
        visitor.submit(EDIT, button=("do", "confirm"))
    assert "Changed." in visitor.text


def test_an_older_form_does_not_undo_what_a_colleague_saved(world: World) -> None:
    mine = world.ready_course().follow(EDIT)
    change(colleague(world, mine), needs_approval="yes")
    mine.submit(EDIT, {"percent": "85"})
    assert mine.status == 409
    assert CHANGED in mine.text
    assert "It says now: Score at least 80 % in Quiz 1. A teacher looks at each badge before it goes out." in mine.text
    assert mine.page.select_one("[name=percent]")["value"] == "85"
    assert rule(world).current.needs_approval
    # Once told, they decide: and are told what that changes.
    mine.submit(EDIT)
    assert "A teacher looks at each badge before it goes out: yes → no" in mine.text
    mine.submit(EDIT, button=("do", "back")).submit(EDIT, {"needs_approval": "yes"})
    assert "yes → no" not in mine.text
    mine.submit(EDIT, button=("do", "confirm"))
    assert "Changed." in mine.text
    assert (rule(world).version, rule(world).current.needs_approval) == (3, True)


def test_what_was_to_be_confirmed_is_shown_anew_when_the_rule_has_changed(world: World) -> None:
    mine = world.ready_course().follow(EDIT).submit(EDIT, {"percent": "85"})
    change(colleague(world, mine), on_fall="propose")
    mine.submit(EDIT, button=("do", "confirm"))
    assert (mine.status, rule(world).version) == (409, 2)
    assert CHANGED in mine.text
    assert "When results fall: I am asked whether to revoke it → The badge stays" in mine.text
    mine.submit(EDIT, button=("do", "confirm"))
    assert (mine.status, rule(world).version) == (200, 3)


def test_an_older_form_of_a_draft_does_not_undo_it_either(world: World) -> None:
    mine = drafted_course(world).follow(EDIT)
    change(colleague(world, mine), percent="90")
    # Buttons that change the form only do not take the change for seen.
    mine.submit(EDIT, {"percent": "85"}, ("do", "'add:'")).submit(EDIT, button=("do", "'remove:1'"))
    assert mine.submit(EDIT).status == 409
    assert "It says now: Score at least 90 % in Quiz 1." in mine.text
    assert rule(world).version == 1
    mine.submit(EDIT)
    assert "Changed." in mine.text


def test_who_switches_on_has_seen_what_the_rule_says(world: World) -> None:
    mine = drafted_course(world)
    change(colleague(world, mine), percent="10")
    mine.submit("/activate", {"scope": "from_now"})
    assert (mine.status, rule_status(world)) == (409, "draft")
    assert CHANGED in mine.text
    assert "Score at least 10 % in Quiz 1" in mine.text
    assert mine.page.select_one("input[value=from_now]").has_attr("checked")
    assert "Switched on." in mine.submit("/activate").text


def test_an_older_page_pauses_nothing_that_was_put_away(world: World) -> None:
    mine = world.ready_course()
    colleague(world, mine).submit("/archive")
    mine.submit("/pause")
    assert (mine.status, rule_status(world)) == (409, "archived")
    assert "This rule is archived. Make a new one, or copy it." in mine.text


def test_a_rule_is_paused_when_it_is_on_and_archived_once(scene: Scene) -> None:
    draft = Draft(ScoreAtLeast(scene.activity("quiz"), 80))
    key = rules.create(scene.tools, scene.course_id, scene.teacher_id, remote_badge("Algebra"), draft, scene.now)
    with pytest.raises(ConflictError, match="nothing to pause"):
        rules.pause(scene.tools, scene.course_id, key)
    assert scene.rule_of(key).status is RuleStatus.DRAFT
    rules.archive(scene.tools, scene.course_id, key)
    with pytest.raises(ConflictError, match="archived"):
        rules.archive(scene.tools, scene.course_id, key)


def test_the_mark_of_a_rule_is_checked_where_it_is_changed(scene: Scene) -> None:
    quiz = scene.activity("quiz")
    key = scene.rule(ScoreAtLeast(quiz, 80))
    shown = drafts.mark(scene.rule_of(key))
    who, now = scene.teacher_id, scene.now
    rules.edit(scene.tools, scene.course_id, key, who, Draft(ScoreAtLeast(quiz, 90)), now, shown=shown)
    with pytest.raises(OutdatedError):
        rules.edit(scene.tools, scene.course_id, key, who, Draft(ScoreAtLeast(quiz, 85)), now, shown=shown)
    rules.pause(scene.tools, scene.course_id, key)
    with pytest.raises(OutdatedError):
        rules.activate(scene.tools, scene.course_id, key, who, now, also_earned_before=True, shown=shown)
    assert (scene.rule_of(key).criteria, scene.rule_of(key).version) == (ScoreAtLeast(quiz, 90), 2)


def test_versions_tell_what_differs_beside_the_sentence(world: World) -> None:
    teacher = world.ready_course()
    change(teacher, needs_approval="yes", counts_until="2030-01-02T08:00", repeat="each_time")
    teacher.open(teacher.url)
    (versions,) = teacher.page.select("ol.timeline")
    told = [" ".join(li.get_text(" ").split()) for li in versions.select("li")]
    assert "Results count until: no last day → 2 Jan 2030, 08:00 UTC" in told[0]
    assert "A teacher looks at each badge before it goes out: no → yes" in told[0]
    assert "How often one person can earn it: Once, whatever the course → Each time" in told[0]
    assert "→" not in told[1]


def test_a_list_that_has_grown_is_looked_at_once_more(braked: World) -> None:
    world = braked
    teacher = drafted_course(world).submit("/activate", {"scope": "all"})
    world.work()
    assert statuses(world) == ["held", "held"]
    with world.tools.database.write() as session:
        # As a pull does that goes on in the same run.
        run, now = newest_run(world), newest_run(world).started_at
        by = session.get_one(Rule, 1)
        more = session.scalars(select(Enrolment).join(Person).where(Person.sub == CLOSE)).one()
        earned = awarding.Achievement("x", "x", [], now)
        assert awarding.open_award(session, by, more, earned, now, session.merge(run)) is not None
        session.commit()
    teacher.submit("/confirm")
    assert teacher.status == 409
    assert "More badges have come to this list since you looked" in teacher.text
    assert "Award all 3" in teacher.text
    assert (newest_run(world).status, world.badgr.live_assertions()) == (RunStatus.WAITING, [])
    assert "3 badges go out now" in teacher.submit("/confirm").text


def test_who_confirms_has_seen_that_the_rule_was_changed(scene: Scene) -> None:
    subs = [f"p{number}" for number in range(12)]
    scene.enrol(*subs)
    scene.send(*(scene.tell(sub, "quiz", 6) for sub in subs))
    quiz = scene.activity("quiz")
    key = scene.rule(ScoreAtLeast(quiz, 50))
    run_id = scene.run().id
    with scene.tools.database.read() as session:
        shown = runs.mark(session, scene.run())
    rules.edit(scene.tools, scene.course_id, key, scene.teacher_id, Draft(ScoreAtLeast(quiz, 80)), scene.now)
    with pytest.raises(OutdatedError):
        runs.confirm(scene.tools, scene.course_id, run_id, "Terry", scene.now, shown=shown)
    with scene.tools.database.read() as session:
        run = runs.find(session, scene.course_id, run_id)
        shown = runs.mark(session, run)
    assert run.status is RunStatus.WAITING
    assert runs.confirm(scene.tools, scene.course_id, run_id, "Terry", scene.now, shown=shown) == 12
