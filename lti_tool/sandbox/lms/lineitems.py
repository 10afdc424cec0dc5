"""The tool's own line items in the gradebook, and the scores it wrote into them (AGS 2.0)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeGuard

from lti_tool.sandbox.lms.grades import number
from lti_tool.sandbox.lms.people import Course

ACTIVITY_PROGRESS = ("Initialized", "Started", "InProgress", "Submitted", "Completed")
GRADING_PROGRESS = ("FullyGraded", "Pending", "PendingManual", "Failed", "NotReady")


class InvalidError(ValueError):
    """What the tool sent cannot be taken (answered with 400)."""


class StaleError(Exception):
    """A score at this time or a later one is already there (answered with 409)."""


@dataclass(frozen=True)
class Result:
    """What a learner has in a line item; `score` is on the item's own scale, None when it was cleared."""

    sub: str
    at: datetime
    score: float | None
    comment: str


@dataclass
class LineItem:
    """A column of the gradebook that the tool owns."""

    id: str
    course_id: str
    label: str
    maximum: float
    resource_id: str = ""
    tag: str = ""
    resource_link_id: str | None = None
    # Sakai says whether learners may see the grades; None is an LMS that says nothing of it.
    is_released: bool | None = None
    results: dict[str, Result] = field(default_factory=dict)

    def update(self, body: Any) -> None:
        """Take label, maximum, resource id and tag from what the tool sent (AGS 2.0 §3.2); raises InvalidError."""
        if not isinstance(body, dict) or not isinstance(body.get("label"), str) or not body["label"].strip():
            raise InvalidError("label is missing")
        maximum = body.get("scoreMaximum")
        if not _is_number(maximum) or maximum <= 0:
            raise InvalidError("scoreMaximum is not a number above 0")
        self.label, self.maximum = body["label"], maximum
        self.resource_id, self.tag = str(body.get("resourceId") or ""), str(body.get("tag") or "")

    def score(self, course: Course, body: Any) -> None:
        """Take a score (AGS 2.0 §3.4); raises InvalidError, and StaleError unless newer than the last one."""
        sub, at, given, maximum = _score_of(body)
        member = course.member(sub)
        if member is None or not member.is_learner:
            raise InvalidError("userId is no learner of this course")
        former = self.results.get(sub)
        if former is not None and at <= former.at:
            raise StaleError
        # As Moodle does it: anything but a final score clears what was there.
        is_final = body["gradingProgress"] == "FullyGraded"
        score = given * self.maximum / maximum if is_final and given is not None and maximum else None
        self.results[sub] = Result(sub, at, score, str(body.get("comment") or ""))


def _score_of(body: Any) -> tuple[str, datetime, float | None, float | None]:
    if not isinstance(body, dict) or not isinstance(body.get("userId"), str):
        raise InvalidError("userId is missing")
    if body.get("activityProgress") not in ACTIVITY_PROGRESS or body.get("gradingProgress") not in GRADING_PROGRESS:
        raise InvalidError("activityProgress or gradingProgress is missing or unknown")
    given, maximum = body.get("scoreGiven"), body.get("scoreMaximum")
    if given is not None and not (_is_number(given) and given >= 0 and _is_number(maximum) and maximum > 0):
        raise InvalidError("scoreGiven needs a scoreMaximum, both as numbers")
    return body["userId"], _time(body.get("timestamp")), given, maximum


def _time(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidError("timestamp is not an ISO 8601 time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_json(item: LineItem, base_url: str) -> dict[str, Any]:
    """A line item as it is listed."""
    body = {
        "id": item_url(item, base_url),
        "label": item.label,
        "scoreMaximum": number(item.maximum),
        "resourceId": item.resource_id,
        "tag": item.tag,
    }
    if item.resource_link_id is not None:
        body |= {"resourceLinkId": item.resource_link_id, "ltiLinkId": item.resource_link_id}
    return body if item.is_released is None else body | {"releaseToStudent": item.is_released}


def result_as_json(item: LineItem, result: Result, base_url: str) -> dict[str, Any]:
    """A result as it is listed (AGS 2.0 §3.3); `resultScore` is left out when there is none."""
    body: dict[str, Any] = {
        "id": f"{item_url(item, base_url, '/results')}&user_id={result.sub}",
        "userId": result.sub,
        "resultScore": None if result.score is None else number(result.score),
        "resultMaximum": number(item.maximum),
        "comment": result.comment,
        "scoreOf": item_url(item, base_url),
        "timestamp": result.at.isoformat(timespec="seconds"),
    }
    return {name: value for name, value in body.items() if value is not None}


def item_url(item: LineItem, base_url: str, part: str = "") -> str:
    """The address of a line item, or of its `/results` or `/scores`: with a query, as Moodle's have."""
    return f"{base_url}/lti/ags/{item.course_id}/lineitems/{item.id}/lineitem{part}?type_id=1"
