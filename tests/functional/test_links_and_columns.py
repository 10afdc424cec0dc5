"""Deep Linking and the badge's column: what a teacher chooses is what the link opens, and scores follow the awards."""

import jwt
import pytest

from lti_tool.models import Award, Rule
from lti_tool.sandbox.lms import Fault
from lti_tool.sandbox.lms.claims import ToolLink
from lti_tool.sandbox.visitor import Visitor
from tests.world import BIOLOGY, EARLY, LEARNER, TEACHER, World


def choose(world: World, sub: str = TEACHER) -> Visitor:
    visitor = Visitor().open(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={sub}&choose=1")
    return visitor.submit("/lti/login").submit()


def add_link(world: World, value: str, *, column: bool = False) -> ToolLink:
    visitor = choose(world)
    form = visitor.browser.select_form("form[action*='/choose']")
    form.set_checkbox({"link": [value]})
    if column:
        form.check({"column": "yes"})
    form.choose_submit(visitor.page.select_one("button[value=choose]"))
    visitor.browser.submit_selected()
    assert visitor.submit("/lti/deep-linking/").page.h1.text == "Added to the course"
    return list(world.lms.links.values())[-1]


def open_link(world: World, link: ToolLink, sub: str, course: str = BIOLOGY) -> Visitor:
    visitor = Visitor().open(f"{world.lms_url}/courses/{course}/badges?as={sub}&link={link.id}")
    visitor.submit("/lti/login").submit()
    world.work()
    return visitor


def scores_in(world: World, url: str) -> dict[str, float | None]:
    item = world.lms.line_items[url.split("/lineitems/")[1].split("/", maxsplit=1)[0]]
    return {sub: result.score for sub, result in item.results.items()}


# -- choosing --


def test_a_link_to_all_badges(world: World) -> None:
    world.ready_course()
    link = add_link(world, "course")
    assert (link.title, dict(link.custom), link.line_item_id) == ("Badges of this course", {}, None)
    assert open_link(world, link, TEACHER).page.h1.text == "Badges of this course"
    assert open_link(world, link, LEARNER).page.h1.text == "Your badges"


def test_a_link_to_one_badge_opens_exactly_that(world: World) -> None:
    teacher = world.ready_course()
    world.make_rule(teacher, badge="Laboratory Safety", kind="completed", activity="Lab 2").submit("/activate")
    link = add_link(world, "2")
    assert (link.title, dict(link.custom)) == ("Badge: Laboratory Safety", {"lti_badges_rule": "2"})
    assert open_link(world, link, TEACHER).url.endswith("/courses/1/rules/2")
    page = open_link(world, link, LEARNER)
    assert [h.text for h in page.page.select("main h3")] == ["Laboratory Safety"]
    page.follow("/mine/")
    assert len(page.page.select("main h3")) == 2


def test_a_link_with_a_column_gets_the_scores(world: World) -> None:
    world.ready_course()
    link = add_link(world, "1", column=True)
    assert link.line_item_id is not None
    item = world.lms.line_items[link.line_item_id]
    assert (item.label, item.maximum, item.resource_id) == ("Badge: Algebra I", 1, "lti-badges-rule-1")
    open_link(world, link, TEACHER)
    assert {sub: result.score for sub, result in item.results.items()} == {EARLY: 1, "8": 1}
    world.grade(LEARNER, score=9)
    world.work()
    assert item.results[LEARNER].score == 1


def test_several_links_at_once(world: World) -> None:
    world.ready_course()
    visitor = choose(world)
    form = visitor.browser.select_form("form[action*='/choose']")
    form.check({"link": ["course", "1"]})
    form.choose_submit(visitor.page.select_one("button[value=choose]"))
    visitor.browser.submit_selected()
    visitor.submit("/lti/deep-linking/")
    assert {link.title for link in world.lms.links.values()} == {"Badges of this course", "Badge: Algebra I"}


def test_cancelling_adds_nothing(world: World) -> None:
    visitor = choose(world)
    visitor.submit("/choose", button=("decision", "cancel"))
    message = visitor.page.select_one("input[name=JWT]")["value"]
    visitor.submit("/lti/deep-linking/")
    assert "Nothing was chosen." in visitor.text
    assert world.lms.links == {}
    claims = jwt.decode(message, options={"verify_signature": False})
    assert claims["https://purl.imsglobal.org/spec/lti-dl/claim/content_items"] == []
    assert claims["https://purl.imsglobal.org/spec/lti-dl/claim/data"] == f"choice for {BIOLOGY}"
    assert claims["iss"] == "lti-badges-test"
    assert claims["exp"] - claims["iat"] == 300


def test_only_teachers_choose(world: World) -> None:
    assert "Only teachers can choose badges" in choose(world, LEARNER).text


@pytest.mark.parametrize("change", [{"ticket": "forged"}, {"link": "99"}, {"link": "../x"}])
def test_a_forged_choice_is_refused(world: World, change: dict[str, str]) -> None:
    world.ready_course()
    visitor = choose(world)
    fields = {f["name"]: f["value"] for f in visitor.page.select("form input[type=hidden]")}
    told = fields | {"link": "course", "decision": "choose"} | change
    url = visitor.browser.absolute_url("/courses/1/choose")
    response = visitor.browser.session.post(url, data=told, headers={"Referer": url}, timeout=10)
    assert response.status_code == 400
    assert 'name="JWT"' not in response.text


def test_the_badge_of_another_course_cannot_be_linked_or_opened(world: World) -> None:
    world.ready_course()
    link = add_link(world, "1")
    copy = world.lms.copy_course(BIOLOGY, "9")
    copied = next(found for found in world.lms.links.values() if found.course_id == copy.id)
    assert copied.custom == link.custom
    # The copy of the link has the number of the old course's rule: it opens the new course, and nothing of the old.
    page = open_link(world, copied, TEACHER, copy.id)
    assert page.page.h1.text == "Badges of this course"
    assert "(copy)" in page.text


# -- the column --


def test_the_column_is_switched_on_filled_and_off(world: World) -> None:
    teacher = world.ready_course()
    teacher.submit("/column")
    assert "Remove the column" in teacher.text
    world.work()
    with world.tools.database.read() as session:
        url = session.get_one(Rule, 1).line_item_url
    assert url is not None
    assert scores_in(world, url) == {EARLY: 1, "8": 1}
    world.grade(LEARNER, score=9)
    world.work()
    assert scores_in(world, url)[LEARNER] == 1
    # On again finds the same column instead of making another.
    before = len(world.lms.line_items)
    with world.tools.database.write() as session:
        session.get_one(Rule, 1).line_item_url = None
        session.get_one(Rule, 1).has_column = False
        session.commit()
    teacher.open(teacher.url).submit("/column")
    assert len(world.lms.line_items) == before
    teacher.submit("/column")
    assert "Add a column" in teacher.text
    assert len(world.lms.line_items) == before - 1


def test_a_score_that_fails_is_sent_again_and_said(world: World) -> None:
    teacher = world.ready_course()
    teacher.submit("/column")
    world.work()
    world.lms.faults.add(Fault("/scores$", method="POST", status=503))
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).score_sent_at is None
    assert "Some scores did not arrive" in teacher.open(teacher.url).text
    world.tick()
    assert world.award_of(LEARNER).score_sent_at is not None
    assert "Some scores did not arrive" not in teacher.open(teacher.url).text


def test_a_refused_score_is_not_sent_for_ever(world: World) -> None:
    world.ready_course().submit("/column")
    world.work()
    world.lms.faults.add(Fault("/scores$", method="POST", status=403))
    world.grade(LEARNER, score=9)
    world.work()
    award = world.award_of(LEARNER)
    assert (award.score_sent_at, award.score_due_at) == (None, None)
    assert "still allowed" in (award.score_advice or "")


def test_an_lms_that_fails_changes_nothing(world: World) -> None:
    teacher = world.ready_course()
    world.lms.faults.add(Fault("/lineitems$", method="POST", status=500))
    teacher.submit("/column")
    assert teacher.status == 502
    assert "The LMS did not answer as expected" in teacher.text
    with world.tools.database.read() as session:
        assert not session.get_one(Rule, 1).has_column
        assert session.query(Award).filter(Award.score_due_at.is_not(None)).count() == 0
