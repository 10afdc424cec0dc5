"""Exceptions for single people, and awards by hand: ticked or by a table, shown first and then carried out."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from lti_tool.domain.criteria import Approved, Completed, ScoreAtLeast, all_of
from lti_tool.models import AwardStatus, Course, ExceptionKind, HoldReason, Rule, RuleException, RuleStatus
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import by_hand, drafts, exceptions
from lti_tool.services.drafts import Draft
from lti_tool.services.exceptions import Grant
from tests.functional.deciding import (
    activity,
    awards,
    drafted_course,
    newest_run,
    person,
    send,
    statuses,
    switched_on,
    words,
)
from tests.world import CHEMISTRY, CLOSE, LEARNER, LEARNER_ADDRESS, NO_MAIL, TEACHER, World, running_world

PEOPLE = "rules/1/people"
OLA = "ola@example.org"


def at_people(world: World, teacher: Visitor, query: str = "") -> Visitor:
    return teacher.open(world.course_url(teacher) + PEOPLE + query)


def upload(teacher: Visitor, table: bytes) -> requests.Response:
    """Send a table from the page for tables; the answer becomes the present page."""
    base = teacher.url.partition("/rules/")[0]
    teacher.open(f"{base}/rules/1/table")
    form = teacher.browser.select_form("form[action$='/table']")
    token = form.form.select_one("input[name=csrf_token]")["value"]
    answer: requests.Response = teacher.browser.post(
        f"{base}/rules/1/table",
        data={"csrf_token": token},
        files={"table": ("awards.csv", table, "text/csv")},
        headers={"Referer": teacher.url},
    )
    return answer


def carry(teacher: Visitor, answer: requests.Response) -> Visitor:
    """Press "Do it" on the page that shows what would happen."""
    teacher.browser.open_fake_page(answer.text, url=answer.url)
    return teacher.submit("/by-hand")


def test_more_time_lets_a_late_result_count(world: World) -> None:
    world.announce()
    until = datetime.now(UTC) - timedelta(days=2)
    teacher = drafted_course(world, counts_until=until)
    teacher.submit("/activate", {"scope": "all"})
    world.work()
    world.grade(CLOSE, score=9)
    world.work()
    assert world.held_by("pim@example.org") == []
    at_people(world, teacher)
    soon = datetime.now(UTC) + timedelta(days=2)
    answer = send(
        teacher, PEOPLE, person=[person(world, CLOSE)], action="extension", until=f"{soon:%Y-%m-%dT%H:%M}", note="Ill"
    )
    assert "More time is given to 1 learner." in words(answer)
    assert f"More time, until {soon.day} {soon:%b %Y, %H:%M} UTC" in words(answer)
    assert "“Ill”" in words(answer)
    world.work()
    assert world.held_by("pim@example.org") == ["Algebra I"]


def test_more_time_must_be_more(world: World) -> None:
    until = datetime.now(UTC) + timedelta(days=2)
    teacher = drafted_course(world, counts_until=until)
    at_people(world, teacher)
    for moment, fault in (("2026-01-01T00:00", "The new end must be later"), ("soon", "Enter a day and a time")):
        answer = send(teacher, PEOPLE, person=[person(world, CLOSE)], action="extension", until=moment)
        assert (answer.status_code, fault in words(answer)) == (400, True)
    assert "Nobody has an exception" in at_people(world, teacher, "?show=exceptions").text


def test_who_is_excused_earns_it_by_the_rest_and_it_can_be_taken_back(world: World) -> None:
    world.announce()
    world.launch(TEACHER)
    quiz, lab = activity(world, "Quiz 1"), activity(world, "Lab 2")
    teacher = switched_on(world, all_of(ScoreAtLeast(quiz, 80), Completed(lab)))
    assert [world.held_by(OLA), world.held_by("quinn@example.org")] == [["Algebra I"], []]
    at_people(world, teacher)
    assert [option.text for option in teacher.page.select("select[name=activity] option")] == ["Lab 2", "Quiz 1"]
    send(teacher, PEOPLE, person=[person(world, "8")], action="excused", activity=lab, note="No laboratory")
    world.work()
    assert world.held_by("quinn@example.org") == ["Algebra I"]
    why = at_people(world, teacher).open(f"{teacher.url}/{person(world, '8')}")
    for part in ("Excused by a teacher.", "Excused from Lab 2", "“No laboratory”", "Terry Teacher"):
        assert part in why.text
    why.submit("/take-back")
    assert "Taken back." in why.text
    assert "Excused from Lab 2" not in why.text
    world.work()
    assert world.held_by("quinn@example.org") == ["Algebra I"], "the rule keeps what falls"


def test_a_teacher_sees_who_lacks_only_a_word_and_approves(world: World) -> None:
    world.announce()
    world.launch(TEACHER)
    quiz = activity(world, "Quiz 1")
    teacher = switched_on(world, all_of(ScoreAtLeast(quiz, 80), Approved()))
    assert awards(world) == []
    at_people(world, teacher, "?show=approval")
    listed = [row.get_text() for row in teacher.page.select("ul.choose li p > a:first-child")]
    assert listed == ["Ola Okafor", "Quinn Quigley"]
    answer = send(teacher, PEOPLE, person=[person(world, "6")], action="approved", note="Well said")
    assert "Approved: 1 learner." in words(answer)
    world.work()
    assert world.held_by(OLA) == ["Algebra I"]
    assert world.held_by("quinn@example.org") == []
    at_people(world, teacher, "?show=approval")
    assert [row.get_text() for row in teacher.page.select("ul.choose li p > a:first-child")] == ["Quinn Quigley"]


def test_learners_are_found_by_name(world: World) -> None:
    teacher = drafted_course(world)
    at_people(world, teacher, "?q=okaf")
    assert [row.get_text() for row in teacher.page.select("ul.choose li p > a:first-child")] == ["Ola Okafor"]
    assert "Nobody was found" in at_people(world, teacher, "?q=nobody").text
    assert "Nobody lacks only your approval" in at_people(world, teacher, "?show=approval").text


def test_an_award_by_hand_is_shown_first_and_tells_who_and_why(world: World) -> None:
    teacher = switched_on(world)
    at_people(world, teacher)
    people = [person(world, LEARNER), person(world, "6")]
    answer = send(teacher, PEOPLE, person=people, action="award", note="Gave a talk")
    assert "Has the badge already" in words(answer)
    assert world.held_by(LEARNER_ADDRESS) == [], "nothing before it is confirmed"
    carry(teacher, answer)
    assert "Awarded: 1. Revoked: 0. Left as they were: 1." in teacher.text
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    award = teacher.open(world.course_url(teacher) + f"awards/{world.award_of(LEARNER).id}")
    assert "Gave a talk (Terry Teacher)" in award.text
    assert "a teacher, by hand" in award.text
    world.grade(LEARNER, score=1)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"], "results have no say in it"


def test_several_are_revoked_by_hand(world: World) -> None:
    teacher = switched_on(world)
    at_people(world, teacher)
    people = [person(world, "6"), person(world, "8"), person(world, LEARNER)]
    answer = send(teacher, PEOPLE, person=people, action="revoke", note="Copied")
    assert "taken back at Badgr too" in words(answer)
    carry(teacher, answer)
    assert "Awarded: 0. Revoked: 2. Left as they were: 1." in teacher.text
    world.work()
    assert world.badgr.live_assertions() == []
    at_people(world, teacher)
    carry(teacher, send(teacher, PEOPLE, person=[person(world, "6")], action="award", note="Not copied after all"))
    world.work()
    assert world.held_by(OLA) == ["Algebra I"], "by hand it may be awarded again"


def test_an_award_by_hand_wants_somebody_and_a_reason(world: World) -> None:
    teacher = switched_on(world)
    at_people(world, teacher)
    key = person(world, LEARNER)
    for values, fault in (
        ({"action": "award", "note": "x"}, "Tick at least one learner"),
        ({"action": "award", "person": [key]}, "Say why"),
        ({"action": "award", "person": [key], "note": "x" * 256}, "Say why"),
        ({"action": "dance", "person": [key]}, "Press one of the buttons"),
    ):
        answer = send(teacher, PEOPLE, **values)
        assert (answer.status_code, fault in words(answer)) == (400, True), values
        # In a frame of the LMS there is no other way back.
        assert f'href="{teacher.url}">Back to the page before' in words(answer)
    assert send(teacher, PEOPLE, action="award", person=[person(world, TEACHER)], note="x").status_code == 404


def test_a_draft_is_not_awarded_by_hand(world: World) -> None:
    teacher = drafted_course(world)
    at_people(world, teacher)
    assert teacher.page.select_one("button[value=award]") is None
    answer = send(teacher, PEOPLE, person=[person(world, LEARNER)], action="award", note="x")
    assert (answer.status_code, "Switch the rule on first" in words(answer)) == (409, True)


def test_a_table_is_shown_line_by_line_and_then_carried_out(world: World) -> None:
    teacher = switched_on(world)
    table = f"learner;action;note\r\n{LEARNER_ADDRESS};award;Gave a talk\r\n8;revoke;Copied\r\n{OLA};award;Again\r\n"
    answer = upload(teacher, table.encode("utf-8-sig"))
    assert answer.status_code == 200
    rows = [" ".join(row.split()) for row in words(answer).split("<tr>")[2:]]
    assert ["line 2" in rows[0], "Awarded" in rows[0], "line 3" in rows[1], "Revoked" in rows[1]] == [True] * 4
    assert "Has the badge already" in rows[2]
    assert statuses(world) == ["issued", "issued"], "nothing before it is confirmed"
    carry(teacher, answer)
    assert "Awarded: 1. Revoked: 1. Left as they were: 1." in teacher.text
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    assert world.held_by("quinn@example.org") == []


def test_faults_of_a_table_are_told_by_line_and_nothing_is_changed(world: World) -> None:
    teacher = switched_on(world)
    table = f"learner,action,note\n{LEARNER_ADDRESS},award,ok\nnobody@example.org,award,x\n8,dance,x\n6,revoke,\n"
    answer = upload(teacher, table.encode())
    assert answer.status_code == 422
    for part in (
        "Nothing was changed: the table has faults",
        "Line 3: “nobody@example.org” is not a learner",
        "Line 4: the action must be award or revoke",
        "Line 5: the note must have 1 to 255 characters",
    ):
        assert part in words(answer), part
    assert statuses(world) == ["issued", "issued"]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (b"", "Choose a file"),
        (b"name,action\nx,award\n", "learner is missing"),
        (b"learner,action,note\n", "must have 1 to 5000 lines"),
        ("learner,action,note\n4,award,Köln\n".encode("latin-1"), "not text in UTF-8"),
        (b"learner,action,note\n" + b"x" * 600_000, "larger than 512 kB"),
    ],
)
def test_what_is_no_table_is_said_so(world: World, table: bytes, fault: str) -> None:
    teacher = switched_on(world)
    answer = upload(teacher, table)
    assert (answer.status_code, fault in words(answer)) == (422, True)


def test_a_huge_upload_is_not_read(world: World) -> None:
    teacher = switched_on(world)
    assert upload(teacher, b"x" * 1_100_000).status_code == 413


def test_the_lines_of_a_large_table_come_back_whole(world: World) -> None:
    teacher = switched_on(world)
    at_people(world, teacher)
    token = teacher.page.select_one("input[name=csrf_token]")["value"]
    answer = teacher.browser.session.post(
        world.course_url(teacher) + "rules/1/by-hand",
        files={name: (None, value) for name, value in {"csrf_token": token, "lines": "x" * 700_000}.items()},
        headers={"Referer": teacher.url},
    )
    assert (answer.status_code, "came back damaged" in words(answer)) == (400, True)


def test_what_was_shown_is_shown_anew_when_it_has_changed(world: World) -> None:
    teacher = switched_on(world)
    at_people(world, teacher)
    answer = send(teacher, PEOPLE, person=[person(world, LEARNER)], action="award", note="Gave a talk")
    world.grade(LEARNER, score=10)
    world.work()
    carry(teacher, answer)
    assert "Something has changed since you looked" in teacher.text
    assert "Has the badge already" in teacher.text
    assert len(awards(world)) == 3


@pytest.mark.parametrize(
    "lines",
    [
        "", "{}", "[]", "[[1]]", "[" * 100_000,
        '[["x", "award", "n", 1]]', '[[1, "dance", "n", 1]]', '[[999, "award", "n", 1]]', '[[4, "award", "", 1]]',
        '[[1e30, "award", "n", 1]]', '[[Infinity, "award", "n", 1]]',
        '[[4, "award", "n", 1], [4, "revoke", "n", 2]]',
    ],
)  # fmt: skip
def test_lines_that_come_back_changed_are_checked_like_a_table(world: World, lines: str) -> None:
    teacher = switched_on(world)
    at_people(world, teacher)
    answer = send(teacher, "rules/1/by-hand", lines=lines, shown="")
    assert answer.status_code in (400, 404)
    assert len(awards(world)) == 2


def test_many_awards_by_hand_wait_for_a_second_look(database_url: str, tmp_path: Path) -> None:
    with running_world(database_url, tmp_path, brake_awards=2) as world:
        teacher = switched_on(world)
        lines = "".join(f"{sub},award,Gave a talk\n" for sub in (LEARNER, NO_MAIL, CLOSE))
        carry(teacher, upload(teacher, f"learner,action,note\n{lines}".encode()))
        assert "3 awards at once" in teacher.text
        assert teacher.page.select_one(".notice.warn")
        world.work()
        assert world.held_by(LEARNER_ADDRESS) == []


def test_staff_does_not_revoke_by_hand(world: World) -> None:
    world.announce()
    teacher = world.launch(TEACHER)
    world.connect(teacher, "Stan Staff")
    world.make_rule(teacher).submit("/activate", {"scope": "all"})
    world.work()
    at_people(world, teacher)
    answer = send(teacher, PEOPLE, person=[person(world, "6")], action="revoke", note="x")
    assert (answer.status_code, "only staff" in words(answer)) == (409, True)


def test_the_example_is_a_table_that_can_be_read(world: World) -> None:
    teacher = switched_on(world)
    answer = teacher.browser.session.get(world.course_url(teacher) + "rules/1/table/example.csv", timeout=10)
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert by_hand._rows(answer.text)[0][1]["action"] == "award"


def test_people_are_behind_the_wall_of_their_course(world: World) -> None:
    teacher = switched_on(world)
    biology = world.course_url(teacher)
    key = person(world, "6")
    other = world.launch(TEACHER, CHEMISTRY)
    chemistry = world.course_url(other)
    learner = world.launch(LEARNER)
    for page in (PEOPLE, f"{PEOPLE}/{key}", "rules/1/table", "rules/1/approvals", "rules/1/export.csv"):
        assert [other.open(chemistry + page).status, other.open(biology + page).status] == [404, 404], page
        assert learner.open(biology + page).status == 404, page
    assert teacher.open(f"{biology}{PEOPLE}/{person(world, TEACHER)}").status == 200
    assert teacher.open(f"{biology}{PEOPLE}/9999").status == 404


def test_exceptions_that_award_to_many_wait_and_can_be_taken_back(database_url: str, tmp_path: Path) -> None:
    with running_world(database_url, tmp_path, brake_awards=2) as world:
        world.announce()
        world.launch(TEACHER)
        quiz = activity(world, "Quiz 1")
        teacher = switched_on(world)
        before = len(awards(world))
        at_people(world, teacher)
        everybody = [box["value"] for box in teacher.page.select("input[name=person]")]
        answer = send(teacher, PEOPLE, person=everybody, action="excused", activity=quiz)
        assert "look at the list, and confirm it" in words(answer)
        world.work()
        new = awards(world)[before:]
        assert len(new) > 2
        assert {award.hold_reason for award in new} == {HoldReason.BRAKE}
        run = newest_run(world)
        assert "Terry Teacher made exceptions" in teacher.open(f"{world.course_url(teacher)}runs").text
        teacher.open(f"{world.course_url(teacher)}runs/{run.id}/undo")
        assert f"The exceptions of {len(everybody)} learners are taken back, too" in teacher.text
        assert "is paused" not in teacher.text
        teacher.submit("/undo")
        assert {award.status for award in awards(world)[before:]} == {AwardStatus.REVOKED}
        # As if nobody had pressed the button: the rule goes on, and nobody gets the badge by it again.
        with world.tools.database.read() as session:
            assert session.get_one(Rule, 1).status is RuleStatus.ACTIVE
            assert session.scalars(select(RuleException)).all() == []
        assert "were taken back" not in teacher.open(f"{world.course_url(teacher)}rules/1").text
        count = len(awards(world))
        world.grade(LEARNER, score=1)
        world.work()
        assert len(awards(world)) == count


def test_an_exception_that_awards_nothing_is_no_act(world: World) -> None:
    world.announce()
    world.launch(TEACHER)
    lab = activity(world, "Lab 2")
    teacher = switched_on(world, all_of(ScoreAtLeast(activity(world, "Quiz 1"), 80), Completed(lab)))
    last = newest_run(world).id
    at_people(world, teacher)
    answer = send(teacher, PEOPLE, person=[person(world, NO_MAIL)], action="excused", activity=lab)
    assert "Excused: 1 learner.</p>" in words(answer)
    assert newest_run(world).id == last


def test_an_exception_waits_for_an_edit_under_way_and_is_decided_by_what_it_left(world: World) -> None:
    world.announce()
    world.launch(TEACHER)
    quiz, lab = activity(world, "Quiz 1"), activity(world, "Lab 2")
    switched_on(world, all_of(ScoreAtLeast(quiz, 80), Completed(lab)))
    before, now = len(awards(world)), datetime.now(UTC)
    told, actor = Grant(ExceptionKind.EXCUSED, quiz), person(world, TEACHER)
    with ThreadPoolExecutor(1) as other, world.tools.database.write() as session:
        session.get_one(Course, 1, with_for_update=True)
        rule = session.get_one(Rule, 1)
        rule.version += 1
        session.add(drafts.version(session, rule, Draft(ScoreAtLeast(quiz, 80)), rule.version, actor, now))
        session.flush()
        waits = other.submit(exceptions.grant, world.tools, 1, 1, [person(world, CLOSE)], told, actor, now)
        with pytest.raises(TimeoutError):
            waits.result(timeout=1)
        session.commit()
        granted = waits.result(timeout=20)
    assert (granted.people, granted.awards) == (1, 1)
    assert len(awards(world)) == before + 1


@pytest.mark.parametrize("ending", [b"\r", b"\n", b"\r\n"])
def test_a_table_may_end_its_lines_in_any_way(world: World, ending: bytes) -> None:
    answer = upload(switched_on(world), ending.join([b"learner,action,note", LEARNER.encode() + b",award,Helped", b""]))
    assert answer.status_code == 200, words(answer)


def test_a_table_with_a_first_line_without_end_is_refused_in_words(world: World) -> None:
    answer = upload(switched_on(world), b"learner,action," + b"x" * 140_000 + b"\r\n")
    assert answer.status_code == 422
    assert "The first line cannot be read" in words(answer)
