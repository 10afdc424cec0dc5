"""Taking awards back: from here, and when somebody does it at Badgr; never awarded again in silence."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from lti_tool.models import Award, AwardStatus, Connection, OnFall, Person, Rule
from lti_tool.sandbox.badgr import Fault
from lti_tool.sandbox.badgr.state import Assertion
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import rules
from lti_tool.services.drafts import Draft
from tests.world import LEARNER, LEARNER_ADDRESS, NO_MAIL, TEACHER, World

REASON = "Grade corrected"


def awarded(world: World, user: str = "Olive Owner") -> Visitor:
    """A teacher at the page of an award that Badgr has issued."""
    world.announce()
    teacher = world.launch("3")
    world.connect(teacher, user)
    world.make_rule(teacher).submit("/activate", {"scope": "all"})
    world.grade(LEARNER, score=9)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    return teacher.open(f"{world.tool_url}/courses/1/awards/{world.award_of(LEARNER).id}")


def assertion_of(world: World, address: str = LEARNER_ADDRESS) -> Assertion:
    return next(a for a in world.badgr.assertions.values() if a.recipient.identity == address)


def look_for_changes(world: World) -> None:
    with world.tools.database.write() as session:
        session.execute(update(Connection).values(changes_checked_at=None))
        session.commit()
    world.sweep()


@pytest.mark.parametrize("user", ["Olive Owner", "Eddy Editor"])
def test_a_teacher_revokes_with_a_reason(world: World, user: str) -> None:
    teacher = awarded(world, user).submit("/revoke", {"reason": REASON})
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == []
    assert assertion_of(world).revocation_reason == REASON
    award = world.award_of(LEARNER)
    assert award.status is AwardStatus.REVOKED
    assert [step.kind for step in award.steps][-2:] == ["revoking", "revoked"]
    assert "Terry Teacher revokes it: Grade corrected" in teacher.open(teacher.url).text
    learner = world.launch(LEARNER)
    assert "Revoked" in learner.text
    assert "0 of 1 badge earned" in learner.text


def test_staff_is_not_offered_what_it_may_not_do(world: World) -> None:
    teacher = awarded(world, "Stan Staff")
    assert "only staff in this issuer" in teacher.text
    assert teacher.page.select_one("form[action*='/revoke']") is None
    token = teacher.page.select_one("input[name=csrf_token]")
    data = {"reason": REASON, "csrf_token": token["value"] if token else csrf_of(teacher)}
    answer = teacher.browser.post(f"{teacher.url}/revoke", data=data)
    assert answer.status_code == 409
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def csrf_of(teacher: Visitor) -> str:
    page = Visitor()
    page.browser.session.cookies = teacher.browser.session.cookies
    rule = page.open(teacher.url.split("/awards/")[0] + "/rules/1")
    return str(rule.page.select_one("input[name=csrf_token]")["value"])


@pytest.mark.parametrize("reason", ["", "   ", "x" * 256])
def test_a_reason_is_needed(world: World, reason: str) -> None:
    teacher = awarded(world)
    token = teacher.page.select_one("input[name=csrf_token]")["value"]
    answer = teacher.browser.post(f"{teacher.url}/revoke", data={"reason": reason, "csrf_token": token})
    assert answer.status_code == 400
    assert world.award_of(LEARNER).status is AwardStatus.ISSUED


def test_an_award_that_was_not_sent_is_given_up(world: World) -> None:
    teacher = world.ready_course()
    world.grade(NO_MAIL, score=9)
    world.work()
    award = world.award_of(NO_MAIL)
    teacher.open(f"{world.tool_url}/courses/1/awards/{award.id}").submit("/revoke", {"reason": REASON})
    world.sweep()
    assert world.award_of(NO_MAIL).status is AwardStatus.REVOKED
    assert "stands on the public page" not in teacher.text


@pytest.mark.parametrize(
    "fault",
    [
        Fault("/v2/assertions/", method="DELETE", kind="reset", after_work=True),
        Fault("/v2/assertions/", method="DELETE", status=502, after_work=True),
        Fault("/v2/assertions/", method="DELETE", status=500),
        Fault("/v2/assertions/", method="DELETE", kind="truncate", after_work=True),
        Fault("/v2/assertions/", method="GET", kind="reset"),
        Fault("/v2/assertions/", status=429, headers={"Retry-After": "1"}),
    ],
)
def test_whatever_fails_it_is_revoked_in_the_end_and_we_know(world: World, fault: Fault) -> None:
    teacher = awarded(world)
    world.badgr.faults.add(fault)
    teacher.submit("/revoke", {"reason": REASON})
    world.work()
    for _ in range(3):
        world.tick()
    assert world.held_by(LEARNER_ADDRESS) == []
    assert world.award_of(LEARNER).status is AwardStatus.REVOKED
    assert assertion_of(world).revocation_reason == REASON


def test_a_server_that_asks_to_be_left_alone_is_left_alone_by_revocations_too(world: World) -> None:
    teacher = awarded(world)
    world.badgr.faults.add(Fault("/v2/assertions/", status=429, headers={"Retry-After": "500"}))
    teacher.submit("/revoke", {"reason": REASON})
    world.work()
    before = len(world.badgr.requests)
    with world.tools.database.write() as session:
        # Its own pause is over, but not that of the server.
        session.execute(update(Award).values(due_at=datetime.now(UTC)))
        session.commit()
    world.sweep()
    assert len(world.badgr.requests) == before
    world.tick()
    assert world.held_by(LEARNER_ADDRESS) == []


def test_a_revocation_that_is_refused_leaves_the_badge_and_says_why(world: World) -> None:
    teacher = awarded(world)
    issuer = next(i for i in world.badgr.issuers.values() if i.name == "Loopback University")
    for user in issuer.staff:
        issuer.staff[user] = "staff"
    teacher.submit("/revoke", {"reason": REASON})
    world.work()
    award = world.award_of(LEARNER)
    assert award.status is AwardStatus.ISSUED
    assert "It could not be revoked" in (award.advice or "")
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


@pytest.mark.parametrize("has_feed", [True, False])
def test_a_badge_that_was_revoked_at_badgr_is_shown_and_not_awarded_again(world: World, has_feed: bool) -> None:
    teacher = awarded(world)
    look_for_changes(world)
    assertion_of(world).revoke("Cheated")
    if not has_feed:
        world.badgr.faults.add(Fault("/v2/assertions/changed", status=404, times=9))
    look_for_changes(world)
    award = world.award_of(LEARNER)
    assert award.status is AwardStatus.REVOKED
    assert "Revoked at Badgr: Cheated" in teacher.open(teacher.url).text
    assert "The reason given: Cheated" in world.launch(LEARNER).text
    world.grade(LEARNER, score=10)
    world.sweep()
    assert world.held_by(LEARNER_ADDRESS) == []


def test_a_feed_is_read_on_from_where_it_ended(world: World) -> None:
    awarded(world)
    look_for_changes(world)
    with world.tools.database.read() as session:
        until = session.get_one(Connection, 1).changes_until
    assert until
    look_for_changes(world)
    asked = [r.path for r in world.badgr.requests if "/changed" in r.path]
    assert asked[-1].split("since=")[1].replace("%3A", ":").replace("%2B", "+") == until


def test_badgr_is_looked_at_every_quarter_of_an_hour_only(world: World) -> None:
    awarded(world)
    look_for_changes(world)
    before = len([r for r in world.badgr.requests if "/changed" in r.path])
    world.sweep()
    assert len([r for r in world.badgr.requests if "/changed" in r.path]) == before


def test_a_badge_class_that_was_changed_or_deleted_at_badgr_is_noticed(world: World) -> None:
    teacher = awarded(world)
    badge = next(b for b in world.badgr.badge_classes.values() if b.name == "Algebra I")
    badge.name = "Algebra One"
    look_for_changes(world)
    rule = f"{world.tool_url}/courses/1/rules/1"
    assert "Algebra One" in teacher.open(rule).text
    gone = '{"status":{"success":false,"description":"entity not found or insufficient privileges"},"result":[]}'
    world.badgr.faults.add(Fault(f"/v2/badgeclasses/{badge.entity_id}$", status=404, body="A page of a proxy"))
    look_for_changes(world)
    assert "not at Badgr any more" not in teacher.open(rule).text
    world.badgr.faults.add(Fault(f"/v2/badgeclasses/{badge.entity_id}$", status=404, body=gone))
    look_for_changes(world)
    assert "not at Badgr any more" in teacher.open(rule).text
    look_for_changes(world)
    assert "not at Badgr any more" not in teacher.open(rule).text


def test_a_badge_that_was_revoked_while_its_answer_was_lost_is_not_sent_again(world: World) -> None:
    world.ready_course()
    world.badgr.faults.add(Fault("/assertions", method="POST", kind="reset", after_work=True))
    # The look-up after it fails too, so that the award waits in doubt.
    world.badgr.faults.add(Fault("/assertions$", method="GET", kind="delay", delay=0))
    world.badgr.faults.add(Fault("/assertions$", method="GET", status=502))
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.PENDING
    assertion_of(world).revoke("Wrong person")
    world.tick()
    award = world.award_of(LEARNER)
    assert award.status is AwardStatus.REVOKED
    assert len([a for a in world.badgr.assertions.values() if a.recipient.identity == LEARNER_ADDRESS]) == 1
    assert "Revoked at Badgr: Wrong person" in [step.text for step in award.steps]


def test_an_earlier_revoked_badge_is_no_reason_not_to_award(world: World) -> None:
    awarded(world)
    old = assertion_of(world)
    old.revoke("Last year")
    old.created_at = datetime(2020, 1, 1, tzinfo=UTC)
    world.grade("9", score=10)
    world.work()
    assert world.award_of("9").status is AwardStatus.ISSUED


# -- what else happens at Badgr --


def without_feed(world: World) -> None:
    world.badgr.faults.add(Fault("/v2/assertions/changed", status=404))
    look_for_changes(world)


def test_what_happened_while_nobody_was_connected_is_found_by_the_next_account(world: World) -> None:
    teacher = awarded(world)
    look_for_changes(world)
    teacher.open(world.course_url(teacher) + "connections/").submit("/disconnect")
    long_ago = datetime.now(UTC) - timedelta(days=2)
    with world.tools.database.write() as session:
        session.execute(update(Award).values(opened_at=long_ago))
        session.commit()
    assertion_of(world).revoke("Left the school")
    assertion_of(world).changed_at = long_ago + timedelta(days=1)
    world.connect(teacher.open(world.course_url(teacher) + "connections/"), "Eddy Editor")
    world.sweep()
    assert world.award_of(LEARNER).status is AwardStatus.REVOKED


def test_an_account_that_takes_over_reads_its_feed_anew(world: World) -> None:
    teacher = awarded(world)
    look_for_changes(world)
    # Eddy's account has its own place in the feed, from another course.
    other = world.launch("3", "3")
    world.connect(other, "Eddy Editor")
    with world.tools.database.write() as session:
        editor = session.scalars(select(Connection).where(Connection.badgr_user_name == "Eddy Editor")).one()
        editor.changes_until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        session.commit()
    assertion_of(world).revoke("Left the school")
    teacher.open(world.course_url(teacher) + "connections/").submit(f"/{editor.id}/use")
    look_for_changes(world)
    assert world.award_of(LEARNER).status is AwardStatus.REVOKED


def test_an_assertion_that_is_gone_keeps_no_other_from_being_looked_at(world: World) -> None:
    teacher = awarded(world)
    world.grade("9", score=10)
    world.work()
    del world.badgr.assertions[assertion_of(world).entity_id]
    assertion_of(world, "rosa@example.org").revoke("Cheated")
    without_feed(world)
    without_feed(world)
    assert world.award_of("9").status is AwardStatus.REVOKED
    # It is said, and once only.
    assert teacher.open(teacher.url).text.count("Badgr does not show this badge") == 1


def test_the_ones_not_looked_at_for_longest_come_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lti_tool.services.changes.SAMPLE", 1)
    awarded(world)
    world.grade("9", score=10)
    world.work()
    assertion_of(world).revoke("Cheated")
    assertion_of(world, "rosa@example.org").revoke("Cheated")
    seen = []
    for _ in range(4):
        without_feed(world)
        seen.append([world.award_of(sub).status for sub in (LEARNER, "9")].count(AwardStatus.REVOKED))
    assert seen[-1] == 2


def test_an_edit_at_badgr_is_taken_over(world: World) -> None:
    teacher = awarded(world)
    look_for_changes(world)
    made = assertion_of(world)
    made.expires = datetime(2090, 1, 1, tzinfo=UTC)
    made.changed_at = datetime.now(UTC)
    look_for_changes(world)
    assert world.award_of(LEARNER).expires_at == made.expires
    assert "Good until" in teacher.open(teacher.url).text


def test_an_account_that_has_lost_its_role_is_offered_nothing(world: World) -> None:
    teacher = awarded(world)
    assert teacher.page.select_one("form[action*='/revoke']") is not None
    for issuer in world.badgr.issuers.values():
        issuer.staff = {user: role for user, role in issuer.staff.items() if world.badgr.users[user].name[0] != "O"}
    look_for_changes(world)
    assert teacher.open(teacher.url).page.select_one("form[action*='/revoke']") is None


def test_a_badge_that_a_fallen_grade_takes_back_is_there_again_when_the_grade_rises(world: World) -> None:
    world.announce()
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    world.make_rule(teacher)
    now = datetime.now(UTC)
    with world.tools.database.read() as session:
        criteria = session.get_one(Rule, 1).criteria
    rules.edit(world.tools, 1, 1, 1, Draft(criteria, on_fall=OnFall.REVOKE), now)
    rules.activate(world.tools, 1, 1, 1, now, also_earned_before=True)
    world.grade(LEARNER, score=9)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    world.grade(LEARNER, score=4)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == []
    world.grade(LEARNER, score=9)
    world.work()
    # Down and up again before Badgr has taken it back: the one revocation makes room for the new award.
    for score in (3, 10):
        delivery = world.grade(LEARNER, score=score)
        assert delivery.status == 202
    world.work()
    world.sweep()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    with world.tools.database.read() as session:
        own = session.scalars(select(Award).join(Person).where(Person.sub == LEARNER).order_by(Award.number)).all()
    assert [award.status for award in own] == [AwardStatus.REVOKED, AwardStatus.REVOKED, AwardStatus.ISSUED]
    # Every award names an assertion of its own.
    assert len({award.assertion_id for award in own}) == 3
