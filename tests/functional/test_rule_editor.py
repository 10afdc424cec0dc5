"""The editor of a rule without scripts: built by buttons, previewed, changed with its effect shown, copied."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from lti_tool.domain.criteria import MOST_PARTS, Approved, BadgeEarned, Completed, Group, ScoreAtLeast, all_of
from lti_tool.models import (
    Activity,
    Award,
    Course,
    Deployment,
    Enrolment,
    OnFall,
    Platform,
    Rule,
    RuleStatus,
    RuleVersion,
)
from lti_tool.sandbox.visitor import HTML, Visitor
from tests.functional.test_webhooks import grade_body, post
from tests.world import CHEMISTRY, LEARNER, TEACHER, TUTOR, World

FORM = "/rules"
EDIT = "/edit"


def ready(world: World) -> Visitor:
    """A teacher at the form of a new rule, in a course with grades and one rule that is switched on."""
    teacher = world.ready_course()
    return teacher.open(world.course_url(teacher) + "rules/new")


def press(teacher: Visitor, wish: str, values: dict[str, str] | None = None, form: str = FORM) -> Visitor:
    return teacher.submit(form, values, ("do", f"'{wish}'"))


def option(teacher: Visitor, field: str, text: str) -> str:
    found: str = next(o["value"] for o in teacher.page.select(f"select[name='{field}'] option") if text in o.text)
    return found


def badge(teacher: Visitor, name: str) -> str:
    label = next(
        c for c in teacher.page.select("label.choice") if f" {name} " in f" {' '.join(c.get_text(' ').split())} "
    )
    value: str = label.input["value"]
    return value


def rule(world: World, rule_id: int) -> Rule:
    with world.tools.database.read() as session:
        return session.get_one(Rule, rule_id)


def activity_id(world: World, title: str) -> int:
    with world.tools.database.read() as session:
        return session.scalars(select(Activity.id).where(Activity.title == title, Activity.course_id == 1)).one()


def test_a_nested_rule_is_built_by_buttons_and_nothing_typed_is_lost(world: World) -> None:
    teacher = ready(world)
    first = {"badge_class": badge(teacher, "Algebra II"), "percent": "72,5"}
    press(teacher, "add:", first | {"activity": option(teacher, "activity", "Quiz 1")})
    assert teacher.status == 200
    assert teacher.page.select_one("input[name='0.percent']")["value"] == "72,5"
    assert teacher.page.select_one(f"input[value='{first['badge_class']}']").has_attr("checked")
    assert teacher.page.select_one("[autofocus]")["name"] == "1.kind"
    press(teacher, "group:", {"1.kind": "completed", "1.activity": "new", "1.new_activity": "Field trip"})
    press(teacher, "add:2", {"2.join": "some", "2.0.kind": "approved", "2.1.kind": "badge"})
    press(teacher, "remove:1")
    # What stood behind what was removed moves up.
    assert teacher.page.select_one("input[name='1.kind']")["value"] == "group"
    values = {"1.needed": "2", "1.1.badge": option(teacher, "1.1.badge", "Algebra I"), "on_fall": "propose"}
    press(
        teacher, "preview", values | {"1.2.kind": "completed", "1.2.activity": option(teacher, "1.2.activity", "Lab")}
    )
    assert "Score at least 72.5 % in Quiz 1 and (do at least 2 of these: be approved by a teacher; earn" in teacher.text
    with world.tools.database.read() as session:
        assert session.get(Rule, 2) is None
    teacher.submit(FORM, {"counts_until": "2030-01-02T08:00"})
    assert "Saved as a draft" in teacher.text
    assert "Results until 2 Jan 2030, 08:00 UTC count." in teacher.text
    made = rule(world, 2)
    lab = next(c for c in made.criteria.parts[1].parts if isinstance(c, Completed))  # type: ignore[union-attr]
    quiz = activity_id(world, "Quiz 1")
    assert made.criteria == all_of(ScoreAtLeast(quiz, 72.5), Group(2, (Approved(), BadgeEarned(1), lab)))
    assert made.current.on_fall is OnFall.PROPOSE
    assert made.current.counts_until == datetime(2030, 1, 2, 8, tzinfo=UTC)


def test_a_new_rule_shows_one_condition_and_no_faults(world: World) -> None:
    teacher = ready(world)
    assert len(teacher.page.select("select.kind")) == 1
    assert teacher.page.select_one("[aria-invalid]") is None
    assert not teacher.page.select_one("form.rule details:has(#counts_from)").has_attr("open")


def test_activities_stand_under_their_kind(world: World) -> None:
    teacher = ready(world)
    with world.tools.database.write() as session:
        for kind in ("course_grade", "module", "lab", "course"):
            title = f"The {kind}"
            session.add(Activity(course_id=1, external_id=kind, title=title, kind=kind, created_at=datetime.now(UTC)))
        session.add(Activity(course_id=1, title="Qiuz 1", created_at=datetime.now(UTC)))
        session.commit()
    teacher.open(teacher.url)
    groups = {
        g["label"]: [o.text for o in g.select("option")] for g in teacher.page.select("select[name=activity] optgroup")
    }
    assert groups["Modules"] == ["The module (module)"]
    assert groups["The whole course"] == ["The course (course completed)", "The course_grade (course grade)"]
    assert groups["Lab"] == ["Lab 2", "The lab"]
    assert list(groups)[-3:] == ["Modules", "The whole course", "Not known in the LMS yet"]
    assert groups["Not known in the LMS yet"] == ["Qiuz 1"]


def test_the_whole_course_can_be_asked_for_on_the_first_day(world: World) -> None:
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    teacher.open(world.course_url(teacher) + "issuer")
    teacher.submit("/issuer", {"issuer": teacher.page.select_one("input[name=issuer]")["value"]})
    choices = [o.text for o in teacher.page.select("select[name=activity] optgroup[label='The whole course'] option")]
    assert choices == ["The whole course (course completed)", "Course grade"]
    # Nothing is known: most name an activity.
    assert teacher.page.select_one("select[name=activity] option[selected]")["value"] == "new"
    first = {"badge_class": badge(teacher, "Algebra II"), "kind": "completed"}
    press(teacher, "preview", first | {"activity": "course"})
    assert "Complete The whole course" in teacher.text
    teacher.submit(FORM)
    assert "It counts as soon as the LMS tells of somebody who has completed the course." in teacher.text
    teacher.submit("/activate", {"scope": "all"})
    body = grade_body()
    body["data"]["activity"] = {"id": "any id", "title": "Biology 101", "type": "course"}
    assert post(world, json.dumps(body).encode()).status_code == 202
    world.work()
    assert len(world.badgr.live_assertions()) == 1
    # Whoever changes it finds it by the name that it has now.
    teacher.follow(EDIT)
    assert teacher.page.select_one("select[name=activity] option[selected]").text == "Biology 101 (course completed)"


def test_a_module_is_named_as_one(world: World) -> None:
    teacher = ready(world)
    body = grade_body()
    body["data"]["activity"] = {"id": "q", "title": "Cells", "type": "quiz"}
    assert post(world, json.dumps(body).encode()).status_code == 202
    world.work()
    entered = {"badge_class": badge(teacher, "Algebra II"), "kind": "completed", "activity": "new_module"}
    teacher.submit(FORM, entered | {"new_activity": "Cells"})
    assert "Not known in the LMS yet: “Cells (module)”." in teacher.text
    assert "sends a result for a module of exactly this name." in teacher.text
    assert "The LMS has told of something else of this name, which does not count here" in teacher.text


def test_activities_of_one_name_and_kind_are_told_apart(world: World) -> None:
    teacher = ready(world)
    with world.tools.database.write() as session:
        for number, kind in enumerate(("lab", "quiz", "quiz")):
            new = Activity(course_id=1, external_id=f"w{number}", title="Week", kind=kind, created_at=datetime.now(UTC))
            session.add(new)
        session.commit()
    teacher.open(teacher.url)
    labels = [o.text for o in teacher.page.select("select[name=activity] option") if "Week" in o.text]
    assert labels == ["Week", "Week (1 of 2)", "Week (2 of 2)"]


@pytest.mark.parametrize("family", ["canvas", "moodle"])
def test_what_canvas_never_tells_is_said_beside_the_choice(world: World, family: str) -> None:
    teacher = ready(world)
    with world.tools.database.write() as session:
        session.get_one(Platform, 1).family = family
        session.commit()
    teacher.open(teacher.url)
    is_said = "Canvas does not tell when a single activity or module is completed" in teacher.text
    assert is_said is (family == "canvas")


@pytest.mark.parametrize("typed", ["Übung  1", " übung 1", "ÜBUNG 1"])
def test_an_activity_is_found_by_any_spelling_of_its_name(world: World, typed: str) -> None:
    teacher = ready(world)
    with world.tools.database.write() as session:
        session.add(Activity(course_id=1, external_id="e", title="Übung 1", created_at=datetime.now(UTC)))
        session.commit()
    entered = {"badge_class": badge(teacher, "Algebra II"), "activity": "new", "new_activity": typed}
    teacher.submit(FORM, entered)
    assert "in Übung 1" in teacher.text
    assert "Not known in the LMS yet" not in teacher.text


def test_a_name_that_the_lms_does_not_know_is_said_so(world: World) -> None:
    teacher = ready(world)
    entered = {"badge_class": badge(teacher, "Algebra II"), "activity": "new", "new_activity": "Qiuz 1"}
    teacher.submit(FORM, entered)
    assert "Not known in the LMS yet: “Qiuz 1”." in teacher.text
    # As soon as it is known there is nothing to say.
    body = grade_body()
    body["data"]["activity"] = {"id": "qiuz", "title": "QIUZ  1", "type": "quiz"}
    assert post(world, json.dumps(body).encode()).status_code == 202
    world.work()
    teacher.open(teacher.url)
    assert "Not known in the LMS yet" not in teacher.text


def test_faults_deep_in_the_tree_are_told_at_their_fields(world: World) -> None:
    teacher = ready(world)
    press(teacher, "add:", {"badge_class": badge(teacher, "Algebra II")})
    teacher.submit(FORM, {"0.percent": "lots", "1.kind": "badge", "counts_from": "x"})
    assert teacher.status == 422
    assert "Nothing was saved yet." in teacher.text
    for name in ("0.percent", "0.activity", "1.badge", "counts_from"):
        field = teacher.page.select_one(f"[name='{name}']")
        assert field["aria-invalid"] == "true", name
        fault = teacher.page.find(id=field["aria-describedby"].split()[0])
        assert fault.text in teacher.page.select_one("[role=alert]").text
    assert teacher.page.select_one("[name='0.percent']")["value"] == "lots"
    assert "Condition 1: Enter a number from 1 to 100" in teacher.text
    # A button that only changes the form reproaches nobody.
    press(teacher, "remove:0")
    assert "Nothing was saved yet." not in teacher.text


def test_the_live_preview_counts_and_names_and_stores_nothing(world: World) -> None:
    teacher = ready(world)
    form = {field["name"]: field.get("value", "") for field in teacher.page.select("form.rule input[name]")}
    form = {name: form[name] for name in ("csrf_token", "percent")}
    form |= {"kind": "score", "activity": str(activity_id(world, "Quiz 1"))}
    url = world.course_url(teacher) + "rules/preview"
    answer = teacher.browser.post(url, data=form, headers={"HX-Request": "true", "Referer": url})
    text = " ".join(answer.soup.get_text(" ").split())
    assert "Score at least 80 % in Quiz 1" in text
    assert "Ola Okafor" in text
    assert "2 earned" in text
    assert answer.soup.select_one("html") is None
    answer = teacher.browser.post(url, data=form | {"percent": ""}, headers={"HX-Request": "true", "Referer": url})
    assert "as soon as everything is filled in" in answer.text
    with world.tools.database.read() as session:
        assert session.get(Rule, 2) is None


def test_with_htmx_only_the_tree_is_sent_again_and_badgr_is_not_asked(world: World) -> None:
    teacher = ready(world)
    token = teacher.page.select_one("form.rule input[name=csrf_token]")["value"]
    url = world.course_url(teacher) + "rules"
    asked = len(world.badgr.requests)
    headers = {"HX-Request": "true", "Referer": url}
    answer = teacher.browser.post(url, data={"csrf_token": token, "do": "add:", "percent": "61"}, headers=headers)
    assert answer.status_code == 200
    assert answer.soup.select_one("#conditions [name='0.percent']")["value"] == "61"
    assert answer.soup.select_one("h1") is None
    assert len(world.badgr.requests) == asked


def test_of_several_conditions_the_preview_names_the_one_that_is_missing(world: World) -> None:
    teacher = ready(world)
    quiz = option(teacher, "activity", "Quiz 1")
    press(teacher, "add:", {"activity": quiz, "percent": "80"})
    press(teacher, "preview", {"1.activity": quiz, "1.percent": "100"})
    assert "Ola Okafor Quiz 1: " in teacher.text
    assert "80 % needed." not in teacher.text.partition("One step away")[2]


def test_a_badge_is_not_earned_by_having_itself(world: World) -> None:
    teacher = ready(world)
    values = {
        "badge_class": badge(teacher, "Algebra I"),
        "kind": "badge",
        "badge": option(teacher, "badge", "Algebra I"),
    }
    assert "A badge cannot be earned by having itself" in teacher.submit(FORM, values).text


def test_a_draft_is_changed_in_place(world: World) -> None:
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    world.announce()
    world.make_rule(teacher).follow(EDIT).submit(EDIT, {"percent": "90"})
    assert "Changed." in teacher.text
    assert "Score at least 90 % in Quiz 1" in teacher.text
    assert rule(world, 1).version == 1


def test_a_rule_in_use_shows_first_what_changes_for_whom(world: World) -> None:
    teacher = world.ready_course(percent="95")
    teacher.follow(EDIT).submit(EDIT, {"percent": "60"})
    assert "What would change for Algebra I" in teacher.text
    assert "Score at least 95 % in Quiz 1" in teacher.text
    assert "Score at least 60 % in Quiz 1" in teacher.text
    assert "who do not have the badge earn it by the new rule" in teacher.text
    assert rule(world, 1).version == 1
    # Back to the form, with what was typed.
    teacher.submit(EDIT, button=("do", "back"))
    assert teacher.page.select_one("[name=percent]")["value"] == "60"
    teacher.submit(EDIT).submit(EDIT, button=("do", "confirm"))
    assert "Changed. Whoever has the badge keeps it." in teacher.text
    world.work()
    with world.tools.database.read() as session:
        assert session.get_one(Rule, 1).version == 2
        numbers = session.scalars(select(RuleVersion.number).join(Award, Award.rule_version_id == RuleVersion.id))
        assert 2 in set(numbers)
    teacher.open(teacher.url)
    assert "2 versions" in teacher.text
    assert "2. Score at least 60 % in Quiz 1" in teacher.text


def test_who_has_the_badge_is_named_before_a_stricter_rule(world: World) -> None:
    teacher = world.ready_course()
    teacher.follow(EDIT).submit(EDIT, {"percent": "100"})
    assert "would not earn it by the new rule. Whoever has it keeps it." in teacher.text
    assert "Keep it, but would not earn it any more" in teacher.text


def test_an_edit_that_changes_nothing_makes_no_version(world: World) -> None:
    teacher = world.ready_course(scope="from_now")
    teacher.follow(EDIT).submit(EDIT)
    assert "Nothing was changed." in teacher.text
    assert rule(world, 1).version == 1


def test_an_archived_rule_is_put_away(world: World) -> None:
    teacher = world.ready_course()
    teacher.submit("/archive")
    assert "Archived badges (1)" in teacher.text
    teacher.follow("/rules/1")
    assert teacher.page.select_one("form[action*='/activate']") is None
    assert teacher.open(world.course_url(teacher) + "rules/1/edit").status == 409


def other_course(world: World, *, sub: str = TEACHER) -> Visitor:
    """The rule's page of a teacher who has opened Badges in both courses."""
    teacher = world.ready_course()
    world.launch(sub, CHEMISTRY)
    return teacher.open(teacher.url)


def test_a_rule_is_copied_to_another_course_asleep(world: World) -> None:
    teacher = other_course(world)
    target = option(teacher, "target", "Chemistry")
    teacher.submit("/copy", {"target": target})
    assert "Copied as a draft" in teacher.text
    made = rule(world, 2)
    assert (made.course_id, made.status, made.copied_from_id) == (2, RuleStatus.DRAFT, 1)
    # In the other course it says what it was matched with, and asks to be confirmed.
    there = world.launch(TEACHER, CHEMISTRY).follow("/rules/2")
    assert "Copied from another course: please look at it" in there.text
    assert "Quiz 1: not known here yet" in there.text
    assert "Several are called so" not in there.text
    assert "Confirm it: switch it on for" in there.text
    there.submit("/activate", {"scope": "all"})
    assert "Copied from another course" not in there.text
    # It is there once.
    assert teacher.open(teacher.url).submit("/copy", {"target": target}).status == 409


def test_a_copied_rule_says_that_a_name_means_several(world: World) -> None:
    teacher = other_course(world)
    with world.tools.database.write() as session:
        new = Activity(course_id=1, external_id="q2", title="Quiz 1", kind="quiz", created_at=datetime.now(UTC))
        session.add(new)
        session.commit()
    teacher.submit("/copy", {"target": option(teacher, "target", "Chemistry")})
    there = world.launch(TEACHER, CHEMISTRY).follow("/rules/2")
    assert "Quiz 1: not known here yet" in there.text
    assert "Several are called so, here or in the former course: see whether this is the right one." in there.text


def post_copy(world: World, visitor: Visitor, course: int, target: int) -> int:
    url = f"{world.tool_url}/courses/{course}/rules/1/copy"
    token = visitor.page.select_one("input[name=csrf_token]")["value"]
    answer = visitor.browser.post(url, data={"csrf_token": token, "target": str(target)}, headers={"Referer": url})
    status: int = answer.status_code
    return status


@pytest.mark.parametrize("wall", ["never there", "a learner there", "gone from there", "another deployment", "itself"])
def test_a_rule_is_not_copied_over_a_wall(world: World, wall: str) -> None:
    teacher = other_course(world, sub=LEARNER if wall == "never there" else TEACHER)
    target = 1 if wall == "itself" else 2
    with world.tools.database.write() as session:
        for enrolment in session.scalars(select(Enrolment).where(Enrolment.course_id == 2)):
            if wall == "gone from there":
                enrolment.active = False
            if wall == "a learner there":
                enrolment.launch_role = None
        if wall == "another deployment":
            session.add(Deployment(id=9, platform_id=1, deployment_id="9", created_at=datetime.now(UTC)))
            session.flush()
            session.get_one(Course, 2).deployment_id = 9
        session.commit()
    assert ("No other course of yours is known here" in teacher.open(teacher.url).text) is (wall != "itself")
    assert post_copy(world, teacher.open(teacher.url), 1, target) == 404
    with world.tools.database.read() as session:
        assert session.get(Rule, 2) is None


def test_a_rule_of_another_course_is_not_copied_edited_or_archived(world: World) -> None:
    teacher = other_course(world)
    there = world.launch(TEACHER, CHEMISTRY)
    there.open(there.page.select_one("a[href*='/badgr/connect']")["href"])
    assert post_copy(world, there, 2, 1) == 404
    for path in ("rules/1/edit", "rules/1/preview", "rules/1/archive"):
        url = f"{world.tool_url}/courses/2/{path}"
        token = there.page.select_one("input[name=csrf_token]")["value"]
        answer = there.browser.post(url, data={"csrf_token": token}, headers={"Referer": url, "Accept": HTML})
        assert answer.status_code == 404, path
    assert "Switched on" in teacher.open(teacher.url).text


def test_learners_have_no_editor(world: World) -> None:
    teacher = other_course(world)
    tutor = world.launch(TUTOR, CHEMISTRY)
    for visitor in (world.launch(LEARNER), tutor):
        assert visitor.open(f"{world.tool_url}/courses/1/rules/1/edit").status == 404
    assert teacher.open(teacher.url + "/edit").status == 200


def test_a_full_group_says_so_and_offers_no_more(world: World) -> None:
    teacher = ready(world)
    press(teacher, "add:")
    for _ in range(MOST_PARTS - 2):
        press(teacher, "add:")
    assert f"A group takes at most {MOST_PARTS} parts." in teacher.text
    assert teacher.page.select_one("button[value='add:']") is None
    press(teacher, "remove:0")
    assert "A group takes at most" not in teacher.text
    assert teacher.page.select_one("button[value='add:']") is not None


def test_two_rules_for_one_badge_know_of_each_other(world: World) -> None:
    teacher = world.ready_course()
    teacher.open(world.course_url(teacher) + "rules/1")
    assert "by another rule, too" not in teacher.text
    world.make_rule(teacher, percent="50")
    assert "The same badge is awarded here by another rule, too:" in teacher.text
    assert "Score at least 80 % in Quiz 1" in teacher.text
    teacher.follow("/rules/1")
    assert "by another rule, too" in teacher.text
    teacher.open(world.course_url(teacher) + "rules/2").submit("/archive")
    assert "by another rule, too" not in teacher.open(world.course_url(teacher) + "rules/1").text


def test_who_counted_only_from_a_day_on_is_told_what_everything_means(world: World) -> None:
    teacher = world.ready_course(scope="from_now")
    teacher.open(world.course_url(teacher) + "rules/1").submit("/pause")
    label = teacher.page.select_one("input[value=all]").parent.get_text(" ")
    assert "everything since" in " ".join(label.split())
