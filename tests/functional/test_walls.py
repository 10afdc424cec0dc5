"""A course is a wall: wrong course, wrong role, no visit; for every page and every form."""

import pytest
import requests

from lti_tool.sandbox.visitor import HTML, Visitor
from tests.world import CHEMISTRY, LEARNER, TEACHER, TUTOR, World

TEACHER_PAGES = (
    "",
    "connection",
    "learners",
    "issuer",
    "rules/new",
    "rules/{rule}",
    "awards/{award}",
    "runs",
    "runs/{run}",
    "runs/{run}/undo",
    "approvals",
    "falls",
    "rules/{rule}/approvals",
    "rules/{rule}/people",
    "rules/{rule}/people/{person}",
    "rules/{rule}/table",
    "rules/{rule}/table/example.csv",
    "rules/{rule}/export.csv",
    "export.json",
)
TEACHER_FORMS = (
    "issuer",
    "rules",
    "rules/{rule}/activate",
    "rules/{rule}/pause",
    "awards/{award}/retry",
    "runs/{run}/confirm",
    "runs/{run}/undo",
    "approvals",
    "falls",
    "rules/{rule}/approvals",
    "rules/{rule}/people",
    "rules/{rule}/people/exceptions/{exception}/take-back",
    "rules/{rule}/table",
    "rules/{rule}/by-hand",
)
# Pages and forms about one thing, by its number: nothing of one course is found in another.
PAGES_OF_THINGS = tuple(page for page in TEACHER_PAGES if "{" in page and "example" not in page)
FORMS_OF_THINGS = tuple(form for form in TEACHER_FORMS if "{" in form)
LEARNER_PAGES = ("mine/",)


def course_path(world: World, visitor: Visitor) -> str:
    return world.course_url(visitor)


def get(visitor: Visitor, url: str) -> requests.Response:
    response: requests.Response = visitor.browser.session.get(url, timeout=10, allow_redirects=False)
    return response


def post(visitor: Visitor, url: str, **values: str) -> requests.Response:
    # With a good CSRF token: it is the wall that is tested, not the form's protection.
    token = visitor.page.select_one("input[name=csrf_token]")
    data = values | {"csrf_token": token["value"] if token else ""}
    response: requests.Response = visitor.browser.session.post(
        url, data=data, headers={"Referer": url}, timeout=10, allow_redirects=False
    )
    return response


def paths(world: World, names: tuple[str, ...]) -> list[str]:
    return [name.format(rule=1, award=1, run=1, person=4, exception=1) for name in names]


def test_a_teacher_enters_every_page(world: World) -> None:
    teacher = world.ready_course()
    base = course_path(world, teacher)
    assert [get(teacher, base + path).status_code for path in paths(world, TEACHER_PAGES)] == [200, 204] + [200] * 17


@pytest.mark.parametrize("names", [TEACHER_PAGES, LEARNER_PAGES])
def test_nobody_enters_without_a_launch(world: World, names: tuple[str, ...]) -> None:
    teacher = world.ready_course()
    base = course_path(world, teacher)
    for path in paths(world, names):
        response = requests.get(base + path, headers={"Accept": HTML}, timeout=10, allow_redirects=False)
        assert response.status_code == 404, path
        assert "open Badges there again" in " ".join(response.text.split()), path


def test_a_learner_sees_no_teachers_page(world: World) -> None:
    base = course_path(world, world.ready_course())
    learner = world.launch(LEARNER)
    assert get(learner, base + "mine/").status_code == 200
    for path in paths(world, TEACHER_PAGES):
        assert get(learner, base + path).status_code == 404, path


def test_a_learner_sends_no_teachers_form(world: World) -> None:
    teacher = world.ready_course()
    base = course_path(world, teacher)
    learner = world.launch(LEARNER)
    # The only page with a form that a learner's browser can get gives it a CSRF token of its own.
    learner.open(world.connect_url(world.launch(TEACHER, CHEMISTRY)))
    for path in paths(world, TEACHER_FORMS):
        assert post(learner, base + path).status_code == 404, path
    assert "Switched on" in teacher.open(base + "rules/1").text


def test_a_teacher_of_one_course_does_not_enter_another(world: World) -> None:
    biology = course_path(world, world.ready_course())
    other = world.launch(TEACHER, CHEMISTRY)
    assert course_path(world, other) != biology
    for path in paths(world, (*TEACHER_PAGES, *LEARNER_PAGES)):
        assert get(other, biology + path).status_code == 404, path


def test_things_of_another_course_are_not_found_in_ones_own(world: World) -> None:
    world.ready_course()
    other = world.launch(TEACHER, CHEMISTRY)
    chemistry = course_path(world, other)
    for path in paths(world, PAGES_OF_THINGS):
        assert get(other, chemistry + path).status_code == 404, path
    other.open(other.page.select_one("a[href*='/badgr/connect']")["href"])
    for path in paths(world, FORMS_OF_THINGS):
        # With values that a form of one's own course would have, so that nothing but the wall refuses them.
        values = {"person": "4", "action": "award", "note": "x", "award": "1", "decision": "approve"}
        lines = {"lines": '[[4, "award", "x", 0]]', "shown": ""}
        assert post(other, chemistry + path, **values, **lines).status_code == 404, path


def test_two_courses_in_one_browser_do_not_mix(world: World) -> None:
    # A tutor in the one, a learner in the other.
    browser = world.launch(TUTOR)
    biology = course_path(world, browser)
    world.launch(TUTOR, CHEMISTRY, browser)
    chemistry = course_path(world, browser)
    assert "/mine/" in browser.url
    assert get(browser, biology).status_code == 200
    assert get(browser, chemistry).status_code == 404
    assert get(browser, chemistry + "mine/").status_code == 200
    assert get(browser, biology + "learners").status_code == 200


def test_another_person_in_the_same_browser_ends_the_former_visit(world: World) -> None:
    browser = world.launch(TEACHER)
    biology = course_path(world, browser)
    world.launch(LEARNER, CHEMISTRY, browser)
    assert get(browser, biology).status_code == 404


def test_a_form_without_its_token_is_refused(world: World) -> None:
    teacher = world.ready_course()
    response = teacher.browser.session.post(course_path(world, teacher) + "rules/1/pause", timeout=10)
    assert response.status_code == 400
    assert "Open Badges from the LMS again" in " ".join(response.text.split())
    assert "Switched on" in teacher.open(course_path(world, teacher) + "rules/1").text


def test_observers_get_neither_page(world: World) -> None:
    observer = world.launch("21")
    assert "neither a learner nor a teacher" in observer.text
    world.launch(TEACHER)
    assert get(observer, f"{world.tool_url}/courses/1/learners").status_code == 404
