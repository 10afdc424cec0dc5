"""A teacher's word: awards to approve, and awards that the results do not earn any more."""

from datetime import UTC, datetime

import pytest

from lti_tool.domain.criteria import Approved, ScoreAtLeast, all_of
from lti_tool.models import Award, OnFall
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import rules
from lti_tool.services.drafts import Draft
from tests.functional.deciding import (
    COURSE,
    activity,
    awards,
    drafted_course,
    person,
    rule_criteria,
    send,
    statuses,
    switched_on,
    words,
)
from tests.world import CHEMISTRY, EARLY, LEARNER, LEARNER_ADDRESS, TEACHER, World

OLA, QUINN = "ola@example.org", "quinn@example.org"


def boxes(teacher: Visitor) -> list[str]:
    return [box["value"] for box in teacher.page.select("input[type=checkbox][name=award]")]


def fallen(world: World, on_fall: OnFall = OnFall.PROPOSE, user: str = "Olive Owner") -> Visitor:
    """A course in which Lea has a badge that her results do not earn any more."""
    world.announce()
    teacher = world.launch(TEACHER)
    world.connect(teacher, user)
    world.make_rule(teacher)
    teacher = _on_fall(world, teacher, on_fall)
    world.grade(LEARNER, score=9)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    world.grade(LEARNER, score=4)
    world.work()
    return teacher


def _on_fall(world: World, teacher: Visitor, on_fall: OnFall) -> Visitor:
    draft = Draft(rule_criteria(world), on_fall=on_fall)
    rules.edit(world.tools, COURSE, 1, person(world, TEACHER), draft, datetime.now(UTC))
    teacher.open(world.course_url(teacher) + "rules/1").submit("/activate", {"scope": "from_now"})
    world.work()
    return teacher


def test_what_needs_approval_waits_on_a_list(world: World) -> None:
    teacher = switched_on(world, needs_approval=True)
    assert world.badgr.live_assertions() == []
    first = teacher.open(world.course_url(teacher))
    assert "2 awards wait for your approval" in first.text
    assert "Waits for a teacher's approval (2" not in first.text, "told once"
    teacher.follow("/approvals")
    assert "Ola Okafor" in teacher.text
    assert "90 % reached, 80 % needed." in teacher.text
    assert len(boxes(teacher)) == 2


def test_those_that_are_ticked_are_approved_and_the_others_wait(world: World) -> None:
    teacher = switched_on(world, needs_approval=True)
    teacher.open(world.course_url(teacher) + "approvals")
    answer = send(teacher, "approvals", award=boxes(teacher)[:1], decision="approve")
    assert "Approved; they go out by themselves: 1 award." in words(answer)
    world.work()
    assert (world.held_by(OLA), world.held_by(QUINN)) == (["Algebra I"], [])
    assert "1 award waits for your approval" in teacher.open(world.course_url(teacher)).text
    told = [step.text for step in world.award_of("6").steps]
    assert "Terry Teacher approved it." in told


def test_what_is_refused_is_not_sent_and_not_awarded_again(world: World) -> None:
    teacher = switched_on(world, needs_approval=True)
    teacher.open(world.course_url(teacher) + "rules/1/approvals")
    answer = send(teacher, "rules/1/approvals", award=boxes(teacher), decision="refuse")
    assert "Refused; nothing is sent: 2 awards." in words(answer)
    world.grade("6", score=10)
    world.work()
    assert statuses(world) == ["revoked", "revoked"]
    assert world.badgr.live_assertions() == []


def test_a_list_without_ticks_or_button_says_what_to_do(world: World) -> None:
    teacher = switched_on(world, needs_approval=True)
    teacher.open(world.course_url(teacher) + "approvals")
    nothing = send(teacher, "approvals", decision="approve")
    assert (nothing.status_code, "Choose at least one award." in words(nothing)) == (400, True)
    no_button = send(teacher, "approvals", award=boxes(teacher))
    assert (no_button.status_code, "Press one of the buttons" in words(no_button)) == (400, True)
    assert statuses(world) == ["held", "held"]


def test_a_fall_is_proposed_with_what_the_results_say_now(world: World) -> None:
    teacher = fallen(world)
    first = teacher.open(world.course_url(teacher))
    assert "Results do not earn 1 award any more" in first.text
    teacher.follow("/falls")
    for part in ("Lea Learner", "Algebra I", "40 % reached, 80 % needed."):
        assert part in teacher.text
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    award = teacher.follow("/awards/")
    assert "The results do not earn it any more" in award.text
    assert award.page.select_one("main a[href$='/falls']")


def test_a_fall_that_is_kept_is_not_asked_about_again(world: World) -> None:
    teacher = fallen(world)
    teacher.open(world.course_url(teacher) + "falls")
    assert "Kept: 1 award." in words(send(teacher, "falls", award=boxes(teacher), decision="keep"))
    world.grade(LEARNER, score=3)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    assert "Nothing to decide" in teacher.open(teacher.url).text
    assert "A teacher said to keep it" in teacher.open(f"awards/{world.award_of(LEARNER).id}").text


def test_a_fall_that_is_revoked_may_be_earned_again(world: World) -> None:
    teacher = fallen(world)
    teacher.open(world.course_url(teacher) + "falls")
    assert "Being revoked: 1 award." in words(send(teacher, "falls", award=boxes(teacher), decision="revoke"))
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == []
    assert "Nothing to decide" in teacher.open(teacher.url).text
    world.grade(LEARNER, score=10)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


@pytest.mark.parametrize("on_fall", [OnFall.KEEP, OnFall.REVOKE])
def test_what_the_rule_decides_is_not_asked(world: World, on_fall: OnFall) -> None:
    teacher = fallen(world, on_fall)
    assert world.held_by(LEARNER_ADDRESS) == (["Algebra I"] if on_fall is OnFall.KEEP else [])
    assert "Results do not earn" not in teacher.open(world.course_url(teacher)).text
    award = teacher.open(f"awards/{world.award_of(LEARNER).id}")
    assert "The results do not earn it any more" in award.text


def test_an_account_that_is_only_staff_gets_the_reason_instead_of_the_button(world: World) -> None:
    teacher = fallen(world, user="Stan Staff")
    teacher.open(world.course_url(teacher) + "falls")
    assert "may not revoke" in teacher.text
    assert teacher.page.select_one("button[value=revoke]") is None
    answer = send(teacher, "falls", award=boxes(teacher), decision="revoke")
    assert (answer.status_code, "only staff" in words(answer)) == (409, True)
    assert "Kept: 1 award." in words(send(teacher, "falls", award=boxes(teacher), decision="keep"))


def test_awards_of_another_course_are_not_decided_on(world: World) -> None:
    switched_on(world, needs_approval=True)
    keys = [award.id for award in awards(world)]
    other = world.launch(TEACHER, CHEMISTRY)
    other.open(other.page.select_one("a[href*='/badgr/connect']")["href"])
    token = other.page.select_one("input[name=csrf_token]")["value"]
    for path, decision in (("2/approvals", "approve"), ("2/falls", "revoke"), ("2/rules/1/approvals", "approve")):
        answer = other.browser.session.post(
            f"{world.tool_url}/courses/{path}",
            data={"csrf_token": token, "award": keys, "decision": decision},
            headers={"Referer": other.url},
        )
        assert answer.status_code == 404, path
    assert statuses(world) == ["held", "held"]


# -- what a teacher is told before and after --


def test_where_an_approval_that_is_a_condition_is_given(world: World) -> None:
    teacher = drafted_course(world)
    assert "who lacks only your approval" not in teacher.open(f"{world.course_url(teacher)}approvals").text
    told = Draft(all_of(ScoreAtLeast(activity(world, "Quiz 1"), 80), Approved()))
    rules.edit(world.tools, COURSE, 1, person(world, TEACHER), told, datetime.now(UTC))
    teacher.open(f"{world.course_url(teacher)}rules/1").submit("/activate", {"scope": "all"})
    for path in ("approvals", "rules/1/approvals"):
        teacher.open(f"{world.course_url(teacher)}{path}").follow("show=approval")
        assert "Ola Okafor" in teacher.text


def test_what_waits_for_approval_is_not_said_to_go_out(world: World) -> None:
    teacher = drafted_course(world, needs_approval=True)
    assert "2 badges wait for your approval then" in teacher.text
    teacher.submit("/activate", {"scope": "all"})
    world.work()
    assert "waits for you under “Awards to approve”" in teacher.text
    assert "go out by themselves" not in teacher.text
    teacher.open(teacher.url)
    assert "Has this badge already" not in teacher.text
    assert teacher.text.count("Waits for a teacher's approval") >= 2
    teacher.open(teacher.url + "/edit").submit("/edit", {"percent": "10"})
    assert "for your approval before anything goes out" in teacher.text


def test_whoever_is_refused_is_not_told_that_something_was_taken_back(world: World) -> None:
    teacher = switched_on(world, needs_approval=True)
    teacher.open(f"{world.course_url(teacher)}approvals")
    (first, *_) = boxes(teacher)
    send(teacher, "approvals", award=[first], decision="refuse")
    world.work()
    assert "Not approved" in teacher.open(f"{world.course_url(teacher)}learners").text
    award = teacher.open(f"{world.course_url(teacher)}awards/{first}").text
    assert "Not approved" in award
    assert "Terry Teacher did not approve it." in award
    assert "took it back" not in award
    with world.tools.database.read() as session:
        refused = session.get_one(Award, int(first)).person
    why = teacher.open(f"{world.course_url(teacher)}rules/1/people/{refused.id}")
    assert "Not approved. It is not awarded again by itself." in why.text
    assert "was taken back" not in why.text
    learner = world.launch(refused.sub)
    assert "0 of 1 badge earned" in learner.text
    assert "Your teacher did not approve this badge." in learner.text
    assert "was taken back" not in learner.text


def test_who_archives_a_badge_is_told_what_still_waits_for_approval(world: World) -> None:
    teacher = switched_on(world, needs_approval=True)
    teacher.open(f"{world.course_url(teacher)}rules/1")
    assert "2 badges wait for your approval. Archiving does not decide on them:" in teacher.text
    teacher.submit("/archive")
    # It can still be decided, on the page of all that waits.
    teacher.open(f"{world.course_url(teacher)}approvals")
    send(teacher, "approvals", award=boxes(teacher), decision="approve")
    world.work()
    teacher.open(f"{world.course_url(teacher)}rules/1")
    assert "Archiving does not decide" not in teacher.text


@pytest.mark.parametrize("on_fall", OnFall)
def test_who_approves_is_told_that_the_results_fell_meanwhile(world: World, on_fall: OnFall) -> None:
    teacher = switched_on(world, needs_approval=True, on_fall=on_fall)
    assert len(boxes(teacher.open(f"{world.course_url(teacher)}approvals"))) == 2
    assert "do not earn it any more" not in teacher.text
    world.grade(EARLY, score=3)
    world.work()
    teacher.open(f"{world.course_url(teacher)}approvals")
    if on_fall is OnFall.REVOKE:
        assert len(boxes(teacher)) == 1
        return
    assert len(boxes(teacher)) == 2
    (told,) = teacher.page.select("p.fallen")
    assert "30 % reached, 80 % needed." in told.text
    assert "Ola Okafor" in told.parent.text
