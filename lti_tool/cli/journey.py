"""The whole journey through HTTP without a person, as `lti-badges demo --check` walks it."""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import requests

from lti_tool.sandbox.visitor import Visitor

if TYPE_CHECKING:
    from lti_tool.cli.demo import Demo

TEACHER, LEARNER, LEARNER_ADDRESS = "3", "4", "learner@example.org"
COURSE, QUIZ = "2", "quiz-1"
DELIVERY_SECONDS = 30
REFUSAL = json.dumps({
    "status": {"success": False, "description": "bad request"},
    "result": [],
    "fieldErrors": {"recipient": {"non_field_errors": ["Enter a valid email address."]}},
    "validationErrors": [],
})  # fmt: skip


class JourneyError(Exception):
    """A step did not end as it must; the text says which and what was seen."""


def walk(demo: "Demo", *, badgr_refuses: bool = False) -> None:
    """Launch, connect, make a rule, grade, and find the badge at Badgr and on the pages; raises JourneyError."""
    if badgr_refuses:
        _fault(demo)
    teacher = _launch(demo, TEACHER)
    _see(teacher, "Connect to Badgr", "The teacher launches and sees the checklist")
    _connect(teacher)
    _choose_badge(teacher)
    _wait_for_course_list(teacher)
    _see(teacher, "Ola Okafor", "The preview names who has earned it already")
    teacher.submit("/activate", {"scope": "all"})
    _see(teacher, "Switched on", "The teacher switches the rule on")
    delivery = _post(f"{demo.lms_url}/sandbox/grade", person=LEARNER, course=COURSE, activity=QUIZ, score=8.0)
    _check(delivery["status"] == 202, f"The LMS posts the grade and gets 202 (got {delivery})")
    _wait_for_badge(demo)
    for _ in range(2):
        _post(f"{demo.lms_url}/sandbox/again/{delivery['id']}")
    _wait_for_rest(demo)
    _check(len(_held_by_learner(demo)) == 1, "The webhook comes three times; Badgr holds exactly one assertion")
    learner = _launch(demo, LEARNER)
    _see(learner, _held_by_learner(demo)[0]["openBadgeId"], "The learner sees the badge with its verify link")
    teacher = _launch(demo, TEACHER)
    _open_award(teacher)
    _see(teacher, "Badgr issued it", "The teacher sees the award's time line")
    click.echo("The journey works: the local Badgr holds the assertion.")


def _launch(demo: "Demo", sub: str) -> Visitor:
    visitor = Visitor().open(f"{demo.lms_url}/courses/{COURSE}/badges?as={sub}")
    return visitor.submit("/lti/login").submit("/lti/launch")


def _connect(teacher: Visitor) -> None:
    course_page = teacher.url
    teacher.follow("/badgr/connect").submit("/badgr/begin").submit(button=("decision", "allow"))
    _see(teacher, "Connected", "The teacher consents at Badgr and comes back")
    teacher.open(course_page)


def _choose_badge(teacher: Visitor) -> None:
    teacher.follow("/issuer")
    teacher.submit("/issuer", {"issuer": teacher.page.select_one("input[name=issuer]")["value"]})
    badge = teacher.page.select_one("input[name=badge_class]")["value"]
    # This walks faster than anybody clicks: the worker may not have read the results of the course yet.
    _reload_until(teacher, lambda: _offered(teacher) is not None)
    _check(_offered(teacher) is not None, "The teacher is offered Quiz 1")
    told = {"badge_class": badge, "kind": "score", "percent": "80", "activity": _offered(teacher)}
    teacher.submit("/rules", told)
    _see(teacher, "Score at least 80 % in Quiz 1", "The teacher chooses a badge and what earns it")


def _offered(teacher: Visitor) -> str | None:
    options = teacher.page.select("select[name=activity] option")
    return next((option["value"] for option in options if "Quiz 1" in option.text), None)


def _wait_for_course_list(teacher: Visitor) -> None:
    _reload_until(teacher, lambda: "is being read from the LMS" not in teacher.text)


def _reload_until(visitor: Visitor, is_there: Callable[[], bool]) -> None:
    until = time.monotonic() + DELIVERY_SECONDS
    while not is_there() and time.monotonic() < until:
        time.sleep(0.1)
        visitor.open(visitor.url)


def _open_award(teacher: Visitor) -> None:
    teacher.follow("/rules/")
    row = next(a for a in teacher.page.select("a[href*='/awards/']") if "Lea Learner" in a.text)
    teacher.open(row["href"])


def _see(visitor: Visitor, text: str, step: str) -> None:
    found = text in str(visitor.page)
    _check(found, step if found else f"{step} (no “{text}” at {visitor.url}: {visitor.text[:500]})")


def _check(passed: bool, step: str) -> None:
    if not passed:
        raise JourneyError(step)
    click.echo(f"ok  {step}")


def _wait_for_badge(demo: "Demo") -> None:
    until = time.monotonic() + DELIVERY_SECONDS
    while not _held_by_learner(demo) and time.monotonic() < until:
        time.sleep(0.1)
    _check(bool(_held_by_learner(demo)), "The award becomes an assertion at Badgr")


def _wait_for_rest(demo: "Demo") -> None:
    """Give repeats time to do harm, if they could: until the tool has answered for a while."""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        requests.get(f"{demo.tool_url}/readyz", timeout=10).raise_for_status()
        time.sleep(0.2)


def _held_by_learner(demo: "Demo") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = requests.get(f"{demo.badgr_url}/sandbox/assertions", timeout=10).json()
    return [a for a in found if a["recipient"] == LEARNER_ADDRESS and not a["revoked"]]


def _post(url: str, **body: Any) -> dict[str, Any]:
    response = requests.post(url, json=body, timeout=60)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def _fault(demo: "Demo") -> None:
    refuse = {"method": "POST", "path_regex": "/assertions$", "times": 1000, "status": 400, "body": REFUSAL}
    requests.post(f"{demo.badgr_url}/sandbox/faults", json=refuse, timeout=10).raise_for_status()
