"""Moodle's web services: what is read of their answers, and what is said when they refuse (LMS.md §5.7)."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from werkzeug.wrappers import Request, Response

from lti_tool.http import new_session
from lti_tool.sources import moodle_ws
from lti_tool.sources.moodle_ws import (
    CourseCompletion,
    MoodleCompletion,
    MoodleGrade,
    MoodleServiceError,
    MoodleWebServices,
)
from tests.http_server import AnsweringServer, json_answer

TOKEN = "cafe0123456789abcdef0123456789ab"
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECONDS = int(AT.timestamp())
# As `gradereport_user_get_grade_items` of Moodle 4.5 gives it (grade/report/user/classes/external/user.php).
ITEM: dict[str, object] = {
    "id": 5,
    "itemname": "Cells &amp; Genes",
    "itemtype": "mod",
    "itemmodule": "assign",
    "iteminstance": 2,
    "itemnumber": 0,
    "idnumber": "",
    "categoryid": 1,
    "outcomeid": None,
    "scaleid": None,
    "locked": False,
    "cmid": 12,
    "graderaw": 71.5,
    "gradedatesubmitted": None,
    "gradedategraded": SECONDS,
    "gradehiddenbydate": False,
    "gradeneedsupdate": False,
    "gradeishidden": False,
    "gradeislocked": False,
    "gradeisoverridden": False,
    "gradeformatted": "<b>71.50</b>",
    "grademin": 0,
    "grademax": 100,
    "feedback": "",
    "feedbackformat": 0,
}


@pytest.fixture
def moodle(server: AnsweringServer) -> MoodleWebServices:
    return MoodleWebServices(new_session(allow_private_addresses=True), f"{server.url}/", TOKEN)


def answer(server: AnsweringServer, body: object, status: int = 200, **headers: str) -> None:
    server.answers[moodle_ws.PATH] = json_answer(body, status, **headers)


def report(*items: dict[str, object]) -> dict[str, object]:
    return {"usergrades": [{"courseid": 2, "userid": 8, "gradeitems": list(items)}], "warnings": []}


def refusal(server: AnsweringServer, moodle: MoodleWebServices) -> MoodleServiceError:
    with pytest.raises(MoodleServiceError) as caught:
        moodle.grades(2)
    assert server.url.removeprefix("http://") in caught.value.advice
    assert TOKEN not in caught.value.advice
    assert caught.value.advice.endswith(".")
    return caught.value


def test_the_token_is_in_the_body_and_never_in_the_address(server: AnsweringServer, moodle: MoodleWebServices) -> None:
    answer(server, report())
    moodle.grades(2)
    (request,) = server.seen
    assert request.method == "POST"
    assert TOKEN not in request.url
    assert TOKEN not in str(request.headers)
    assert request.form.to_dict() == {
        "wstoken": TOKEN,
        "wsfunction": "gradereport_user_get_grade_items",
        "moodlewsrestformat": "json",
        "courseid": "2",
        "userid": "0",
    }


def test_an_address_with_the_path_of_the_service_is_fine(server: AnsweringServer) -> None:
    answer(server, report())
    http = new_session(allow_private_addresses=True)
    MoodleWebServices(http, f"{server.url}{moodle_ws.PATH}", TOKEN).grades(2)
    assert server.count(moodle_ws.PATH) == 1


def test_grades_are_read(server: AnsweringServer, moodle: MoodleWebServices) -> None:
    total: dict[str, object] = {
        "id": 1,
        "itemname": None,
        "itemtype": "course",
        "graderaw": 80,
        "grademax": 100,
        "cmid": None,
    }
    ungraded = ITEM | {"id": 6, "graderaw": None, "itemname": "Quiz", "cmid": 13}
    answer(server, report(ITEM, total, ungraded))
    found = moodle.grades(2)
    assert found.grades == (
        MoodleGrade(8, 5, "Cells & Genes", "mod", "assign", 12, 71.5, 100.0, AT, False),
        MoodleGrade(8, 1, "", "course", "", None, 80.0, 100.0, None, False),
        MoodleGrade(8, 6, "Quiz", "mod", "assign", 13, None, 100.0, AT, False),
    )
    assert found.titles == {12: "Cells & Genes", 13: "Quiz"}


@pytest.mark.parametrize("name", ["gradeishidden", "gradehiddenbydate"])
def test_a_hidden_grade_says_so(server: AnsweringServer, moodle: MoodleWebServices, name: str) -> None:
    answer(server, report(ITEM | {name: True}))
    assert [grade.is_hidden for grade in moodle.grades(2).grades] == [True]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"usergrades": None},
        {"usergrades": [7]},
        report({"id": 5, "graderaw": "71"}),
        report(ITEM | {"id": True}),
        report(ITEM | {"graderaw": float("nan")}),
        report({name: value for name, value in ITEM.items() if name != "graderaw"}),
        # What the account of the token may not see is not gone.
        report(ITEM | {"graderaw": None, "gradeishidden": True}),
    ],
)
def test_what_is_no_grade_is_left_out(server: AnsweringServer, moodle: MoodleWebServices, body: object) -> None:
    answer(server, body)
    assert moodle.grades(2).grades == ()


def test_completion_is_read(server: AnsweringServer, moodle: MoodleWebServices) -> None:
    status = {"cmid": 12, "modname": "assign", "instance": 2, "state": 3, "timecompleted": SECONDS, "tracking": 2}
    answer(server, {"statuses": [status, status | {"cmid": 13, "state": 0, "timecompleted": 0}, {"cmid": "x"}]})
    assert moodle.completions(2, 8) == [
        MoodleCompletion(12, "assign", 3, AT),
        MoodleCompletion(13, "assign", 0, None),
    ]
    assert server.seen[-1].form["userid"] == "8"


def test_the_completion_of_a_course_is_dated_by_its_last_criterion(
    server: AnsweringServer, moodle: MoodleWebServices
) -> None:
    criteria = [{"complete": True, "timecompleted": SECONDS - 60}, {"complete": True, "timecompleted": SECONDS}]
    status = {"completed": True, "aggregation": 1, "completions": [*criteria, {"timecompleted": None}]}
    answer(server, {"completionstatus": status, "warnings": []})
    assert moodle.course_completion(2, 8) == CourseCompletion(True, AT)
    answer(server, {"completionstatus": {"completed": False, "completions": []}})
    assert moodle.course_completion(2, 8) == CourseCompletion(False, None)


@pytest.mark.parametrize("code", ["usernotenroled", "userdeleted"])
def test_somebody_who_has_left_has_no_completion(server: AnsweringServer, moodle: MoodleWebServices, code: str) -> None:
    answer(server, {"exception": "moodle_exception", "errorcode": code, "message": "User not enrolled"})
    assert moodle.course_completion(2, 8) is None
    assert moodle.completions(2, 8) == []


def test_a_course_without_criteria_says_so(server: AnsweringServer, moodle: MoodleWebServices) -> None:
    answer(server, {"exception": "moodle_exception", "errorcode": "nocriteriaset", "message": "No criteria"})
    with pytest.raises(MoodleServiceError) as caught:
        moodle.course_completion(2, 8)
    assert caught.value.code in moodle_ws.NO_COURSE_CRITERIA


def test_titles_are_read(server: AnsweringServer, moodle: MoodleWebServices) -> None:
    answer(server, [{"id": 1, "modules": [{"id": 12, "name": "A &lt; B"}, {"name": "no id"}]}, {"id": 2}])
    assert moodle.titles(2) == {12: "A < B"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("invalidtoken", "Make a new one in Moodle"),
        ("accessexception", "does not have the function gradereport_user_get_grade_items"),
        ("requireloginerror", "moodle/grade:viewall"),
        ("nopermissions", "mod/assign:view"),
        ("servicenotavailable", "Switch it on"),
        ("invalidrecord", "Open Badges from the course once"),
        ("some_other/code", "some_other/code"),
        ("<script>", "refused gradereport_user_get_grade_items (script)"),
    ],
)
def test_a_refusal_says_what_to_do(server: AnsweringServer, moodle: MoodleWebServices, code: str, words: str) -> None:
    # Errors come with status 200 (webservice/rest/locallib.php); the message may quote what is personal.
    answer(server, {"exception": "moodle_exception", "errorcode": code, "message": "Lea Learner", "debuginfo": "x"})
    error = refusal(server, moodle)
    assert words in error.advice
    assert "Lea" not in error.advice
    assert not error.retryable


def test_maintenance_is_worth_another_try(server: AnsweringServer, moodle: MoodleWebServices) -> None:
    answer(server, {"exception": "moodle_exception", "errorcode": "sitemaintenance", "message": "m"})
    assert refusal(server, moodle).retryable


@pytest.mark.parametrize(
    ("status", "retryable", "words"),
    [
        (403, False, "Switch both on"),
        (404, False, "Check the address"),
        (303, False, "exactly as Moodle shows it"),
        (503, True, "tried again"),
        (429, True, "tried again"),
    ],
)
def test_another_status_says_what_to_do(
    server: AnsweringServer, moodle: MoodleWebServices, status: int, retryable: bool, words: str
) -> None:
    answer(server, {}, status, Retry_After="90", Location=f"{server.url}/elsewhere")
    error = refusal(server, moodle)
    assert (error.retryable, words in error.advice) == (retryable, True)
    assert error.retry_after == (90 if retryable else None)
    # A redirect is not followed: it would carry the token elsewhere.
    assert server.count("/elsewhere") == 0


def test_an_answer_that_is_no_json_is_worth_another_try(server: AnsweringServer, moodle: MoodleWebServices) -> None:
    server.answers[moodle_ws.PATH] = lambda _: Response("<h1>Site</h1>")
    assert refusal(server, moodle).retryable


def test_an_answer_without_end_is_given_up(
    server: AnsweringServer, moodle: MoodleWebServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moodle_ws, "MAXIMUM_BYTES", 1000)

    def endless(_: Request) -> Response:
        return Response((b" " * 400 for _ in range(10)), mimetype="application/json")

    server.answers[moodle_ws.PATH] = endless
    error = refusal(server, moodle)
    # Asked again, it would be as long.
    assert (error.code, error.retryable) == (moodle_ws.TOO_LONG, False)
    assert "is too long" in error.advice


def test_a_site_that_is_down_is_worth_another_try() -> None:
    gone = AnsweringServer()
    gone.stop()
    with pytest.raises(MoodleServiceError) as caught:
        MoodleWebServices(requests.Session(), gone.url, TOKEN).grades(2)
    assert caught.value.retryable


def test_the_guide_names_every_function_and_capability() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "lms" / "moodle.md").read_text()
    capabilities = {one.strip() for some in moodle_ws.CAPABILITIES.values() for one in some.split(",")}
    assert [name for name in (*moodle_ws.FUNCTIONS, *sorted(capabilities)) if f"`{name}`" not in guide] == []
