"""Grades, and the body of the event that tells the tool about them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lti_tool.sandbox.lms.people import Activity, Course


@dataclass(frozen=True)
class Grade:
    """The present state of one learner in one activity: points, or done (`failed`: without a pass) or not."""

    at: datetime
    score: float | None = None
    completed: bool | None = None
    released: bool = True
    failed: bool = False


Book = dict[tuple[str, str, str], Grade]
"""Grades by course id, `sub` and activity id."""


def stamp(moment: datetime) -> str:
    """A time as the events have it: UTC with milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def number(value: float) -> float:
    """The same number, without `.0` when it is a whole one."""
    return int(value) if value == int(value) else value


def event_data(deployment_id: str, course: Course, sub: str, activity: Activity, grade: Grade) -> dict[str, Any]:
    """One entry of a `grade.updated` event: an AGS score (AGS 2.0 §3.4) and whose it is."""
    score: dict[str, Any] = {"userId": sub, "timestamp": stamp(grade.at)}
    if grade.score is not None and activity.maximum is not None:
        score |= {"scoreGiven": number(grade.score), "scoreMaximum": number(activity.maximum)}
    is_done = grade.score is not None or grade.completed
    score["activityProgress"] = "Completed" if is_done else "InProgress"
    score["gradingProgress"] = "NotReady" if grade.score is None else "FullyGraded"
    return {
        "deployment_id": deployment_id,
        "course": {"id": course.id, "title": course.title},
        "person": {"id": sub},
        "activity": {"id": activity.id, "title": activity.title, "type": activity.type},
        "score": score,
        "released": grade.released,
    }


def event(data: dict[str, Any] | list[dict[str, Any]], at: datetime) -> dict[str, Any]:
    """The whole body of a `grade.updated` event, with one entry or a batch of them."""
    return {"type": "grade.updated", "timestamp": stamp(at), "data": data}
