"""Runs: what awards to many at once waits for a teacher, who sees names and reasons, confirms, or takes it back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lti_tool.models import RunStatus
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import by_hand
from lti_tool.services.by_hand import Line
from tests.functional.deciding import (
    COURSE,
    drafted_course,
    newest_run,
    person,
    rule_status,
    send,
    statuses,
    switched_on,
    words,
)
from tests.world import CHEMISTRY, EARLY, LEARNER, TEACHER, World, running_world

OLA, QUINN = "ola@example.org", "quinn@example.org"


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A world where more than one award at once waits."""
    with running_world(database_url, tmp_path, brake_awards=1) as world:
        yield world


def waiting(world: World) -> Visitor:
    """A teacher at the page of a run of two awards that waits."""
    teacher = drafted_course(world)
    teacher.submit("/activate", {"scope": "all"})
    world.work()
    return teacher


def test_many_awards_at_once_wait_with_names_and_reasons(world: World) -> None:
    teacher = waiting(world)
    assert teacher.url.endswith(f"/runs/{newest_run(world).id}")
    assert teacher.page.select_one(".notice.warn[role=status]"), "a warning does not look like a success"
    for part in (
        "Terry Teacher switched on the badge “Algebra I”",
        "Ola Okafor",
        "Quinn Quigley",
        "90 % reached, 80 % needed.",
    ):
        assert part in teacher.text
    assert world.badgr.live_assertions() == []
    first = teacher.open(world.course_url(teacher))
    assert "2 awards at once wait for you" in first.text
    assert first.follow("/runs/").url.endswith(f"/runs/{newest_run(world).id}")


def test_a_teacher_confirms_and_they_go_out(world: World) -> None:
    teacher = waiting(world).submit("/confirm")
    assert "2 badges go out now" in teacher.text
    world.work()
    assert (world.held_by(OLA), world.held_by(QUINN)) == (["Algebra I"], ["Algebra I"])
    assert "Terry Teacher confirmed it" in teacher.open(teacher.url).text
    assert "at once wait" not in teacher.open(world.course_url(teacher)).text


def test_a_run_is_confirmed_once(world: World) -> None:
    teacher = waiting(world)
    run_id = newest_run(world).id
    shown = teacher.page.select_one("form[action$='/confirm'] input[name=shown]")["value"]
    assert send(teacher, f"runs/{run_id}/confirm", shown=shown).status_code == 200
    assert send(teacher, f"runs/{run_id}/confirm", shown=shown).status_code == 409


def test_not_awarding_says_first_what_happens_and_pauses_the_rule(world: World) -> None:
    teacher = waiting(world).follow("/undo")
    for part in ("Do not award these badges?", "2 badges have not been sent", "Algebra I is paused"):
        assert part in teacher.text
    assert statuses(world) == ["held", "held"]
    teacher.submit("/undo")
    assert "Taken back: 2 awards" in teacher.text
    assert statuses(world) == ["revoked", "revoked"]
    assert rule_status(world) == "paused"
    world.sweep()
    assert world.badgr.live_assertions() == []


def test_what_is_at_badgr_is_revoked_there(world: World) -> None:
    teacher = waiting(world).submit("/confirm")
    world.work()
    teacher.open(world.course_url(teacher)).follow("/runs").follow("/undo")
    assert "2 badges are at Badgr and are revoked there" in teacher.text
    teacher.submit("/undo")
    world.work()
    assert world.badgr.live_assertions() == []
    assert {a.revocation_reason for a in world.badgr.assertions.values()} == {"Awarded by mistake."}
    assert newest_run(world).status is RunStatus.UNDONE
    assert "Taken back" in teacher.open(world.course_url(teacher) + "runs").text


def test_what_was_taken_back_is_earned_again_by_the_mended_rule(world: World) -> None:
    teacher = waiting(world).follow("/undo").submit("/undo")
    teacher.open(world.course_url(teacher) + "rules/1").submit("/activate", {"scope": "all"})
    teacher.submit("/confirm")
    world.work()
    assert world.held_by(OLA) == ["Algebra I"]


def test_an_account_that_is_only_staff_takes_nothing_back_by_halves(world: World) -> None:
    world.announce()
    teacher = world.launch(TEACHER)
    world.connect(teacher, "Stan Staff")
    world.make_rule(teacher).submit("/activate", {"scope": "all"})
    teacher.submit("/confirm")
    world.work()
    run_id = newest_run(world).id
    teacher.open(world.course_url(teacher) + f"runs/{run_id}/undo")
    assert "may not revoke" in teacher.text
    assert teacher.page.select_one("form[action*='/undo']") is None
    teacher.open(world.course_url(teacher) + "rules/1")
    answer = send(teacher, f"runs/{run_id}/undo")
    assert answer.status_code == 409
    assert "only staff" in words(answer)
    assert newest_run(world).status is RunStatus.RELEASED
    assert rule_status(world) == "active"


def test_only_who_pauses_a_rule_by_an_undo_is_told_to_mend_it(world: World) -> None:
    teacher = waiting(world).follow("/undo").submit("/undo")
    assert "Taken back: 2 awards. Mend the rule before you switch it on again." in teacher.text
    teacher.open(world.course_url(teacher) + "rules/1").submit("/activate", {"scope": "from_now"})
    lines = [Line(person(world, LEARNER), "award", "Helped")]
    by_hand.carry_out(world.tools, COURSE, 1, lines, person(world, TEACHER), datetime.now(UTC))
    teacher.open(f"{world.course_url(teacher)}runs/{newest_run(world).id}/undo").submit("/undo")
    assert "Taken back: 1 award." in teacher.text
    assert "Mend the rule" not in teacher.text
    assert rule_status(world) == "active"
    # Nor does its page say so, when somebody pauses it later.
    teacher.open(world.course_url(teacher) + "rules/1").submit("/pause")
    assert "Its awards were taken back" not in teacher.text


def test_a_run_is_behind_the_wall_of_its_course(world: World) -> None:
    teacher = waiting(world)
    run_id = newest_run(world).id
    biology = world.course_url(teacher)
    other = world.launch(TEACHER, CHEMISTRY)
    chemistry = world.course_url(other)
    for page in (f"runs/{run_id}", f"runs/{run_id}/undo"):
        assert other.open(chemistry + page).status == 404
        assert other.open(biology + page).status == 404
        assert world.launch(LEARNER).open(biology + page).status == 404


def test_after_an_undo_nothing_urges_to_switch_it_on_again(world: World) -> None:
    teacher = switched_on(world)
    run = newest_run(world)
    teacher.open(f"{world.course_url(teacher)}runs/{run.id}/undo").submit("/undo")
    assert rule_status(world) == "paused"
    teacher.open(world.course_url(teacher))
    assert "Set up badges in four steps" not in teacher.text
    assert "Preview and switch on" not in teacher.text
    assert "Algebra I" in teacher.text
    teacher.open(f"{world.course_url(teacher)}rules/1")
    assert "Its awards were taken back" in teacher.text


def test_whoever_confirms_is_told_whose_results_fell_meanwhile(world: World) -> None:
    teacher = waiting(world)
    world.grade(EARLY, score=3)
    world.work()
    (told,) = teacher.open(teacher.url).page.select("p.fallen")
    assert "30 % reached, 80 % needed." in told.text
    assert "Ola Okafor" in told.find_parent("tr").text
