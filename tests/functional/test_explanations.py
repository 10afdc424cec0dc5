"""Every award and every missing award explains itself: on its page, on the command line, and in the export."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, select

from lti_tool.cli import main
from lti_tool.domain.criteria import Completed, ScoreAtLeast, Submitted, all_of, any_of
from lti_tool.domain.launch import Role
from lti_tool.models import Enrolment, Event, Person, Platform
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import rules
from lti_tool.services.drafts import Draft
from lti_tool.services.reports import export
from tests.functional.deciding import COURSE, activity, person, rule_criteria, send, switched_on
from tests.world import LEARNER, LEARNER_ADDRESS, NO_MAIL, TEACHER, World

Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `lti-badges …` on the world's database: exit status, output, errors."""
    settings = world.tools.settings
    monkeypatch.setenv("LTI_BADGES_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("LTI_BADGES_QUEUE_URL", settings.queue_url)
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS", "k" * 64)
    monkeypatch.setenv("LTI_BADGES_BASE_URL", settings.base_url)
    monkeypatch.setenv("LTI_BADGES_ALLOW_PRIVATE_ADDRESSES", "1")

    def run(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["lti-badges", *line.split()])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def grouped(world: World) -> Visitor:
    """A course whose badge asks for a quiz, and for one of a lab and an essay."""
    world.announce()
    world.launch(TEACHER)
    quiz, lab, essay = (activity(world, title) for title in ("Quiz 1", "Lab 2", "Essay"))
    return switched_on(world, all_of(ScoreAtLeast(quiz, 80), any_of(Completed(lab), Submitted(essay))))


def why(world: World, teacher: Visitor, sub: str) -> Visitor:
    return teacher.open(world.course_url(teacher) + f"rules/1/people/{person(world, sub)}")


def last_event(world: World) -> Event:
    with world.tools.database.read() as session:
        return session.scalars(select(Event).order_by(Event.id.desc())).first() or Event()


def table(visitor: Visitor, url: str) -> list[dict[str, str]]:
    answer = visitor.browser.session.get(url, timeout=30)
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_what_is_missing_is_told_condition_by_condition_with_its_event(world: World) -> None:
    teacher = grouped(world)
    world.grade(LEARNER, score=5)
    world.work()
    told = last_event(world)
    page = why(world, teacher, LEARNER)
    for part in (
        "Not earned yet: 2 conditions are missing.",
        "All of these: 0 of 2 needed.",
        "Quiz 1: 50 % reached, 80 % needed.",
        "Any of these: 0 of 1 needed.",
        "Lab 2: Not started, as far as the LMS has told.",
        f"told by event {told.delivery_id} of the source “Gradebook”",
        "version 1 of the rule",
    ):
        assert part in page.text, part
    inner = [item.get_text(" ", strip=True) for item in page.page.select(".reasons ul ul li")]
    assert [item.split(":")[1].strip() for item in inner] == ["Lab 2", "Essay"], "the group's parts stand inside it"


def test_what_is_met_and_awarded_leads_to_the_award(world: World) -> None:
    teacher = grouped(world)
    page = why(world, teacher, "6")
    assert "Earned, and issued by Badgr." in page.text
    assert "Met: Quiz 1: 90 % reached" in page.text
    award = page.follow("/awards/")
    assert "version 1 of the rule" in award.text
    assert "All of these: 2 of 2 needed." in award.text
    assert "of the source “Gradebook”" in award.text
    assert award.follow("/people/").url.endswith(f"/rules/1/people/{person(world, '6')}")


def test_why_is_one_click_from_the_table_of_learners(world: World) -> None:
    teacher = grouped(world)
    teacher.open(world.course_url(teacher) + "learners?q=Quinn").follow("/people/")
    assert "Not earned yet: 1 condition is missing." in teacher.text


@pytest.mark.parametrize(
    ("sub", "act", "said"),
    [
        (LEARNER, "", "Not earned yet"),
        (TEACHER, "", "Not a learner of this course"),
        (LEARNER, "pause", "The badge is paused"),
        ("6", "refuse", "was taken back, and is not awarded again by itself"),
        (NO_MAIL, "earn", "Held: no e-mail address"),
    ],
)
def test_the_cause_is_said_in_a_sentence(world: World, sub: str, act: str, said: str) -> None:
    teacher = switched_on(world)
    if act == "pause":
        teacher.open(world.course_url(teacher) + "rules/1").submit("/pause")
    if act == "refuse":
        award_id = world.award_of("6").id
        teacher.open(world.course_url(teacher) + f"awards/{award_id}").submit("/revoke", {"reason": "Copied"})
        world.work()
    if act == "earn":
        world.grade(NO_MAIL, score=10)
        world.work()
    assert said in why(world, teacher, sub).text


def test_the_table_of_learners_is_narrowed_by_state(world: World) -> None:
    teacher = switched_on(world)
    world.grade(NO_MAIL, score=10)
    world.work()

    def shown(query: str) -> list[str]:
        teacher.open(world.course_url(teacher) + f"learners?{query}")
        return [name.contents[0].strip() for name in teacher.page.select("tbody th")]

    assert shown("show=issued") == ["Ola Okafor", "Quinn Quigley"]
    assert shown("show=issued&q=quinn") == ["Quinn Quigley"]
    assert shown("show=failed") == []
    assert "Nobody found" in teacher.text
    assert len(shown("show=none")) == 9
    assert len(shown("show=nonsense")) == 12
    assert teacher.open(world.course_url(teacher)).follow("show=held").url.endswith("learners?show=held")
    assert [name.contents[0].strip() for name in teacher.page.select("tbody th")] == ["Noor Nomail"]


def test_an_award_names_the_version_that_earned_it(world: World) -> None:
    teacher = switched_on(world)
    rules.edit(world.tools, COURSE, 1, person(world, TEACHER), Draft(rule_criteria(world)), datetime.now(UTC))
    teacher.open(world.course_url(teacher) + f"awards/{world.award_of('6').id}")
    assert "version 1 of the rule ; version 2 is in force now" in teacher.text


def test_learners_read_their_own_reasons_without_our_events(world: World) -> None:
    grouped(world)
    world.grade(LEARNER, score=5)
    world.work()
    page = world.launch(LEARNER)
    assert "Not met: Quiz 1: 50 % reached, 80 % needed." in page.text
    assert "Any of these: 0 of 1 needed." in page.text
    assert "told by event" not in page.text


def test_the_command_line_explains_who_has_no_award(world: World, run: Run) -> None:
    teacher = grouped(world)
    teacher.open(world.course_url(teacher) + "rules/1/people")
    lab, key = activity(world, "Lab 2"), person(world, LEARNER)
    send(teacher, "rules/1/people", person=[key], action="excused", activity=lab, note="No laboratory")
    world.grade(LEARNER, score=5)
    world.work()
    for who in (LEARNER, LEARNER_ADDRESS, LEARNER_ADDRESS.upper()):
        status, said, _ = run(f"award explain --rule 1 --person {who}")
        assert status == 0
        for part in (
            "Algebra I for Lea Learner: Not earned yet: 1 condition is missing.",
            "not met  Quiz 1: 50 % reached, 80 % needed.",
            "    met      Any of these",
            f"told by event {last_event(world).delivery_id} of source “Gradebook”",
            "Exception: Excused from Lab 2 “No laboratory” (Terry Teacher",
        ):
            assert part in said, part
    told = json.loads(run(f"award explain --rule 1 --person {LEARNER} --json")[1])
    assert (told["earned"], told["missing"], told["reasons"][1]["event"]["source"]) == (False, 1, "Gradebook")
    assert [award["status"] for award in told["awards"]] == []


def test_the_command_line_says_what_it_needs(world: World, run: Run) -> None:
    switched_on(world)
    for line in (
        "award explain",
        "award explain 1 --rule 1 --person 6",
        "award explain --rule 1",
        "award explain --person 6",
    ):
        status, _, error = run(line)
        assert (status, "--rule and --person" in error) == (2, True), line
    assert "no such rule" in run("award explain --rule 9 --person 6")[2]
    assert "Nobody was found" in run("award explain --rule 1 --person nobody")[2]


def test_the_table_has_every_learner_rule_and_condition(world: World) -> None:
    teacher = grouped(world)
    world.make_rule(teacher, badge="Laboratory Safety", kind="completed", activity="Lab 2")
    rows = table(teacher, world.course_url(teacher) + "export.csv")
    assert len(rows) == 2 * 12
    ola = next(row for row in rows if row["learner"] == "Ola Okafor" and row["badge"] == "Algebra I")
    award = world.award_of("6")
    expected: dict[str, Any] = {
        "learner_id": "6", "email": "ola@example.org", "rule_version": "1", "state": "issued", "percent": "100",
        "award_id": str(award.id), "recipient": "ola@example.org", "assertion_url": award.open_badge_id,
        "condition_1": "Quiz 1", "met_1": "True", "detail_1": "90 % reached, 80 % needed.",
        "result_at_1": "2026-09-14T09:00:00+00:00", "source_1": "Gradebook", "condition_2": "Lab 2", "met_3": "True",
    }  # fmt: skip
    assert {name: ola[name] for name in expected} == expected
    assert ola["event_1"]
    pim = next(row for row in rows if row["learner"] == "Pim de Vries" and row["badge"] == "Algebra I")
    assert (pim["state"], pim["award_id"], pim["met_1"]) == ("progress", "", "False")
    lab = next(row for row in rows if row["badge"] == "Laboratory Safety")
    assert (lab["rule_status"], lab["condition_1"], lab["condition_2"]) == ("draft", "Lab 2", "")


def test_json_says_the_same_and_one_rule_can_be_chosen(world: World) -> None:
    teacher = grouped(world)
    world.make_rule(teacher, badge="Laboratory Safety", kind="completed", activity="Lab 2")
    answer = teacher.browser.session.get(world.course_url(teacher) + "rules/1/export.json", timeout=30)
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=badges-BIO101-")
    told = answer.json()
    assert told["course"] == "Biology 101"
    assert {row["badge"] for row in told["rows"]} == {"Algebra I"}
    ola = next(row for row in told["rows"] if row["learner"] == "Ola Okafor")
    assert [part["condition"] for part in ola["conditions"]] == ["Quiz 1", "Lab 2", "Essay"]
    assert ola["conditions"][0]["source"] == "Gradebook"


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@SUM(1)", "\tx", '=HYPERLINK("http://x.example","y")'])
def test_a_name_is_no_formula(world: World, name: str) -> None:
    teacher = switched_on(world)
    with world.tools.database.write() as session:
        session.scalars(select(Person).where(Person.sub == "6")).one().name = name
        session.commit()
    rows = table(teacher, world.course_url(teacher) + "export.csv")
    assert next(row for row in rows if row["learner_id"] == "6")["learner"] == f"'{name}"


def test_a_large_course_is_read_in_pieces_by_few_queries(world: World) -> None:
    switched_on(world)
    with world.tools.database.write() as session:
        platform = session.scalars(select(Platform)).one()
        now = datetime.now(UTC)
        people = [
            Person(platform_id=platform.id, sub=f"many-{n}", name=f"Many {n:04}", created_at=now) for n in range(1200)
        ]
        session.add_all(people)
        session.flush()
        session.add_all(
            Enrolment(course_id=COURSE, person_id=p.id, roster_role=Role.LEARNER, seen_at=now) for p in people
        )
        session.commit()
    queries: list[str] = []
    event.listen(world.tools.database.engine, "before_cursor_execute", lambda *a: queries.append(a[2]))
    with world.tools.database.read() as session:
        chosen = export.scope(session, COURSE, None)
    pieces = list(export.csv_pieces(world.tools, chosen))
    assert len(chosen.people) == 1212
    assert len(pieces) == 2 + 3, "mark, head, and three pieces of at most 500 learners"
    assert sum(piece.count("\r\n") for piece in pieces) == 1 + 1212
    assert len(queries) < 60


def test_only_teachers_of_the_course_export(world: World) -> None:
    teacher = switched_on(world)
    base = world.course_url(teacher)
    learner = world.launch(LEARNER)
    for path in ("export.csv", "export.json", "rules/1/export.json"):
        assert learner.open(base + path).status == 404
        assert Visitor().open(base + path).status == 404
    assert teacher.open(base + "rules/9/export.csv").status == 404
    assert teacher.open(base + "export.xml").status == 404


def test_the_names_in_a_preview_lead_to_why(world: World) -> None:
    world.announce()
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    world.make_rule(teacher)
    name = next(link for link in teacher.page.select("details ul.people a") if link.text == "Ola Okafor")
    teacher.open(name["href"])
    assert teacher.status == 200
    assert "Algebra I: Ola Okafor" in teacher.page.h1.text
