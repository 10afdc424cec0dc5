"""The whole journey through HTTP without a person, as `lti-badges demo --check` walks it.

A browser without a screen and without scripts: that the journey works here shows that no page needs JavaScript.
"""

import json
import time
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import click
import requests
from mechanicalsoup import StatefulBrowser

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
    _see(teacher, "Ola Okafor", "The preview names who has earned it already")
    _submit(teacher, "activate", {"scope": "all"})
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


def _launch(demo: "Demo", sub: str) -> Any:
    # Browsers treat this machine as secure without https; this one has to be told.
    policy = DefaultCookiePolicy(secure_protocols=("https", "http"))
    session = requests.Session()
    session.cookies.set_policy(policy)
    browser = StatefulBrowser(session, raise_on_404=True, soup_config={"features": "html.parser"})
    browser.open(f"{demo.lms_url}/courses/{COURSE}/badges?as={sub}", timeout=30)
    for _ in ("login request", "launch"):
        browser.select_form("#launch")
        browser.submit_selected(timeout=30)
    return browser


def _connect(teacher: Any) -> None:
    course_page = teacher.url
    teacher.open(_link(teacher, "/badgr/connect"), timeout=30)
    _submit(teacher, "/badgr/begin", {})
    _submit(teacher, None, {}, button=("decision", "allow"))
    _see(teacher, "Connected", "The teacher consents at Badgr and comes back")
    teacher.open(course_page, timeout=30)


def _choose_badge(teacher: Any) -> None:
    teacher.open(_link(teacher, "/issuer"), timeout=30)
    issuer = teacher.page.select_one("input[name=issuer]")["value"]
    _submit(teacher, "/issuer", {"issuer": issuer})
    badge = teacher.page.select_one("input[name=badge_class]")["value"]
    quiz = next(o["value"] for o in teacher.page.select("select[name=activity] option") if "Quiz 1" in o.text)
    entered = {"badge_class": badge, "kind": "score", "percent": "80", "activity": quiz}
    _submit(teacher, "/rules", entered)
    _see(teacher, "Score at least 80 % in Quiz 1", "The teacher chooses a badge and what earns it")


def _open_award(teacher: Any) -> None:
    teacher.open(_link(teacher, "/rules/"), timeout=30)
    row = next(a for a in teacher.page.select("a[href*='/awards/']") if "Lea Learner" in a.text)
    teacher.open(teacher.absolute_url(row["href"]), timeout=30)


def _submit(browser: Any, action: str | None, values: dict[str, str], button: tuple[str, str] | None = None) -> None:
    form = browser.select_form(f"form[method=post][action*='{action}']" if action else "form[method=post]")
    for name, value in values.items():
        form.set(name, value)
    if button:
        form.choose_submit(browser.page.select_one(f"button[name={button[0]}][value={button[1]}]"))
    browser.submit_selected(timeout=30)


def _link(browser: Any, part: str) -> str:
    found = browser.page.select_one(f"main a[href*='{part}']")
    _check(found is not None, f"There is a link to {part}", quiet=True)
    return str(browser.absolute_url(found["href"]))


def _see(browser: Any, text: str, step: str) -> None:
    found = text in str(browser.page)
    _check(found, step if found else f"{step} (no “{text}” at {browser.url}: {browser.page.text.split()[:80]})")


def _check(passed: bool, step: str, *, quiet: bool = False) -> None:
    if not passed:
        raise JourneyError(step)
    if not quiet:
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
