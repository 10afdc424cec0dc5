"""Moodle's web services (REST with a token): grades, completion of activities and of the course (LMS.md §5.7)."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from lti_tool.bodies import finite, storable
from lti_tool.http import retry_after

GRADES = "gradereport_user_get_grade_items"
COMPLETION = "core_completion_get_activities_completion_status"
COURSE_COMPLETION = "core_completion_get_course_completion_status"
CONTENTS = "core_course_get_contents"
FUNCTIONS = (GRADES, COMPLETION, COURSE_COMPLETION, CONTENTS)
# What each function needs the account of the token to be allowed (capabilities of Moodle).
CAPABILITIES = {
    GRADES: "moodle/grade:viewall, moodle/grade:viewhidden, gradereport/user:view, moodle/course:viewhiddenactivities, "
    "moodle/site:accessallgroups",
    COMPLETION: "report/progress:view, moodle/course:viewhiddenactivities",
    COURSE_COMPLETION: "report/completion:view",
    CONTENTS: "moodle/course:view, moodle/course:viewhiddenactivities",
}
PATH = "/webservice/rest/server.php"
# The grade report of a large course is made before its first byte.
TIMEOUT = (5.0, 60.0)
MAXIMUM_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 65536
RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
NO_COURSE_CRITERIA = frozenset({"nocriteriaset", "completionnotenabled"})
# Moodle does not talk of this person, in this course or at all (core_user::require_active_user, completion).
ABOUT_ONE_PERSON = frozenset(
    {"usernotenroled", "invaliduser", "userdeleted", "usernotconfirmed", "guestsarenotallowed"}
)
# Moodle leaves out what an account may not see, and says nothing of it.
SILENT_GAPS = (
    "Give that account mod/assign:view, mod/quiz:view and the like too: what it may not see is left out without a word."
)


# Our own word, where Moodle itself said nothing.
TOO_LONG = "toolong"


class MoodleServiceError(Exception):
    """Moodle did not give what was asked for; `code` is its own word for it, empty when it said none."""

    def __init__(self, advice: str, code: str = "", *, retryable: bool = False, wait: float | None = None) -> None:
        super().__init__(advice)
        self.advice = advice
        self.code = code
        self.retryable = retryable
        self.retry_after = wait


@dataclass(frozen=True)
class MoodleGrade:
    """A grade, or that there is none (any more); `at` is None where Moodle does not date it.

    `item_type` is one of mod, course, category, manual.
    """

    user_id: int
    item_id: int
    title: str
    item_type: str
    module: str
    cmid: int | None
    given: float | None
    maximum: float | None
    at: datetime | None
    is_hidden: bool


@dataclass(frozen=True)
class GradeReport:
    """All grades of a course, and the titles of its activities by course module id."""

    grades: tuple[MoodleGrade, ...]
    titles: Mapping[int, str]


@dataclass(frozen=True)
class MoodleCompletion:
    """How far somebody is in an activity: `state` 0 incomplete, 1 complete, 2 with a pass, 3 with a fail."""

    cmid: int
    module: str
    state: int
    at: datetime | None


@dataclass(frozen=True)
class CourseCompletion:
    """Whether somebody has completed the course, and when."""

    is_complete: bool
    at: datetime | None


class MoodleWebServices:
    """Asks one Moodle site; the token stands in the body only, for addresses end up in logs."""

    def __init__(self, http: requests.Session, site_url: str, token: str) -> None:
        self._http, self._token = http, token
        self._url = site_url.strip().rstrip("/").removesuffix(PATH) + PATH
        self._host = urlsplit(self._url).netloc

    def grades(self, course_id: int, user_id: int = 0) -> GradeReport:
        """Every grade of everybody in a course, or of one person who is still there; raises MoodleServiceError."""
        try:
            body = _group(self._call(GRADES, {"courseid": course_id, "userid": user_id}))
        except MoodleServiceError as error:
            if user_id and error.code in ABOUT_ONE_PERSON:
                return GradeReport((), {})
            raise
        grades, titles = list[MoodleGrade](), dict[int, str]()
        for person in _list(body, "usergrades"):
            for item in _list(person, "gradeitems"):
                cmid, title = _whole(item.get("cmid")), _text(item.get("itemname"))
                if cmid is not None and title:
                    # An activity with several grades comes with its main one first.
                    titles.setdefault(cmid, title)
                if (grade := _grade(person, item, title, cmid)) is not None:
                    grades.append(grade)
        return GradeReport(tuple(grades), titles)

    def completions(self, course_id: int, user_id: int) -> list[MoodleCompletion]:
        """How far a person is in each activity of a course that tracks it; raises MoodleServiceError.

        Nothing of somebody who has left the course or the site.
        """
        try:
            body = _group(self._call(COMPLETION, {"courseid": course_id, "userid": user_id}))
        except MoodleServiceError as error:
            if error.code in ABOUT_ONE_PERSON:
                return []
            raise
        return [
            MoodleCompletion(cmid, _text(entry.get("modname")), state, _moment(entry.get("timecompleted")))
            for entry in _list(body, "statuses")
            if (cmid := _whole(entry.get("cmid"))) is not None and (state := _whole(entry.get("state"))) is not None
        ]

    def course_completion(self, course_id: int, user_id: int) -> CourseCompletion | None:
        """How far a person is in a course; None of somebody who has left. Raises MoodleServiceError.

        In a course without a rule of completion that is an error, with one of NO_COURSE_CRITERIA as its code.
        """
        try:
            body = _group(self._call(COURSE_COMPLETION, {"courseid": course_id, "userid": user_id}))
        except MoodleServiceError as error:
            if error.code in ABOUT_ONE_PERSON:
                return None
            raise
        status = _group(body.get("completionstatus"))
        times = [_moment(criterion.get("timecompleted")) for criterion in _list(status, "completions")]
        # Moodle does not say when the course was completed: it was when the last criterion was met.
        at = max((time for time in times if time is not None), default=None)
        return CourseCompletion(status.get("completed") is True, at)

    def titles(self, course_id: int) -> dict[int, str]:
        """The titles of the activities of a course by course module id; raises MoodleServiceError."""
        sections = self._call(CONTENTS, {"courseid": course_id})
        found = {}
        for section in sections if isinstance(sections, list) else []:
            for module in _list(_group(section), "modules"):
                if (cmid := _whole(module.get("id"))) is not None:
                    found[cmid] = _text(module.get("name"))
        return found

    def _call(self, function: str, arguments: Mapping[str, int]) -> Any:
        form = {"wstoken": self._token, "wsfunction": function, "moodlewsrestformat": "json"}
        form |= {name: str(value) for name, value in arguments.items()}
        try:
            # A redirect would carry the token elsewhere.
            with self._http.post(self._url, data=form, timeout=TIMEOUT, stream=True, allow_redirects=False) as response:
                if response.status_code != requests.codes.ok:
                    raise self._refused(response)
                body = _read(response)
        except requests.RequestException:
            raise self._error("it cannot be reached. It is tried again; check the address", retryable=True) from None
        except _TooLongError:
            raise self._error(f"its answer to {function} is too long", TOO_LONG) from None
        except ValueError:
            raise self._error(
                f"its answer to {function} is not readable. Check that the address is the one of the site itself",
                retryable=True,
            ) from None
        if isinstance(body, dict) and ("exception" in body or "errorcode" in body):
            raise self._exception(function, re.sub(r"[^a-z0-9_/]", "", str(body.get("errorcode")).lower())[:60])
        return body

    def _refused(self, response: requests.Response) -> MoodleServiceError:
        status, wait = response.status_code, retry_after(response.headers, datetime.now(UTC))
        if status == requests.codes.forbidden:
            return self._error("web services or their REST protocol are switched off. Switch both on in Moodle")
        if 300 <= status < 400:
            what = f"it answers from another address (status {status}). Enter the address exactly as Moodle shows it"
            return self._error(what)
        what = f"it answers with status {status}"
        if status in RETRYABLE:
            return self._error(f"{what}. It is tried again", retryable=True, wait=wait)
        return self._error(f"{what}. Check the address of the site")

    def _exception(self, function: str, code: str) -> MoodleServiceError:
        needs = f"Give the account of the token these capabilities: {CAPABILITIES[function]}. {SILENT_GAPS}"
        known = {
            "invalidtoken": "the token is not valid any more. Make a new one in Moodle and enter it here",
            "invalidtimedtoken": "the token has expired. Make a new one in Moodle and enter it here",
            "accessexception": f"the service of the token does not have the function {function}. Add it in Moodle",
            "servicenotavailable": "the service of the token is switched off. Switch it on in Moodle",
            "requireloginerror": f"the account of the token may not enter the course. {needs}",
            "nopermissions": f"the account of the token may not use {function}. {needs}",
            "required_capability_exception": f"the account of the token may not use {function}. {needs}",
            "nopermissiontoviewgrades": f"the account of the token may not see the grades. {needs}",
            "cannotviewreport": f"the account of the token may not see completion. {needs}",
            "invalidrecord": "it does not know the course any more. Open Badges from the course once",
            "sitemaintenance": "it is in maintenance mode. It is tried again",
        }
        what = known.get(code, f"it refused {function} ({code or 'no reason given'}). {needs}")
        return self._error(what.rstrip("."), code, retryable=code == "sitemaintenance")

    def _error(
        self, what: str, code: str = "", *, retryable: bool = False, wait: float | None = None
    ) -> MoodleServiceError:
        return MoodleServiceError(
            f"Moodle's web services at {self._host} failed: {what}.", code, retryable=retryable, wait=wait
        )


class _TooLongError(ValueError):
    """An answer has more bytes than are read."""


def _read(response: requests.Response) -> Any:
    """The JSON of a streamed answer; raises _TooLongError, and ValueError for something else."""
    body = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > MAXIMUM_BYTES:
            raise _TooLongError
    try:
        return json.loads(bytes(body))
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None


def _grade(person: dict[str, Any], item: dict[str, Any], title: str, cmid: int | None) -> MoodleGrade | None:
    user_id, item_id, given = _whole(person.get("userid")), _whole(item.get("id")), finite(item.get("graderaw"))
    # Hidden until a day, too, is hidden until then.
    is_hidden = item.get("gradeishidden") is True or item.get("gradehiddenbydate") is True
    # No points are said where there is no grade (any more), and where this account may not see them.
    is_said = given is not None or ("graderaw" in item and item["graderaw"] is None and not is_hidden)
    if user_id is None or item_id is None or not is_said:
        return None
    return MoodleGrade(
        user_id,
        item_id,
        title,
        _text(item.get("itemtype")),
        _text(item.get("itemmodule")),
        cmid,
        given,
        finite(item.get("grademax")),
        _moment(item.get("gradedategraded")),
        is_hidden,
    )


def _group(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(group: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = group.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    # Names are escaped for a page (external_format_string).
    return storable(html.unescape(value)).strip()[:500] if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    # No id or time of Moodle's has more digits.
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _moment(value: Any) -> datetime | None:
    seconds = _whole(value)
    # 0 is "never".
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None and 0 < seconds < 2**33 else None
