"""The part of Moodle's web services that tells grades and completion, in the shapes of Moodle 4.5 (REST, JSON)."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from lti_tool.sandbox.lms.grades import Grade
from lti_tool.sandbox.lms.people import Activity, Course, Member
from lti_tool.sandbox.lms.store import state

blueprint = Blueprint("moodle", __name__)

MODULES = {"quiz": "quiz", "lab": "lesson", "assignment": "assign", "module": "page"}
COURSE_ITEM = "course"


class _RefusedError(Exception):
    """What Moodle answers with status 200 when it does not do what was asked."""

    def __init__(self, exception: str, code: str, message: str) -> None:
        super().__init__(message)
        self.body = {"exception": exception, "errorcode": code, "message": message}


@blueprint.post("/webservice/rest/server.php")
def serve() -> Response:
    """One function for a token; errors are answered with status 200 (lib/externallib.php, webservice/rest)."""
    token, function = request.values.get("wstoken"), request.values.get("wsfunction", "")
    if state().config.ws_token is None:
        abort(403)
    try:
        if token != state().config.ws_token:
            raise _RefusedError("core\\exception\\moodle_exception", "invalidtoken", "Invalid token - token not found")
        if function not in FUNCTIONS or function in state().config.ws_refused:
            raise _RefusedError("webservice_access_exception", "accessexception", "Access control exception")
        return jsonify(FUNCTIONS[function](_course()))
    except _RefusedError as error:
        return jsonify(error.body)


def item_id(course: Course, activity_id: str) -> int:
    """The id of an activity's grade item; its course module has the same plus 1000."""
    ids = [activity.id for activity in course.activities]
    return int(course.id) * 100 + ids.index(activity_id)


def cmid(course: Course, activity_id: str) -> int:
    """The id of an activity's course module."""
    return item_id(course, activity_id) + 1000


def _course() -> Course:
    found = state().courses.get(request.form.get("courseid", ""))
    if found is None:
        raise _RefusedError("dml_missing_record_exception", "invalidrecord", "Can't find data record in database.")
    return found


def _learner(course: Course) -> Member:
    member = course.member(request.form.get("userid", ""))
    if member is None:
        raise _RefusedError("moodle_exception", "invaliduser", "Invalid user")
    return member


def _grade_items(course: Course) -> dict[str, Any]:
    """gradereport_user_get_grade_items: of everybody (userid 0) or of one."""
    wanted = request.form.get("userid", "0")
    people = [member for member in course.learners if wanted in ("0", member.person.sub)]
    usergrades = [
        {
            "courseid": int(course.id),
            "courseidnumber": "",
            "userid": int(member.person.sub),
            "userfullname": member.person.name,
            "useridnumber": "",
            "maxdepth": 2,
            "gradeitems": [
                _grade_item(course, activity, state().grades.get((course.id, member.person.sub, activity.id)))
                for activity in course.activities
                if activity.maximum is not None
            ],
        }
        for member in people
    ]
    return {"usergrades": usergrades, "warnings": []}


def _grade_item(course: Course, activity: Activity, grade: Grade | None) -> dict[str, Any]:
    is_course = activity.type == COURSE_ITEM
    score = grade.score if grade else None
    shown = "-" if score is None else f"{score:.2f}"
    item = {
        "id": item_id(course, activity.id),
        "itemname": None if is_course else activity.title,
        "itemtype": "course" if is_course else "mod",
        "itemmodule": None if is_course else MODULES[activity.type],
        "iteminstance": item_id(course, activity.id),
        "itemnumber": None if is_course else 0,
        "idnumber": "",
        "categoryid": None if is_course else 1,
        "outcomeid": None,
        "scaleid": None,
        "locked": False,
        "graderaw": score,
        "gradedatesubmitted": None,
        "gradedategraded": int(grade.at.timestamp()) if grade and score is not None else None,
        "gradehiddenbydate": False,
        "gradeneedsupdate": False,
        "gradeishidden": bool(grade and not grade.released),
        "gradeislocked": False,
        "gradeisoverridden": False,
        "gradeformatted": shown,
        "grademin": 0,
        "grademax": activity.maximum,
        "rangeformatted": f"0&ndash;{activity.maximum}",
        "feedback": "",
        "feedbackformat": 0,
    }
    return item if is_course else item | {"cmid": cmid(course, activity.id)}


def _activity_completion(course: Course) -> dict[str, Any]:
    """core_completion_get_activities_completion_status: of one person."""
    member, statuses = _learner(course), []
    for activity in course.activities:
        if activity.type == COURSE_ITEM:
            continue
        grade = state().grades.get((course.id, member.person.sub, activity.id))
        is_done = grade is not None and bool(grade.completed or grade.score is not None)
        statuses.append(
            {
                "cmid": cmid(course, activity.id),
                "modname": MODULES[activity.type],
                "instance": item_id(course, activity.id),
                "state": 3 if grade and grade.failed else int(is_done),
                "timecompleted": int(grade.at.timestamp()) if grade and is_done else 0,
                "tracking": 2,
                "overrideby": None,
                "valueused": False,
                "hascompletion": True,
                "isautomatic": True,
                "istrackeduser": True,
                "uservisible": True,
                "details": [],
                "isoverallcomplete": is_done,
            }
        )
    return {"statuses": statuses, "warnings": []}


def _course_completion(course: Course) -> dict[str, Any]:
    """core_completion_get_course_completion_status: of one person; complete with everything that is only done."""
    member = _learner(course)
    wanted = [activity for activity in course.activities if activity.maximum is None]
    if not wanted:
        raise _RefusedError("moodle_exception", "nocriteriaset", "No completion criteria set for this course")
    completions = []
    for activity in wanted:
        grade = state().grades.get((course.id, member.person.sub, activity.id))
        is_done = grade is not None and bool(grade.completed)
        completions.append(
            {
                "type": 4,
                "title": "Activity completion",
                "status": "Yes" if is_done else "No",
                "complete": is_done,
                "timecompleted": int(grade.at.timestamp()) if grade and is_done else None,
                "details": {"type": "Activity completion", "criteria": activity.title, "requirement": "", "status": ""},
            }
        )
    is_complete = all(criterion["complete"] for criterion in completions)
    return {
        "completionstatus": {"completed": is_complete, "aggregation": 1, "completions": completions},
        "warnings": [],
    }


def _contents(course: Course) -> list[dict[str, Any]]:
    """core_course_get_contents: one section with everything in it."""
    modules = [
        {
            "id": cmid(course, activity.id),
            "name": activity.title,
            "instance": item_id(course, activity.id),
            "modname": MODULES[activity.type],
            "visible": 1,
            "uservisible": True,
            "completion": 2,
        }
        for activity in course.activities
        if activity.type != COURSE_ITEM
    ]
    return [{"id": 1, "name": "General", "visible": 1, "section": 0, "uservisible": True, "modules": modules}]


FUNCTIONS: dict[str, Callable[[Course], Any]] = {
    "gradereport_user_get_grade_items": _grade_items,
    "core_completion_get_activities_completion_status": _activity_completion,
    "core_completion_get_course_completion_status": _course_completion,
    "core_course_get_contents": _contents,
}
