"""A course is a wall: wrong course, wrong role, no visit; for every page and every form that there is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from sqlalchemy import inspect, select, update
from werkzeug.routing import AnyConverter, Rule

from lti_tool.db import Base
from lti_tool.models import Visit
from lti_tool.sandbox.visitor import HTML, Visitor
from lti_tool.web.access import NO_ENTRY
from tests.world import CHEMISTRY, LEARNER, TEACHER, TUTOR, World

# Its form carries a ticket that only a teacher of the course gets, and is tested where links are chosen.
BY_TICKET = "choosing.choose"
# What a visit or a worker writes by itself.
PASSING = {"visit", "heartbeat", "one_time_token", "admin_visit"}
OBSERVER, LMS_ADMINISTRATOR = "21", "2"


def course_paths(world: World, course_id: int, method: str, *, of_learner: bool | None = None) -> Iterator[str]:
    """Every address of this course that takes the method; the things in it are those with the id 1."""
    for rule in world.app.url_map.iter_rules():
        is_learners = rule.endpoint.startswith("learner.")
        if "course_id" not in rule.arguments or method not in (rule.methods or ()) or rule.endpoint == BY_TICKET:
            continue
        if of_learner is None or of_learner == is_learners:
            values: dict[str, Any] = {name: _first(rule, name) for name in rule.arguments} | {"course_id": course_id}
            yield world.app.url_map.bind("").build(rule.endpoint, values, method=method)


def _first(rule: Rule, name: str) -> object:
    """The first thing, or of an argument that is one of a few words, any of them."""
    converter = rule._converters[name]
    return sorted(converter.items)[0] if isinstance(converter, AnyConverter) else 1


def ask(visitor: Visitor, world: World, method: str, path: str) -> requests.Response:
    """Send a request as this visitor; forms with a good CSRF token, for it is the wall that is tested."""
    token = Visitor()
    token.browser.session.cookies.update(visitor.browser.session.cookies)
    field = token.open(f"{world.tool_url}/my/").page.select_one("input[name=csrf_token]")
    visitor.browser.session.cookies.update(token.browser.session.cookies)
    response: requests.Response = visitor.browser.session.request(
        method,
        world.tool_url + path,
        data={"csrf_token": field["value"], "reason": "because"} if method == "POST" else None,
        headers={"Referer": world.tool_url},
        timeout=10,
        allow_redirects=False,
    )
    return response


def stands_at_the_wall(response: requests.Response) -> bool:
    return response.status_code == 404 and NO_ENTRY in " ".join(response.text.split())


def everything(world: World) -> dict[str, list[Any]]:
    """All that is kept."""
    tables = [table for table in Base.metadata.sorted_tables if table.name not in PASSING]
    with world.tools.database.read() as session:
        return {
            table.name: [tuple(row) for row in session.execute(select(table).order_by(*inspect(table).primary_key))]
            for table in tables
        }


def test_there_are_pages_and_forms_to_try(world: World) -> None:
    # Else the tests below would show nothing.
    assert len(list(course_paths(world, 1, "GET"))) >= 13
    assert len(list(course_paths(world, 1, "POST", of_learner=False))) >= 12
    assert len(list(course_paths(world, 1, "POST", of_learner=True))) >= 3


def test_a_teacher_enters_every_page(world: World) -> None:
    teacher = world.ready_course()
    for path in course_paths(world, 1, "GET", of_learner=False):
        assert not stands_at_the_wall(ask(teacher, world, "GET", path)), path


def test_nobody_enters_without_a_launch(world: World) -> None:
    world.ready_course()
    before = everything(world)
    for method in ("GET", "POST"):
        for path in course_paths(world, 1, method):
            assert stands_at_the_wall(ask(Visitor(), world, method, path)), (method, path)
    assert everything(world) == before


def test_a_learner_sees_no_teachers_page_and_sends_no_teachers_form(world: World) -> None:
    world.ready_course()
    learner = world.launch(LEARNER)
    assert ask(learner, world, "GET", "/courses/1/mine/").status_code == 200
    before = everything(world)
    for method in ("GET", "POST"):
        for path in course_paths(world, 1, method, of_learner=False):
            assert stands_at_the_wall(ask(learner, world, method, path)), (method, path)
    assert everything(world) == before


def test_a_teacher_of_one_course_does_not_enter_another(world: World) -> None:
    world.ready_course()
    other = world.launch(TEACHER, CHEMISTRY)
    before = everything(world)
    for method in ("GET", "POST"):
        for path in course_paths(world, 1, method):
            assert stands_at_the_wall(ask(other, world, method, path)), (method, path)
    assert everything(world) == before


def test_things_of_another_course_are_not_found_in_ones_own(world: World) -> None:
    world.ready_course()
    other = world.launch(TEACHER, CHEMISTRY)
    before, tried = everything(world), 0
    for method in ("GET", "POST"):
        for path in course_paths(world, 2, method, of_learner=False):
            if "/rules/1" in path or "/awards/1" in path:
                assert ask(other, world, method, path).status_code == 404, (method, path)
                tried += 1
    assert tried >= 8
    assert everything(world) == before


def test_two_courses_in_one_browser_do_not_mix(world: World) -> None:
    # A tutor in the one, a learner in the other.
    browser = world.launch(TUTOR)
    world.launch(TUTOR, CHEMISTRY, browser)
    assert "/courses/2/mine/" in browser.url
    answers = {path: ask(browser, world, "GET", path).status_code for path in (
        "/courses/1/", "/courses/1/learners", "/courses/2/", "/courses/2/mine/"
    )}  # fmt: skip
    assert answers == {"/courses/1/": 200, "/courses/1/learners": 200, "/courses/2/": 404, "/courses/2/mine/": 200}


def test_a_visit_ends(world: World) -> None:
    teacher = world.ready_course()
    assert ask(teacher, world, "GET", "/courses/1/").status_code == 200
    with world.tools.database.write() as session:
        session.execute(update(Visit).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
        session.commit()
    assert stands_at_the_wall(ask(teacher, world, "GET", "/courses/1/"))


def test_another_person_in_the_same_browser_ends_the_former_visit(world: World) -> None:
    browser = world.launch(TEACHER)
    world.launch(LEARNER, CHEMISTRY, browser)
    assert ask(browser, world, "GET", "/courses/1/").status_code == 404


def test_a_form_without_its_token_is_refused(world: World) -> None:
    teacher = world.ready_course()
    before = everything(world)
    for path in course_paths(world, 1, "POST"):
        response = teacher.browser.session.post(world.tool_url + path, timeout=10)
        assert response.status_code == 400, path
        assert "Open Badges from the LMS again" in " ".join(response.text.split()), path
    assert everything(world) == before


def test_observers_get_neither_page(world: World) -> None:
    observer = world.launch(OBSERVER)
    assert "You follow somebody in this course" in observer.text
    world.launch(TEACHER)
    for path in course_paths(world, 1, "GET", of_learner=False):
        assert stands_at_the_wall(ask(observer, world, "GET", path)), path


# What the administrator of an LMS may see and do there; everything else is for local accounts.
OPEN_TO_LMS_ADMINISTRATORS = {
    "admin.overview", "admin.platform", "admin.awards", "admin.retry_award", "admin.check", "admin.check_one",
    "admin.people", "admin.audit", "admin.sign_out", "admin_sources.overview", "admin_sources.source",
}  # fmt: skip
OPEN_TO_ALL = {"admin.sign_in", "admin.sign_out"}


def admin_paths(world: World, method: str, beside: set[str]) -> Iterator[str]:
    """Every address of the administrator's pages that takes the method."""
    for rule in world.app.url_map.iter_rules():
        if rule.endpoint.startswith("admin") and rule.endpoint not in beside and method in (rule.methods or ()):
            values: dict[str, Any] = dict.fromkeys(rule.arguments, 1)
            yield world.app.url_map.bind("").build(rule.endpoint, values, method=method)


def test_no_page_of_administrators_opens_for_anybody_else(world: World) -> None:
    visitors = (Visitor(), world.ready_course(), world.launch(LEARNER))
    before, tried = everything(world), 0
    for method in ("GET", "POST"):
        for path in admin_paths(world, method, OPEN_TO_ALL):
            for visitor in visitors:
                response = ask(visitor, world, method, path)
                assert (response.status_code, response.headers.get("Location")) == (303, "/admin/sign-in"), path
                tried += 1
    assert tried > 60
    assert everything(world) == before


def test_an_administrator_of_an_lms_opens_no_page_of_the_local_ones(world: World) -> None:
    world.ready_course()
    visitor = world.launch(LMS_ADMINISTRATOR)
    assert ask(visitor, world, "GET", "/admin/").status_code == 200
    before = everything(world)
    for method in ("GET", "POST"):
        for path in admin_paths(world, method, OPEN_TO_LMS_ADMINISTRATORS | OPEN_TO_ALL):
            assert ask(visitor, world, method, path).status_code == 404, (method, path)
    assert everything(world) == before


def test_pages_are_html_for_people(world: World) -> None:
    response = requests.get(f"{world.tool_url}/courses/1/", headers={"Accept": HTML}, timeout=10)
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
